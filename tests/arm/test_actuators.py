"""The joint servo and the load on a chain against closed forms and against the engine."""

import numpy as np
import pybullet as p
import pytest

from sim2real_envs.arm.actuators import ConstantLoad, JointServo
from sim2real_envs.arm.bullet_arm import BulletArm
from sim2real_envs.arm.cell import build_cell
from sim2real_envs.arm.domain import ARM_DOMAIN
from sim2real_envs.arm.robot import Robot
from sim2real_envs.arm.robots.panda import PANDA
from sim2real_envs.engines import ENGINES
from sim2real_envs.simulation import Simulation


@pytest.fixture(params=ENGINES)
def robot(request):
    cell = build_cell(request.param, PANDA, hand="bare", with_cube=False, control_dt=0.04)
    yield Robot(cell.arm, PANDA)
    cell.simulation.close()


def test_without_load_and_friction_the_servo_reaches_its_command():
    servo = JointServo(np.array([600.0, 50.0]), np.zeros(2))
    np.testing.assert_array_equal(servo.next_position(np.array([0.3, -0.2]), np.array([1.0, 1.0])), [0.3, -0.2])


def test_load_bends_the_servo_like_a_spring():
    servo = JointServo(np.array([600.0, 50.0]), np.zeros(2))
    rest = servo.next_position(np.zeros(2), np.zeros(2), np.array([6.0, -5.0]))
    np.testing.assert_allclose(rest, [0.01, -0.1])


def test_friction_is_a_play_operator():
    servo = JointServo(np.array([100.0]), np.array([2.0]))  # play 0.02 rad
    position, path = np.zeros(1), []
    for command in (0.01, 0.05, 0.04, 0.02, 0.0):
        position = servo.next_position(np.array([command]), position)
        path.append(position[0])
    np.testing.assert_allclose(path, [0.0, 0.03, 0.03, 0.03, 0.02])


def test_friction_holds_a_load_below_it():
    servo = JointServo(np.array([100.0]), np.array([2.0]))
    assert servo.next_position(np.zeros(1), np.zeros(1), np.array([1.9])) == 0.0
    np.testing.assert_allclose(servo.next_position(np.zeros(1), np.zeros(1), np.array([3.0])), [0.01])


def test_viscous_friction_leaves_what_decays_exponentially():
    # Time constants of 20 ms, and of none.
    servo = JointServo(np.array([400.0, 50.0]), np.zeros(2), np.array([8.0, 0.0]), control_dt=0.04)
    moved = servo.next_position(np.array([0.1, 0.1]), np.zeros(2))
    np.testing.assert_allclose(moved, [0.1 * (1.0 - np.exp(-2.0)), 0.1])


def test_load_of_a_planar_pendulum():
    # Two links of 1 m along x, hinges about y at 0 and 1 m, forces down at the ends.
    axes = np.array([[0.0, 1.0, 0.0]] * 2)
    origins = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    points = np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    forces = np.array([[0.0, 0.0, -10.0], [0.0, 0.0, -5.0]])
    np.testing.assert_allclose(ConstantLoad(forces, 2).torque(axes, points, origins), [20.0, 5.0])


@pytest.mark.parametrize("seed", range(5))
def test_unknown_load_is_that_of_bullets_inverse_dynamics(robot, seed):
    q = np.random.default_rng(seed).uniform(robot.lower, robot.upper)
    domain = {**ARM_DOMAIN.nominal(), "payload": 2.0, "link_mass": 1.3, "gravity_tilt": 0.2}
    known = holding_torque(ARM_DOMAIN.nominal(), q)
    robot.set_domain(domain)
    robot._arm.reset(q)
    robot.measure()
    load = robot._unknown_load.torque(robot._arm.jacobian()[3:].T, *robot._arm.link_points())
    # What gravity does to the joints is the opposite of what holds them.
    np.testing.assert_allclose(load, known - holding_torque(domain, q), atol=1e-6)


def holding_torque(domain, q):
    # In a fresh world: Bullet builds its inverse dynamics once and does not notice later changes of mass.
    simulation = Simulation(control_dt=0.04, physics_dt=0.004)
    arm = BulletArm(simulation, PANDA)
    Robot(arm, PANDA).set_domain(domain)
    zeros = [0.0] * len(q)
    torque = p.calculateInverseDynamics(arm._body, q.tolist(), zeros, zeros, physicsClientId=simulation.client)
    simulation.close()
    return np.array(torque)


def test_an_arm_that_holds_still_sags_as_predicted(robot):
    robot.set_domain({**ARM_DOMAIN.nominal(), "payload": 2.0, "joint_friction": 0.0, "servo_stiffness": 0.5})
    for _ in range(50):  # the command stays at home, wherever the arm is
        robot.command_joints(robot.home - robot.measure().joint_position)
        robot._simulation.step()
    sag = robot.measure().joint_position - robot.home
    load = robot._unknown_load.torque(robot._arm.jacobian()[3:].T, *robot._arm.link_points())
    np.testing.assert_allclose(
        sag, load / (0.5 * np.array(PANDA.stiffness)), atol=1e-3
    )  # the solver leaves up to 1 mrad
    # 2 kg at half a metre are 9.8 N m at the shoulder: 33 mrad of its 300 N m/rad.
    assert sag[1] == pytest.approx(2.0 * 9.81 * 0.5 / 300.0, rel=0.05)


def test_a_known_load_does_not_sag(robot):
    robot.set_domain({**ARM_DOMAIN.nominal(), "servo_stiffness": 0.3, "joint_friction": 0.0})
    for _ in range(25):
        robot.command_joints(robot.home - robot.measure().joint_position)
        robot._simulation.step()
    np.testing.assert_allclose(robot.measure().joint_position, robot.home, atol=1e-3)
