"""The domain parameters of the labyrinth; those of the signals (latency, noise) come with their wrappers."""

from __future__ import annotations

from sim2real.domains.space import DomainSpace, Parameter

LABYRINTH_DOMAIN = DomainSpace(
    {
        "marble_radius": Parameter(nominal=0.006, low=0.0045, high=0.0075, unit="m", train=(0.0055, 0.0065)),
        # Nominal is steel. The motion of a rolling ball does not depend on its mass, but its weight bends the board's
        # drive; see Board.
        "marble_mass": Parameter(nominal=0.007, low=0.001, high=0.035, unit="kg", train=(0.004, 0.01)),
        # Resistance to rolling as a share of the weight: slopes below it hold the marble.
        "rolling_friction": Parameter(nominal=0.004, low=0.0, high=0.03, unit="1", train=(0.0, 0.01)),
        "sliding_friction": Parameter(nominal=0.4, low=0.02, high=1.0, unit="1", train=(0.2, 0.6)),
        # Of the marble against the walls; on the board it does not hop.
        "restitution": Parameter(nominal=0.4, low=0.0, high=0.8, unit="1", train=(0.2, 0.6)),
        # Angle of a servo over the commanded one.
        "servo_gain": Parameter(nominal=1.0, low=0.4, high=1.6, operator="*", train=(0.8, 1.2)),
        # Time constant of a servo.
        "servo_lag": Parameter(nominal=0.04, low=0.0, high=0.3, unit="s", train=(0.02, 0.08)),
        # Play between a servo and the board.
        "servo_backlash": Parameter(nominal=0.004, low=0.0, high=0.06, unit="rad", train=(0.0, 0.012)),
        # Slope of the board when its servos stand at zero.
        "servo_bias_x": Parameter(nominal=0.0, low=-0.05, high=0.05, unit="rad", train=(-0.015, 0.015)),
        "servo_bias_y": Parameter(nominal=0.0, low=-0.05, high=0.05, unit="rad", train=(-0.015, 0.015)),
        # Slope over distance from the middle; positive: a dome, negative: a bowl.
        "board_warp": Parameter(nominal=0.0, low=-0.3, high=0.3, unit="rad/m", train=(-0.08, 0.08)),
    }
)

CAMERA_DOMAIN = DomainSpace(
    {
        # Age of the newest picture; its noise is that of the signal wrapper, observation_noise.
        "camera_latency": Parameter(nominal=0.0, low=0.0, high=0.12, unit="s", train=(0.0, 0.04)),
    }
)
