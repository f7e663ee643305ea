"""A race car of scale 1/10: the one of ``pybullet_data`` (the MIT racecar), as two axles under one body."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sim2real.domains.channels import Channel
from sim2real.domains.space import Domain
from sim2real_envs.driving.domain import CAR_DOMAIN
from sim2real_envs.driving.tyres import cornering_force, within_grip
from sim2real_envs.driving.vehicle import SPEED_CHANNEL, YAW_RATE_CHANNEL, Look, Vehicle
from sim2real_envs.simulation import GRAVITY, Simulation

WHEELBASE = 0.325
"""Distance of the axles [m]."""
MAX_STEERING = 0.5
"""Largest turn of the servo [rad]; PyBullet's own env for this car has the same."""
TOP_SPEED = 5.0
"""Speed at which the motor has no force left [m/s]: 100 rad/s, the limit in the URDF, on wheels of 0.05 m."""
STALL_FORCE = 40.0
"""Force of the motor at standstill, on all wheels together [N]: more than half of what the tyres hold."""

_CENTRE = -0.0078  # of mass, in front of the middle between the axles [m]; both from the URDF
_HEIGHT = 0.0508  # of the centre of mass above the road [m]
# Cornering stiffness per rad of slip angle, divided by friction and load; as identified on a car of this kind
# (O'Kelly et al., F1TENTH, 2020, vehicle parameters of f1tenth_gym).
_FRONT_STIFFNESS, _REAR_STIFFNESS = 4.718, 5.456
_WHEEL_LIMIT = 0.8  # what the linkage allows [rad]


_USUAL_LOAD = 0.5 * 5.892 * GRAVITY  # on an axle [N]
_LOAD_SENSITIVITY = 0.2  # what part of its grip a tyre loses under twice the load (Pacejka's -p_Dy2)


def _hold(load: float) -> float:
    """Return what an axle under a load [N] holds at friction 1 [N]: not quite in proportion, so balance matters."""
    return load * (1.0 - _LOAD_SENSITIVITY * (load / _USUAL_LOAD - 1.0))


class RaceCar(Vehicle):
    """Dynamic single-track model with the magic formula, load transfer and friction circles; all wheels are driven.

    Action: ``steering`` (1: full left), ``throttle`` (-1 to 1: the voltage of a DC motor, so that the car brakes when
    it is faster than its throttle, and drives backwards below zero).

    Args:
        simulation: The world it drives in.
    """

    domain_space = CAR_DOMAIN
    half_extents = (0.22, 0.125, 0.05)
    nominal_mass = 5.892
    yaw_inertia = 0.241
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

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.steering = 0.0
        """Where the servo stands, to the left [rad]."""
        self._target = self._acceleration = 0.0

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set the parameters of the car; ``domain`` is complete."""
        super().set_domain(domain)
        self.body.centre += _CENTRE
        self._gain, self._bias, self._lag = (domain[f"steering_{name}"] for name in ("gain", "bias", "lag"))
        dt = self._simulation.physics_dt
        self._follow = -math.expm1(-dt / self._lag) if self._lag > 0.0 else 1.0

    def get_domain(self) -> Domain:
        """Read the parameters back."""
        domain = super().get_domain()
        domain["centre_of_mass"] -= _CENTRE
        return domain | {"steering_gain": self._gain, "steering_bias": self._bias, "steering_lag": self._lag}

    def reset(self, x: float, y: float, yaw: float) -> None:
        """Put the car at rest, wheels straight."""
        super().reset(x, y, yaw)
        self.steering = self._target = self._acceleration = 0.0

    def command(self, action: list[float]) -> tuple[float, ...]:
        """Take steering and throttle."""
        self._target = MAX_STEERING * action[0]
        return (action[1],)

    def push(self, drive: tuple[float, ...], friction: float) -> None:
        """Apply the forces of both axles for one physics step."""
        state, body = self.body.state, self.body
        self.steering += self._follow * (self._target - self.steering)
        self.wheel_angle = angle = max(-_WHEEL_LIMIT, min(_WHEEL_LIMIT, self._gain * self.steering + self._bias))
        cos, sin = math.cos(angle), math.sin(angle)
        # Weight on the axles, that of the front one less when the car speeds up.
        weight = body.mass * GRAVITY * self._flat
        front = weight * (0.5 + body.centre / WHEELBASE) - body.mass * self._acceleration * _HEIGHT / WHEELBASE
        front = max(0.0, min(weight, front))
        front, rear = friction * _hold(front), friction * _hold(weight - front)
        motor = STALL_FORCE * (self._strength * drive[0] - state.forward / TOP_SPEED) / 2
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

    def measure(self) -> list[float]:
        """Return speed, yaw rate and where the servo stands."""
        state = self.body.state
        return [state.forward, state.yaw_rate, self.steering]
