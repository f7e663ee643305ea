"""The tasks: one small file each. A task knows no robot; it sees where the end effector is."""
