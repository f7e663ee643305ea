"""The domain parameters of the arm worlds; those of the signals (latency, noise) come with their wrappers."""

from __future__ import annotations

from sim2real.domains.space import DomainSpace, Parameter

ARM_DOMAIN = DomainSpace(
    {
        # Mass and inertia of every moving link.
        "link_mass": Parameter(nominal=1.0, low=0.5, high=1.6, operator="*", train=(0.85, 1.15)),
        # Viscous friction of the strongest joints; that of weaker ones is smaller in proportion to their torque.
        "joint_damping": Parameter(nominal=0.0, low=0.0, high=8.0, unit="N m s/rad", train=(0.0, 2.0)),
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
