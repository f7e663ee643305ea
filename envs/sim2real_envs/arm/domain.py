"""The domain parameters of the arm worlds; those of the signals (latency, noise) come with their wrappers."""

from __future__ import annotations

from sim2real.domains.space import DomainSpace, Parameter

ARM_DOMAIN = DomainSpace(
    {
        # Mass and inertia of every moving link.
        "link_mass": Parameter(nominal=1.0, low=0.5, high=1.6, operator="*", train=(0.85, 1.15)),
        # Viscous friction of a joint of 100 N m; that of others is in proportion to their torque.
        "joint_damping": Parameter(nominal=0.0, low=0.0, high=20.0, unit="N m s/rad", train=(0.0, 8.0)),
        # Dry friction of the strongest joints; that of weaker ones is smaller in proportion to their torque.
        "joint_friction": Parameter(nominal=0.5, low=0.0, high=10.0, unit="N m", train=(0.0, 2.0)),
        # Largest torque of every motor.
        "motor_strength": Parameter(nominal=1.0, low=0.5, high=1.5, operator="*", train=(0.8, 1.2)),
        # Bandwidth of the position loop of every motor.
        "position_gain": Parameter(nominal=1.0, low=0.2, high=2.0, operator="*", train=(0.7, 1.3)),
        # Stiffness of every joint against load that its controller does not know of.
        "servo_stiffness": Parameter(nominal=1.0, low=0.3, high=3.0, operator="*", train=(0.7, 1.5)),
        # A ball held in the gripper that the controller does not know of; the Panda is rated for 3 kg.
        "payload": Parameter(nominal=0.0, low=0.0, high=3.0, unit="kg", train=(0.0, 0.75)),
        # The base leans forward, about its y axis.
        "gravity_tilt": Parameter(nominal=0.0, low=-0.35, high=0.35, unit="rad", train=(-0.1, 0.1)),
    }
)

_CUBE = {
    "object_mass": Parameter(nominal=0.2, low=0.03, high=1.5, unit="kg", train=(0.1, 0.4)),
    # Edge of the cube.
    "object_size": Parameter(nominal=0.045, low=0.036, high=0.056, unit="m", train=(0.04, 0.05)),
    # The friction of a contact is the product of the two that touch: 0.5 on the table, nominally.
    "object_friction": Parameter(nominal=0.7, low=0.15, high=1.4, unit="1", train=(0.5, 0.9)),
    "table_friction": Parameter(nominal=0.7, low=0.15, high=1.4, unit="1", train=(0.5, 0.9)),
    "gripper_friction": Parameter(nominal=1.0, low=0.1, high=1.5, unit="1", train=(0.7, 1.3)),
    # Of the cube against table and gripper.
    "object_restitution": Parameter(nominal=0.1, low=0.0, high=0.8, unit="1", train=(0.0, 0.3)),
}
PUSH_DOMAIN = DomainSpace({**ARM_DOMAIN, **_CUBE})
"""Of an arm that pushes a cube over a table."""

PICK_AND_PLACE_DOMAIN = DomainSpace(
    {
        **PUSH_DOMAIN,
        # Largest force of the gripper.
        "gripper_force": Parameter(nominal=1.0, low=0.1, high=2.0, operator="*", train=(0.7, 1.3)),
    }
)
"""Of an arm that grasps a cube, too."""
