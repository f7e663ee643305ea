"""KUKA LBR iiwa 14, a 7-joint arm with a parallel gripper of the make of a Schunk WSG 50."""

from __future__ import annotations

from sim2real_envs.arm.robot import RobotModel

KUKA = RobotModel(
    name="kuka",
    visual_urdf="kuka_iiwa/model.urdf",
    joints=tuple(f"lbr_iiwa_joint_{i}" for i in range(1, 8)),
    end_effector="tool",
    home=(0.0, 0.5528, 0.0, -1.47205, 0.0, 1.11674, 0.0),  # hand down, grasping at (0.58, 0, 0.29) m
    # In the middle of what KUKA's joint impedance control offers; the wrist is as soft as its torque is small.
    stiffness=(1000.0, 1000.0, 1000.0, 1000.0, 500.0, 300.0, 200.0),
    response_time=0.019,
    fingers=("left_finger_joint", "right_finger_joint"),
    workspace=(0.58, 0.0, 0.29),
    # Data sheet of the LBR iiwa 14 R820; the URDF has 10 rad/s throughout.
    max_velocity=(1.483, 1.483, 1.745, 1.308, 2.268, 2.356, 2.356),
    view_distance=1.65,
)
