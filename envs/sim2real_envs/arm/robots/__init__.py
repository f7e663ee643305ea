"""The robots: one small file each, a :class:`~sim2real_envs.arm.robot.RobotModel`."""
