"""Differential inverse kinematics against what it promises."""

import numpy as np
import pybullet as p

from sim2real_envs.arm.kinematics import joint_displacement, rotation_vector


def test_the_end_effector_moves_as_asked():
    rng = np.random.default_rng(0)
    jacobian, twist = rng.normal(size=(6, 7)), 0.01 * rng.normal(size=6)
    step = joint_displacement(jacobian, twist, np.zeros(7))
    np.testing.assert_allclose(jacobian @ step, twist, atol=2e-4)


def test_posture_moves_the_null_space_only():
    rng = np.random.default_rng(1)
    jacobian, posture = rng.normal(size=(6, 7)), rng.normal(size=7)
    step = joint_displacement(jacobian, np.zeros(6), posture)
    np.testing.assert_allclose(jacobian @ step, 0.0, atol=2e-2)
    null = np.linalg.svd(jacobian)[2][-1]
    np.testing.assert_allclose(null @ step, null @ posture, atol=1e-9)


def test_a_singular_arm_does_not_jump():
    jacobian = np.zeros((6, 7))
    jacobian[0, 0] = 1e-6
    assert np.abs(joint_displacement(jacobian, np.full(6, 0.05), np.zeros(7))).max() < 1e-3


def test_rotation_vector_of_a_small_turn():
    level, half = (1.0, 0.0, 0.0, 0.0), 0.005  # hand down, and turned about the world's z
    turned = (np.cos(half), np.sin(half), 0.0, 0.0)
    np.testing.assert_allclose(rotation_vector(level, turned), [0.0, 0.0, np.sin(0.01)], atol=1e-15)
    np.testing.assert_allclose(rotation_vector(turned, level), [0.0, 0.0, -np.sin(0.01)], atol=1e-15)


def test_rotation_vector_is_that_of_the_matrices():
    rng = np.random.default_rng(2)
    for _ in range(5):
        quaternions = rng.normal(size=(2, 4))
        quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
        current, wanted = (np.reshape(p.getMatrixFromQuaternion(q), (3, 3)) for q in quaternions)
        expected = 0.5 * np.cross(current.T, wanted.T).sum(axis=0)
        np.testing.assert_allclose(rotation_vector(*quaternions.tolist()), expected, atol=1e-12)
