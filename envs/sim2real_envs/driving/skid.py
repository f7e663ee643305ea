"""A skid-steered vehicle: Clearpath's Husky of ``pybullet_data`` at 2/5 of its size, with faster motors."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sim2real.domains.channels import Channel
from sim2real.domains.space import Domain
from sim2real_envs.driving.body import PlanarBody
from sim2real_envs.driving.domain import SKID_DOMAIN
from sim2real_envs.driving.plant import Plant
from sim2real_envs.driving.tyres import sliding_force
from sim2real_envs.driving.vehicle import SPEED_CHANNEL, YAW_RATE_CHANNEL, Axles, Look, Vehicle
from sim2real_envs.simulation import GRAVITY

SCALE = 0.4
"""Size, compared with the Husky's."""
WHEELBASE = SCALE * 0.512
"""Distance of the axles [m]."""
TRACK_WIDTH = SCALE * 0.5708
"""Distance of left and right wheels [m]."""
TOP_SPEED = 2.5
"""Of the wheels' rims [m/s]."""

_MOTOR_GAIN = 2.5  # torque per speed that a wheel's rim is wrong [N m s/m]
_MOTOR_LIMIT = 0.7  # [N m]; what a tyre holds is 0.5 N m, and several times that would turn the vehicle over


class SlidingWheels:
    """Four wheels that turn as they are told, whatever it takes, and slide."""

    def reset(self) -> None:
        """Do nothing: they remember nothing."""

    def push(self, body: PlanarBody, wheels: tuple[float, float, float], friction: float) -> None:
        """Apply the forces of the four wheels for one physics step; the drives are speeds of the rims [m/s]."""
        state = body.state
        load = friction * body.mass * GRAVITY * body.flat / 2
        front = load * (0.5 + body.centre / WHEELBASE)
        swing = state.yaw_rate * WHEELBASE / 2
        forward = left = torque = 0.0
        for side, rim in ((TRACK_WIDTH / 2, wheels[1]), (-TRACK_WIDTH / 2, wheels[2])):
            along = state.forward - state.yaw_rate * side - rim
            for axle, across, weight in (
                (WHEELBASE / 2, state.left + swing, front),
                (-WHEELBASE / 2, state.left - swing, load - front),
            ):
                fx, fy = sliding_force(along, across, weight)
                forward += fx
                left += fy
                torque += axle * fy - side * fx
        body.push(forward, left, torque)


class SkidSteer(Vehicle):
    """Four wheels that cannot turn, left and right ones at speeds of their own; it turns by sliding.

    Action: ``left_wheels``, ``right_wheels``: speed of the rims, from -1, full backwards, to 1.

    Args:
        plant: The world it drives in.
    """

    domain_space = SKID_DOMAIN
    half_extents = (SCALE * 0.5, SCALE * 0.335, 0.05)
    nominal_mass = 46.0 * SCALE**3
    yaw_inertia = 3.9 * SCALE**5
    centre = SCALE * -0.06
    axles = Axles(
        wheelbase=WHEELBASE,
        track_width=TRACK_WIDTH,
        radius=SCALE * 0.17775,
        wheel_mass=2.637 * SCALE**3,
        spin_inertia=0.04411 * SCALE**5,
        turn_inertia=0.02467 * SCALE**5,
        upright_mass=0.02,
        centre_height=SCALE * 0.05,
        roll_inertia=0.6022 * SCALE**5,
        pitch_inertia=1.7386 * SCALE**5,
        steered=False,
        motor_gain=_MOTOR_GAIN,
        motor_drag=_MOTOR_GAIN,
        motor_limit=_MOTOR_LIMIT,
    )
    make_tyres = SlidingWheels
    lidar_position = 0.1
    observation_channels = (
        SPEED_CHANNEL,
        YAW_RATE_CHANNEL,
        Channel(name="wheel_speed", width=2, unit="m/s", low=-5.0, high=5.0, noise=0.02),
    )
    action_channels = (
        Channel(name="left_wheels", width=1, unit="1", low=-1.0, high=1.0),
        Channel(name="right_wheels", width=1, unit="1", low=-1.0, high=1.0),
    )
    idle = (0.0, 0.0)
    look = Look(urdf="husky/husky.urdf", scale=SCALE)

    def __init__(self, plant: Plant) -> None:
        super().__init__(plant)
        self._left = self._right = 0.0

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set drive and wheels; ``domain`` is complete."""
        super().set_domain(domain)
        self._imbalance, self._lag = domain["wheel_imbalance"], domain["wheel_lag"]
        self._follow = -math.expm1(-self._plant.physics_dt / self._lag) if self._lag > 0.0 else 1.0

    def get_domain(self) -> Domain:
        """Read the parameters back."""
        return super().get_domain() | {"wheel_imbalance": self._imbalance, "wheel_lag": self._lag}

    def reset(self, x: float, y: float, yaw: float) -> None:
        """Put the vehicle and its wheels at rest."""
        super().reset(x, y, yaw)
        self._left = self._right = 0.0

    def command(self, action: list[float]) -> tuple[float, ...]:
        """Take the speeds of both sides."""
        return (action[0], action[1])

    def actuate(self, drive: tuple[float, ...]) -> tuple[float, float, float]:
        """Let the wheels follow for one physics step; return the speeds of both sides' rims [m/s]."""
        top = TOP_SPEED * self._strength
        self._left += self._follow * (top * (1.0 - self._imbalance / 2) * drive[0] - self._left)
        self._right += self._follow * (top * (1.0 + self._imbalance / 2) * drive[1] - self._right)
        return 0.0, self._left, self._right

    def measure(self) -> list[float]:
        """Return speed, yaw rate and the speeds of both sides' rims."""
        return [self.state.forward, self.state.yaw_rate, self._left, self._right]
