"""Differential inverse kinematics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DAMPING = 0.02
"""Damping of the least squares: bounds the joint motion near singularities."""


def joint_displacement(jacobian: Array, twist: Array, posture: Array) -> Array:
    """Return the joint displacement [rad] that moves the end effector by ``twist``, shape (n,).

    Damped least squares with a secondary aim in the null space (Nakamura and Hanafusa, J. Dyn. Sys. Meas. Control
    108(3), 1986; Siciliano et al., Robotics, 2009, eq. 3.54 and 3.59).

    Args:
        jacobian: Geometric Jacobian, shape (6, n), translation above rotation.
        twist: Displacement [m] and rotation vector [rad] of the end effector, shape (6,).
        posture: Joint displacement that is wanted where it does not disturb the end effector, shape (n,) [rad].
    """
    normal = jacobian @ jacobian.T
    normal.flat[::7] += DAMPING**2
    return np.asarray(posture + jacobian.T @ np.linalg.solve(normal, twist - jacobian @ posture))


def rotation_vector(current: Array, wanted: Array) -> Array:
    """Return the rotation from one orientation to another, for small angles, shape (3,) [rad].

    ``1/2 sum_k r_k x d_k`` over the columns of the rotation matrices (Siciliano et al., Robotics, 2009, eq. 3.88).

    Args:
        current: Rotation matrix, shape (3, 3).
        wanted: Rotation matrix, shape (3, 3).
    """
    skew = wanted @ current.T
    return 0.5 * np.array([skew[2, 1] - skew[1, 2], skew[0, 2] - skew[2, 0], skew[1, 0] - skew[0, 1]])
