"""A race car of scale 1/10: the one of ``pybullet_data`` (the MIT racecar), as two axles under one body."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sim2real.domains.channels import Channel
from sim2real.domains.space import Domain
from sim2real_envs.driving.body import PlanarBody
from sim2real_envs.driving.domain import CAR_DOMAIN
from sim2real_envs.driving.plant import Plant
from sim2real_envs.driving.tyres import cornering_force, within_grip
from sim2real_envs.driving.vehicle import SPEED_CHANNEL, YAW_RATE_CHANNEL, Axles, Look, Vehicle
from sim2real_envs.simulation import GRAVITY

WHEELBASE = 0.325
"""Distance of the axles [m]."""
MAX_STEERING = 0.5
"""Largest turn of the servo [rad]; PyBullet's own env for this car has the same."""
TOP_SPEED = 5.0
"""Speed at which the motor has no force left [m/s]: 100 rad/s, the limit in the URDF, on wheels of 0.05 m."""
STALL_FORCE = 40.0
"""Force of the motor at standstill, on all wheels together [N]: more than half of what the tyres hold."""

_HEIGHT = 0.0508  # of the centre of mass above the road [m]; from the URDF
_WHEEL_RADIUS = 0.05  # [m]
# Cornering stiffness per rad of slip angle, divided by friction and load; as identified on a car of this kind
# (O'Kelly et al., F1TENTH, 2020, vehicle parameters of f1tenth_gym).
_FRONT_STIFFNESS, _REAR_STIFFNESS = 4.718, 5.456
_WHEEL_LIMIT = 0.8  # what the linkage allows [rad]


_USUAL_LOAD = 0.5 * 5.892 * GRAVITY  # on an axle [N]
_LOAD_SENSITIVITY = 0.2  # what part of its grip a tyre loses under twice the load (Pacejka's -p_Dy2)


def _hold(load: float) -> float:
    """Return what an axle under a load [N] holds at friction 1 [N]: not quite in proportion, so balance matters."""
    return load * (1.0 - _LOAD_SENSITIVITY * (load / _USUAL_LOAD - 1.0))


class SingleTrack:
    """Dynamic single-track model with the magic formula, load transfer and friction circles; all wheels are driven."""

    def __init__(self) -> None:
        self._acceleration = 0.0

    def reset(self) -> None:
        """Forget the acceleration that shifts the weight."""
        self._acceleration = 0.0

    def push(self, body: PlanarBody, wheels: tuple[float, float, float], friction: float) -> None:
        """Apply the forces of both axles for one physics step; both sides have one drive."""
        state = body.state
        angle, drive, _ = wheels
        cos, sin = math.cos(angle), math.sin(angle)
        # Weight on the axles, that of the front one less when the car speeds up.
        weight = body.mass * GRAVITY * body.flat
        front = weight * (0.5 + body.centre / WHEELBASE) - body.mass * self._acceleration * _HEIGHT / WHEELBASE
        front = max(0.0, min(weight, front))
        front, rear = friction * _hold(front), friction * _hold(weight - front)
        motor = STALL_FORCE * (drive - state.forward / TOP_SPEED) / 2
        # Each axle in its own axes.
        swing = state.yaw_rate * WHEELBASE / 2
        ahead, aside = state.forward, state.left + swing
        ahead, aside = cos * ahead + sin * aside, cos * aside - sin * ahead
        front_along, front_across = within_grip(motor, cornering_force(ahead, aside, front, _FRONT_STIFFNESS), front)
        across = cornering_force(state.forward, state.left - swing, rear, _REAR_STIFFNESS)
        rear_along, rear_across = within_grip(motor, across, rear)
        forward = cos * front_along - sin * front_across + rear_along
        front_left = sin * front_along + cos * front_across
        self._acceleration = forward / body.mass
        body.push(forward, front_left + rear_across, (front_left - rear_across) * WHEELBASE / 2)


class RaceCar(Vehicle):
    """A car with four driven wheels, the front ones steered by a servo.

    Action: ``steering`` (1: full left), ``throttle`` (-1 to 1: the voltage of a DC motor, so that the car brakes when
    it is faster than its throttle, and drives backwards below zero).

    Args:
        plant: The world it drives in.
    """

    domain_space = CAR_DOMAIN
    half_extents = (0.22, 0.125, 0.05)
    nominal_mass = 5.892
    yaw_inertia = 0.241
    centre = -0.0078
    axles = Axles(
        wheelbase=WHEELBASE,
        track_width=0.245,
        radius=_WHEEL_RADIUS,
        wheel_mass=0.34055,
        spin_inertia=4.1226e-4,
        turn_inertia=2.6046e-4,
        upright_mass=0.1,
        centre_height=_HEIGHT - _WHEEL_RADIUS,
        roll_inertia=0.032,
        pitch_inertia=0.157,
        steered=True,
        motor_gain=STALL_FORCE * _WHEEL_RADIUS / 4,
        motor_drag=STALL_FORCE * _WHEEL_RADIUS / 4 / TOP_SPEED,
        motor_limit=2.0 * STALL_FORCE * _WHEEL_RADIUS / 4,  # when it brakes against its speed
    )
    make_tyres = SingleTrack
    lidar_position = 0.1025
    observation_channels = (
        SPEED_CHANNEL,
        YAW_RATE_CHANNEL,
        Channel(name="steering", width=1, unit="rad", low=-MAX_STEERING, high=MAX_STEERING, noise=0.01),
    )
    action_channels = (
        Channel(name="steering", width=1, unit="1", low=-1.0, high=1.0),
        Channel(name="throttle", width=1, unit="1", low=-1.0, high=1.0),
    )
    idle = (0.0,)
    look = Look(
        urdf="racecar/racecar.urdf",
        forward=-WHEELBASE / 2,
        steering={"left_steering_hinge_joint": 1.0, "right_steering_hinge_joint": 1.0},
    )

    def __init__(self, plant: Plant) -> None:
        super().__init__(plant)
        self.steering = 0.0
        """Where the servo stands, to the left [rad]."""
        self._target = 0.0

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set drive and servo; ``domain`` is complete."""
        super().set_domain(domain)
        self._gain, self._bias, self._lag = (domain[f"steering_{name}"] for name in ("gain", "bias", "lag"))
        self._follow = -math.expm1(-self._plant.physics_dt / self._lag) if self._lag > 0.0 else 1.0

    def get_domain(self) -> Domain:
        """Read the parameters back."""
        servo = {"steering_gain": self._gain, "steering_bias": self._bias, "steering_lag": self._lag}
        return super().get_domain() | servo

    def reset(self, x: float, y: float, yaw: float) -> None:
        """Put the car at rest, wheels straight."""
        super().reset(x, y, yaw)
        self.steering = self._target = 0.0

    def command(self, action: list[float]) -> tuple[float, ...]:
        """Take steering and throttle."""
        self._target = MAX_STEERING * action[0]
        return (action[1],)

    def actuate(self, drive: tuple[float, ...]) -> tuple[float, float, float]:
        """Turn the servo for one physics step; return the angle of the wheels [rad] and the voltage, twice."""
        self.steering += self._follow * (self._target - self.steering)
        self.wheel_angle = max(-_WHEEL_LIMIT, min(_WHEEL_LIMIT, self._gain * self.steering + self._bias))
        voltage = self._strength * drive[0]
        return self.wheel_angle, voltage, voltage

    def measure(self) -> list[float]:
        """Return speed, yaw rate and where the servo stands."""
        return [self.state.forward, self.state.yaw_rate, self.steering]
