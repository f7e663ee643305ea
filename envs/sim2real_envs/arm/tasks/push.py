"""Push: bring a cube on the table to a place on the table, with the gripper closed."""

from __future__ import annotations

import numpy as np

from sim2real.domains.channels import Channel
from sim2real_envs.arm.domain import PUSH_DOMAIN
from sim2real_envs.arm.props import Cube
from sim2real_envs.arm.robot import RobotModel
from sim2real_envs.arm.tasks.task import Array, Task, check_lengths, length

CUBE_CHANNELS = (
    Channel(name="object_offset", width=3, unit="m", low=-3.0, high=3.0, noise=0.003),
    Channel(name="object_velocity", width=3, unit="m/s", low=-4.0, high=4.0, noise=0.02),
    Channel(name="object_yaw", width=2, unit="1", low=-1.0, high=1.0, noise=0.02),
)
"""From the end effector to the cube; its velocity; cosine and sine of four times its yaw."""

_BEHIND = 0.03
"""From the middle of the cube to where the hand is drawn, behind it [m]: a little less than where they touch, so that
being drawn there is pushing."""


class CubeTask(Task):
    """A task with a cube on a table; cube and goal start in a square in front of the robot, apart from each other.

    Args:
        centre: Middle of the square [m].
        size: Edge of the square [m].
        success_distance: The task is solved while the cube is at most this far from the goal [m].

    Raises:
        Sim2RealError: A length is not positive.
    """

    channels = CUBE_CHANNELS
    with_cube = True
    cube: Cube
    max_displacement = 0.03  # a faster hand strikes the cube away
    smoothness_weight = 0.1
    floor = 0.015  # the tips of the fingers are 7 mm deeper
    hand_start = (0.0, 0.0, 0.1)
    """Of the end effector: from the middle of the square, in parts of its edge, and height over the table [m]."""
    cube_area = ((-1 / 3, 1 / 3), (-1 / 3, 1 / 3))
    """Where the cube starts, in x and y: from the middle of the square, in parts of its edge."""
    goal_area = ((-0.5, 0.5), (-0.5, 0.5))
    """Where the goals are, likewise."""
    least_distance = 0.1
    """Between cube and goal at the start [m]."""
    highest_goal = 0.0
    """How far goals lie above the table at most [m]; half of them lie on it."""

    def __init__(self, *, centre: tuple[float, float], size: float = 0.3, success_distance: float) -> None:
        check_lengths(size=size)
        super().__init__(success_distance=success_distance)
        self.goal_radius = min(success_distance, 0.02)  # hides no cube
        self.centre, self.size = np.array(centre), size
        x, y, height = self.hand_start
        self.start = (centre[0] + x * size, centre[1] + y * size, height)

    @classmethod
    def for_robot(cls, model: RobotModel, *, success_distance: float) -> CubeTask:
        """Return the task in the workspace of a robot."""
        return cls(centre=model.workspace[:2], size=model.workspace_size, success_distance=success_distance)

    def reset(self, rng: np.random.Generator) -> Array:
        """Place the cube and draw a goal, shape (3,) [m]."""
        x, y = self.centre + rng.uniform(*np.transpose(self.cube_area)) * self.size
        self.cube.place(x, y, rng.uniform(-np.pi, np.pi))
        while True:
            lift = self.highest_goal * max(0.0, rng.uniform(-1.0, 1.0))
            place = self.centre + rng.uniform(*np.transpose(self.goal_area)) * self.size
            goal = np.append(place, self.cube.size / 2.0 + lift)
            if np.linalg.norm(goal - self.cube.position) >= self.least_distance:
                return goal

    def achieved(self) -> Array:
        """Return where the cube is, shape (3,) [m]."""
        return self.cube.position

    def observe(self) -> list[Array]:
        """Return what is observed of the cube."""
        return [self.cube.position - self.state.position, self.cube.velocity, self.cube.quarter_yaw()]

    def achieved_in(self, ee_position: Array, things: Array) -> Array:
        """Return where the cube was in past observations, shape (..., 3) [m]."""
        return np.asarray(ee_position + things[..., :3])


class Push(CubeTask):
    """Push a cube over the table in any direction, with the closed gripper, which starts above the square."""

    domain_space = PUSH_DOMAIN
    hand = "closed"
    cube_area = ((-0.5, 0.5), (-0.5, 0.5))

    def aim(self, achieved: Array, desired: Array) -> Array:
        """Return where the hand has to be to push the cube to the goal, behind it, shape (..., 3) [m]."""
        way = np.subtract(achieved, desired, dtype=np.float64)
        way[..., 2] = 0.0
        way *= (_BEHIND / np.maximum(length(way), 1e-6))[..., None]
        way += achieved
        return way
