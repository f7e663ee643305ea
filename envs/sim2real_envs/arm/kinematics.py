"""Differential inverse kinematics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv

Array = NDArray[np.float64]
Quaternion = tuple[float, float, float, float]
"""A unit quaternion xyzw."""

DAMPING = 0.02
"""Damping of the least squares: bounds the joint motion near singularities."""

_REGULARIZER = DAMPING**2 * np.eye(6)


def joint_displacement(jacobian: Array, twist: Array, posture: Array) -> Array:
    """Return the joint displacement [rad] that moves the end effector by ``twist``, shape (n,).

    Damped least squares with a secondary aim in the null space (Nakamura and Hanafusa, J. Dyn. Sys. Meas. Control
    108(3), 1986; Siciliano et al., Robotics, 2009, eq. 3.54 and 3.59).

    Args:
        jacobian: Geometric Jacobian, shape (6, n), translation above rotation.
        twist: Displacement [m] and rotation vector [rad] of the end effector, shape (6,).
        posture: Joint displacement that is wanted where it does not disturb the end effector, shape (n,) [rad].
    """
    # For such small matrices dot takes half the time of @, and Cholesky's method a quarter of that of np.linalg.solve.
    normal = jacobian.dot(jacobian.T) + _REGULARIZER
    _, solution, _ = dposv(normal, twist - jacobian.dot(posture))
    return np.asarray(posture + solution.dot(jacobian))


def rotation_vector(current: Quaternion, wanted: Quaternion) -> tuple[float, float, float]:
    """Return the rotation from one orientation to another, for small angles [rad].

    The sine of the angle times the axis: twice the product of the scalar and the vector part of the quaternion that
    turns one into the other (Siciliano et al., Robotics, 2009, eq. 3.88 and 3.91).
    """
    # Number by number: for so few any function of numpy takes longer.
    x, y, z, w = current
    wx, wy, wz, ww = wanted
    twice = 2.0 * (ww * w + wx * x + wy * y + wz * z)
    return (
        twice * (wx * w - ww * x - wy * z + wz * y),
        twice * (wy * w - ww * y - wz * x + wx * z),
        twice * (wz * w - ww * z - wx * y + wy * x),
    )
