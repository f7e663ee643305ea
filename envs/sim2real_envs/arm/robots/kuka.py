"""KUKA LBR iiwa 14 R820, a 7-joint arm with a parallel gripper of the make of a Schunk WSG 50.

That ``pybullet_data`` has the 14, not the 7, is told by the distances of its axes: 0.36, 0.42, 0.4 and 0.126 m. Torques
and speeds are KUKA's, where the stock URDF has 300 N m and 10 rad/s throughout.
"""

from __future__ import annotations

from sim2real_envs.arm.robot import RobotModel

KUKA = RobotModel(
    name="kuka",
    visual_urdf="kuka_iiwa/model.urdf",
    joints=tuple(f"lbr_iiwa_joint_{i}" for i in range(1, 8)),
    end_effector="tool",
    home=(0.0, 0.5528, 0.0, -1.47205, 0.0, 1.11674, 0.0),  # hand down, grasping at (0.58, 0, 0.29) m
    # Assumed: a joint impedance controller, which takes anything from zero on; softer where the joints are weaker.
    stiffness=(1000.0, 1000.0, 1000.0, 1000.0, 500.0, 300.0, 200.0),
    response_time=0.019,  # assumed: that of the Panda
    fingers=("left_finger_joint", "right_finger_joint"),
    workspace=(0.58, 0.0, 0.29),
    view_distance=1.65,
)
