"""UFACTORY xArm6, a 6-joint arm with a parallel gripper of the make of UFACTORY's own.

Joint ranges and torques (50, 32 and 20 N m) are those of UFACTORY's xarm_ros, as the URDF has them; 3.14 rad/s is what
its user manual says.
"""

from __future__ import annotations

from sim2real_envs.arm.robot import RobotModel

XARM6 = RobotModel(
    name="xarm6",
    visual_urdf="xarm/xarm6_robot.urdf",
    joints=tuple(f"joint{i}" for i in range(1, 7)),
    end_effector="tool",
    home=(0.0, -0.25832, -0.90166, 0.0, 1.15998, 0.0),  # hand down, grasping at (0.4, 0, 0.25) m
    # Assumed, nothing is published: softer than the Panda, as its motors are weaker.
    stiffness=(400.0, 400.0, 300.0, 200.0, 150.0, 80.0),
    response_time=0.019,  # assumed: that of the Panda
    fingers=("left_finger_joint", "right_finger_joint"),
    workspace=(0.4, 0.0, 0.25),
    workspace_size=0.24,
)
