"""The domain parameters of the driving worlds; those of the signals (latency, noise) come with their wrappers."""

from __future__ import annotations

from sim2real.domains.space import DomainSpace, Parameter

LIDAR_DOMAIN = DomainSpace(
    {
        # Standard deviation of every beam.
        "lidar_noise": Parameter(nominal=0.01, low=0.0, high=0.15, unit="m", train=(0.0, 0.03)),
        # Probability of a beam to come back empty.
        "lidar_dropout": Parameter(nominal=0.0, low=0.0, high=0.3, unit="1", train=(0.0, 0.02)),
        # What is farther away reads as this far.
        "lidar_range": Parameter(nominal=10.0, low=2.0, high=10.0, unit="m", train=(6.0, 10.0)),
    }
)

CAMERA_DOMAIN = DomainSpace(
    {
        # Down from level.
        "camera_pitch": Parameter(nominal=0.25, low=0.0, high=0.5, unit="rad", train=(0.18, 0.32)),
        # To the left of straight ahead.
        "camera_yaw": Parameter(nominal=0.0, low=-0.2, high=0.2, unit="rad", train=(-0.05, 0.05)),
        "camera_height": Parameter(nominal=0.25, low=0.15, high=0.4, unit="m", train=(0.22, 0.28)),
        # How far colours, textures and light are from the usual ones; drawn in every episode.
        "look_variation": Parameter(nominal=0.0, low=0.0, high=1.0, unit="1", train=(0.0, 0.6)),
    }
)

TRACK_DOMAIN = DomainSpace(
    {
        # How much less grip there is on some stretches, a fifth of the track, drawn in every episode.
        "grip_patches": Parameter(nominal=0.0, low=0.0, high=0.8, unit="1", train=(0.0, 0.2)),
        # The whole track leans, down towards x.
        "slope": Parameter(nominal=0.0, low=-0.15, high=0.15, unit="rad", train=(-0.03, 0.03)),
    }
)

_BODY_DOMAIN = DomainSpace(
    {
        "tyre_friction": Parameter(nominal=1.0, low=0.2, high=1.5, unit="1", train=(0.75, 1.25)),
        # Mass and moment of inertia.
        "mass": Parameter(nominal=1.0, low=0.6, high=1.8, operator="*", train=(0.85, 1.2)),
        # Forwards.
        "centre_of_mass": Parameter(nominal=0.0, low=-0.06, high=0.06, unit="m", operator="+", train=(-0.02, 0.02)),
        # Voltage of the battery: force and top speed of the motors.
        "motor_strength": Parameter(nominal=1.0, low=0.4, high=1.4, operator="*", train=(0.8, 1.2)),
        # Dead time between the command to the motors and what they do.
        "drivetrain_delay": Parameter(nominal=0.02, low=0.0, high=0.2, unit="s", train=(0.0, 0.06)),
    }
)

CAR_DOMAIN = _BODY_DOMAIN | DomainSpace(
    {
        # Turn of the wheels per turn of the servo.
        "steering_gain": Parameter(nominal=1.0, low=0.4, high=1.6, operator="*", train=(0.85, 1.15)),
        # Where the wheels stand with the servo at zero, to the left.
        "steering_bias": Parameter(nominal=0.0, low=-0.15, high=0.15, unit="rad", operator="+", train=(-0.03, 0.03)),
        # Time constant of the servo.
        "steering_lag": Parameter(nominal=0.05, low=0.0, high=0.3, unit="s", train=(0.02, 0.1)),
    }
)

SKID_DOMAIN = _BODY_DOMAIN | DomainSpace(
    {
        # Difference of the two sides' speeds, right minus left, as a part of their mean.
        "wheel_imbalance": Parameter(nominal=0.0, low=-0.3, high=0.3, unit="1", train=(-0.06, 0.06)),
        # Time constant of the wheels' speeds.
        "wheel_lag": Parameter(nominal=0.08, low=0.0, high=0.4, unit="s", train=(0.04, 0.15)),
    }
)
