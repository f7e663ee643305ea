"""Robot arms in PyBullet: a robot, a task and a simulation, joined by a thin env."""
