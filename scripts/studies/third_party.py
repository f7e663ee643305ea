"""Envs that this project did not write, as targets of the study of other shapes: their numbers named, nothing else.

They need ``pip install panda-gym==3.0.7 highway-env==1.12.1``. ``study/PandaGymReach-v0`` is panda-gym's PandaReach-v3,
its dict flattened. ``study/Racetrack-v0`` is highway-env's racetrack-v0, seen by a scanner in place of its grid, whose
cells of 3 m are too coarse for the edge of a road.
"""

from __future__ import annotations

import importlib
import math
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real.domains.channels import Channel, channel_box

Array = NDArray[np.float64]

BEAMS, RANGE = 32, 100.0
"""Of the scanner, over 270 degrees from right to left; how far it sees [m]."""
_LOOKS = np.geomspace(0.5, RANGE, 100)
"""Where a beam looks for the end of the road [m]."""
_CAR = 2.5  # m, half of another car's length


class PandaGymReach(gym.ObservationWrapper[Any, Any, Any]):
    """PandaReach-v3; the reward is -1 until the hand is at the goal."""

    observation_channels = (
        Channel(name="achieved_goal", width=3, unit="m", low=-10.0, high=10.0),
        Channel(name="desired_goal", width=3, unit="m", low=-10.0, high=10.0),
        Channel(name="ee_position", width=3, unit="m", low=-10.0, high=10.0),
        Channel(name="ee_velocity", width=3, unit="m/s", low=-10.0, high=10.0),
    )
    action_channels = (Channel(name="ee_displacement", width=3, unit="1", low=-1.0, high=1.0),)

    def __init__(self) -> None:
        _register("panda_gym", "panda-gym==3.0.7")
        super().__init__(gym.make("PandaReach-v3"))
        self.observation_space = channel_box(self.observation_channels)

    def observation(self, observation: Any) -> NDArray[np.float32]:
        """Return the parts one after the other."""
        parts = [observation[name] for name in ("achieved_goal", "desired_goal", "observation")]
        return np.concatenate(parts).astype(np.float32)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step; success is a bool."""
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, float(reward), bool(terminated), bool(truncated), {"is_success": bool(info["is_success"])}


class Racetrack(gym.Wrapper[Any, Any, Any, Any]):
    """racetrack-v0: stay in the middle of the lane at 10 m/s, with one other car on the road.

    Args:
        duration: Of an episode [s]; at five steps a second.
    """

    observation_channels = (
        Channel(name="lidar", width=BEAMS, unit="m", low=0.0, high=RANGE, sampled=True),
        Channel(name="speed", width=1, unit="m/s", low=-40.0, high=40.0),
        Channel(name="yaw_rate", width=1, unit="rad/s", low=-10.0, high=10.0),
        Channel(name="steering", width=1, unit="rad", low=-1.0, high=1.0),
    )
    action_channels = (Channel(name="steering", width=1, unit="1", low=-1.0, high=1.0),)

    def __init__(self, duration: int = 40) -> None:
        _register("highway_env", "highway-env==1.12.1")
        super().__init__(gym.make("racetrack-v0", config={"duration": duration}))
        self.observation_space = channel_box(self.observation_channels)
        self._angles = np.linspace(-0.75 * math.pi, 0.75 * math.pi, BEAMS)

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Reset; the grid is not shown."""
        self.env.reset(**kwargs)
        return self._look(), {}

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step; the grid is not shown. The lap is no aim of this env, so that there is no success."""
        _, reward, terminated, truncated, _ = self.env.step(np.asarray(action))
        return self._look(), float(reward), bool(terminated), bool(truncated), {}

    def _look(self) -> NDArray[np.float32]:
        car = self.unwrapped.vehicle  # type: ignore[attr-defined]
        slip = math.atan(0.5 * math.tan(car.action["steering"]))
        measured = car.speed, car.speed * math.sin(slip) / (car.LENGTH / 2), car.action["steering"]
        return np.array([*self._scan(car), *measured], np.float32)

    def _scan(self, car: Any) -> Array:
        """Return how far the road goes on in each direction, up to another car, shape (BEAMS,) [m]."""
        road = self.unwrapped.road  # type: ignore[attr-defined]
        angles = car.heading + self._angles
        directions = np.stack((np.cos(angles), np.sin(angles)), 1)
        points = car.position + _LOOKS[:, None, None] * directions  # (distances, BEAMS, 2)
        free = np.zeros(points.shape[:2], dtype=bool)
        for lane in road.network.lanes_list():
            free |= _on_lane(lane, points)
        for other in road.vehicles:
            if other is not car:
                free &= np.linalg.norm(points - other.position, axis=2) > _CAR
        return np.where(free.all(0), RANGE, _LOOKS[np.argmin(free, 0)])


def _register(module: str, package: str) -> None:
    """Import a package, which registers its envs.

    Raises:
        DependencyNotInstalled: It is not there.
    """
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise gym.error.DependencyNotInstalled(f"pip install {package}") from error


def _on_lane(lane: Any, points: Array) -> NDArray[np.bool_]:
    """Return which points are on a lane, straight or a part of a circle; lanes end 1 m late, to leave no gap."""
    if hasattr(lane, "radius"):
        x, y = np.moveaxis(points - lane.center, -1, 0)
        turned = (np.arctan2(y, x) - lane.start_phase + math.pi) % (2.0 * math.pi) - math.pi
        along = lane.direction * turned * lane.radius
        across = lane.radius - np.hypot(x, y)
    else:
        away = points - lane.start
        along, across = away @ lane.direction, away @ lane.direction_lateral
    on: NDArray[np.bool_] = (np.abs(across) <= 0.5 * lane.width) & (along >= -1.0) & (along <= lane.length + 1.0)
    return on


gym.register("study/PandaGymReach-v0", entry_point=PandaGymReach)
gym.register("study/Racetrack-v0", entry_point=Racetrack)
