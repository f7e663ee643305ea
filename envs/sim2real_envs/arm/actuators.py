"""How real joint servos miss their command: finite stiffness, load they do not know of, dry and viscous friction.

The motors of a physics engine are constraints: as long as its torque suffices, a motor carries any load without
giving way. A real position servo gives way like a spring, dry friction holds it anywhere near its equilibrium, and
viscous friction makes it late. All this is computed here once per control step, in closed form, and the engine's motor
gets the position at which the servo would be at its end.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# c x F, component a, is the sum over b and c of this times c_b F_c.
_LEVI_CIVITA = np.zeros((3, 3, 3))
_LEVI_CIVITA[[0, 1, 2], [1, 2, 0], [2, 0, 1]] = 1.0
_LEVI_CIVITA[[0, 2, 1], [2, 1, 0], [1, 0, 2]] = -1.0


class JointServo:
    """Position servos of ``n`` joints: ``damping * dq/dt = stiffness * (command - q) + load``, less dry friction.

    Without friction a joint settles at ``command + load / stiffness``: a load of the size of gravity makes it sag. With
    friction it stays where it is while that is within ``friction / stiffness``, and moves just that far otherwise (the
    play operator, whose memory is the joint itself; Krasnosel'skii and Pokrovskii, Systems with Hysteresis, 1989).

    With damping it takes its time: what is left of the way there falls with ``exp(-t stiffness / damping)``.

    That holds for a command that stays. Commands relative to the measured joint take the sag over into the next one: a
    loaded arm then creeps down under a zero action, and a policy has to hold against it.

    Args:
        stiffness: Shape (n,) [N m/rad], positive.
        friction: Dry friction, shape (n,) [N m], not negative.
        damping: Viscous friction, shape (n,) [N m s/rad], not negative; ``None`` for none.
        control_dt: How long a command holds [s]; for ever unless told otherwise.
    """

    def __init__(
        self, stiffness: Array, friction: Array, damping: Array | None = None, *, control_dt: float = math.inf
    ) -> None:
        self.stiffness = stiffness
        self.friction = friction
        self.damping = np.zeros_like(stiffness) if damping is None else damping
        self._play = friction / stiffness
        # Part of the way to rest that is made in one control step.
        self._reach = None
        if self.damping.any():
            with np.errstate(divide="ignore"):
                self._reach = -np.expm1(-control_dt * stiffness / self.damping)

    def next_position(self, command: Array, position: Array, load: Array | None = None) -> Array:
        """Return where the joints are at the end of a control step, shape (n,) [rad].

        Args:
            command: Commanded positions, shape (n,) [rad].
            position: Measured positions, shape (n,) [rad].
            load: Torque on each joint that the controller does not compensate, shape (n,) [N m]; ``None`` for none.
        """
        equilibrium = command if load is None else command + load / self.stiffness
        # Equals equilibrium -+ play outside the band and position inside it. Faster than np.clip.
        rest = np.minimum(np.maximum(position, equilibrium - self._play), equilibrium + self._play)
        return rest if self._reach is None else position + self._reach * (rest - position)


class ConstantLoad:
    """Forces on the links of a chain that stay as they are wherever the links go, as weight does.

    The torque on a joint is ``axis_j . sum_(i >= j) (c_i - p_j) x F_i``, the virtual work of the forces. Its moments
    are linear in the points ``c`` and ``p``: two matrices hold all that does not change.

    Args:
        forces: On each link, shape (m, 3) [N], m >= n; link ``i`` hangs on the joints up to ``i``.
        joints: How many joints there are, ``n``.
    """

    def __init__(self, forces: Array, joints: int) -> None:
        moments = np.einsum("abc,ic->iab", _LEVI_CIVITA, forces)  # moments[i] @ c_i is c_i x F_i
        outward = np.arange(len(forces)) >= np.arange(joints)[:, None]
        self._of_points = np.einsum("ji,iab->jaib", outward, moments).reshape(3 * joints, -1)
        at_joints = np.einsum("ji,iab->jab", outward, moments)
        self._of_origins = np.einsum("jk,jab->jakb", np.eye(joints), at_joints).reshape(3 * joints, -1)

    def torque(self, axes: Array, points: Array, origins: Array) -> Array:
        """Return the torque on each joint [N m], shape (n,).

        Args:
            axes: Unit vectors of the joint axes, shape (n, 3).
            points: Where the force on each link acts, shape (m, 3) [m].
            origins: A point on each axis, shape (n, 3) [m].
        """
        moments = self._of_points @ points.ravel() - self._of_origins @ origins.ravel()
        return np.asarray((axes * moments.reshape(axes.shape)).sum(axis=1))
