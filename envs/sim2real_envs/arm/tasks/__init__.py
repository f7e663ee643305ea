"""The tasks: one small file each. A task knows no robot; it only sees its state."""
