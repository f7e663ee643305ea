"""How real joint servos miss their command: finite stiffness, load they do not know of, dry friction.

The motors of a physics engine are constraints: as long as its torque suffices, a motor carries any load without
giving way. A real position servo gives way like a spring, and dry friction holds it anywhere near its equilibrium. Both
are computed here once per control step, and the engine's motor gets the position at which the servo would come to rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_NEXT, _LAST = [1, 2, 0], [2, 0, 1]


class JointServo:
    """Position servos of ``n`` joints, at rest where ``stiffness * (command - q) + load`` is below ``friction``.

    Without friction a joint settles at ``command + load / stiffness``: a load of the size of gravity makes it sag. With
    friction it stays where it is while that is within ``friction / stiffness``, and moves just that far otherwise (the
    play operator, whose memory is the joint itself; Krasnosel'skii and Pokrovskii, Systems with Hysteresis, 1989).

    That holds for a command that stays. Commands relative to the measured joint take the sag over into the next one: a
    loaded arm then creeps down under a zero action, and a policy has to hold against it.

    Args:
        stiffness: Shape (n,) [N m/rad], positive.
        friction: Shape (n,) [N m], not negative.
    """

    def __init__(self, stiffness: Array, friction: Array) -> None:
        self.stiffness = stiffness
        self.friction = friction

    def rest_position(self, command: Array, position: Array, load: Array | None = None) -> Array:
        """Return where the joints come to rest, shape (n,) [rad].

        Args:
            command: Commanded positions, shape (n,) [rad].
            position: Measured positions, shape (n,) [rad].
            load: Torque on each joint that the controller does not compensate, shape (n,) [N m]; ``None`` for none.
        """
        equilibrium = command if load is None else command + load / self.stiffness
        play = self.friction / self.stiffness
        # Equals equilibrium -+ play outside the band and position inside it.
        return np.clip(position, equilibrium - play, equilibrium + play)


def joint_load(axes: Array, origins: Array, points: Array, forces: Array) -> Array:
    """Return the torque on each joint of a chain that forces on its links exert [N m], shape (n,).

    ``tau_j = axis_j . sum_(i >= j) (c_i - p_j) x F_i``: the virtual work of the forces.

    Args:
        axes: Unit vectors of the joint axes, shape (n, 3).
        origins: A point on each axis, shape (n, 3) [m].
        points: Where the force on each link acts, shape (m, 3) [m], m >= n; link ``i`` hangs on the joints up to ``i``.
        forces: Shape (m, 3) [N].
    """
    n = len(axes)
    moments = _cross(points, forces)
    # Sums over all links outward of each joint; links beyond the last joint count for every joint.
    force_sum = np.cumsum(forces[::-1], axis=0)[::-1][:n]
    moment_sum = np.cumsum(moments[::-1], axis=0)[::-1][:n]
    return np.asarray(np.einsum("ij,ij->i", axes, moment_sum - _cross(origins, force_sum)))


def _cross(a: Array, b: Array) -> Array:
    # Row by row, as np.cross, in a fraction of its time.
    return a[:, _NEXT] * b[:, _LAST] - a[:, _LAST] * b[:, _NEXT]
