"""Franka Emika Panda, a 7-joint arm with a closed two-finger gripper."""

from __future__ import annotations

from pathlib import Path

from sim2real_envs.arm.robot import RobotModel

PANDA = RobotModel(
    urdf=str(Path(__file__).parents[1] / "assets" / "panda.urdf"),
    visual_urdf="franka_panda/panda.urdf",
    joints=tuple(f"panda_joint{i}" for i in range(1, 8)),
    end_effector="panda_grasptarget",
    home=(0.0, -0.11195, 0.0, -2.27041, 0.0, 2.15846, 0.7854),  # hand down, grasping at (0.5, 0, 0.3) m
    # Joint stiffness of the impedance examples of libfranka (joint_impedance_control.cpp).
    stiffness=(600.0, 600.0, 600.0, 600.0, 250.0, 150.0, 50.0),
    response_time=0.019,
)
