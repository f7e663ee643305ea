"""Franka Emika Panda, a 7-joint arm with its own two-finger gripper.

Torques (87 and 12 N m) and speeds (2.175 and 2.61 rad/s) are Franka's, as the URDF has them; so are 0.08 m of opening.
The 20 N of each finger are the URDF's.
"""

from __future__ import annotations

from sim2real_envs.arm.robot import RobotModel

PANDA = RobotModel(
    name="panda",
    visual_urdf="franka_panda/panda.urdf",
    joints=tuple(f"panda_joint{i}" for i in range(1, 8)),
    end_effector="panda_grasptarget",
    home=(0.0, -0.11195, 0.0, -2.27041, 0.0, 2.15846, 0.7854),  # hand down, grasping at (0.5, 0, 0.3) m
    # Gains of libfranka's example joint_impedance_control.cpp.
    stiffness=(600.0, 600.0, 600.0, 600.0, 250.0, 150.0, 50.0),
    # Assumed: what Bullet's default gain of 0.1 is at steps of 2 ms, as panda-gym drives this arm.
    response_time=0.019,
    fingers=("panda_finger_joint1", "panda_finger_joint2"),
    workspace=(0.5, 0.0, 0.3),
)
