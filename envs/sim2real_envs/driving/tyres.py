"""What a tyre does to the road: laws in closed form, for all vehicles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sim2real_envs.driving.body import PlanarBody

SHAPE = 1.4
"""Shape factor of the magic formula; beyond its peak the force falls a little, and the tyre slides away."""
MIN_SPEED = 0.8
"""Speed below which slip is taken as if the tyre rolled this fast [m/s]: an angle means nothing at a standstill."""
SLIDING_SPEED = 0.25
"""Speed of sliding at which a driven wheel has about three quarters of its grip [m/s]."""


class Tyres(Protocol):
    """What pushes a body that has no wheels."""

    def reset(self) -> None:
        """Forget what has happened."""

    def push(self, body: PlanarBody, wheels: tuple[float, float, float], friction: float) -> None:
        """Apply the forces of all tyres to a body for one physics step.

        Args:
            body: What they carry.
            wheels: Turn of the front wheels to the left [rad], drive of the left and the right ones.
            friction: Between tyres and ground.
        """


def cornering_force(forward: float, left: float, load: float, stiffness: float) -> float:
    """Return the sideways force of a rolling tyre, to its left [N].

    The magic formula ``-load sin(SHAPE atan(stiffness / SHAPE * slip angle))`` (Pacejka, Tire and Vehicle Dynamics,
    eq. 4.49 with E = 0), its friction coefficient included in ``load``.

    Args:
        forward: Velocity of the tyre along its own axis [m/s].
        left: Velocity to its left [m/s].
        load: Largest force, friction times weight on the tyre [N].
        stiffness: Cornering stiffness, in largest forces per rad of slip angle.
    """
    slip = math.atan2(left, max(abs(forward), MIN_SPEED))
    return -load * math.sin(SHAPE * math.atan(stiffness / SHAPE * slip))


def within_grip(along: float, across: float, load: float) -> tuple[float, float]:
    """Shorten a force [N] to what the tyre can carry, the friction circle; its direction is kept."""
    size = math.hypot(along, across)
    if size <= load:
        return along, across
    return along * load / size, across * load / size


def sliding_force(along: float, across: float, load: float) -> tuple[float, float]:
    """Return the force [N] of a wheel whose contact slides over the ground at this velocity [m/s].

    Coulomb's friction, made smooth: ``-load v / sqrt(|v|^2 + SLIDING_SPEED^2)``. What turns a skid-steered vehicle.
    """
    scale = -load / math.sqrt(along * along + across * across + SLIDING_SPEED * SLIDING_SPEED)
    return scale * along, scale * across
