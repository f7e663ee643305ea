"""A task of the same shape as reaching that is its opposite: stay away from the goal. A control of the study."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium as gym


class Avoid(gym.Wrapper[Any, Any, Any, Any]):
    """A reaching arm that is paid for the distance to its goal, in metres, and succeeds 0.3 m away from it.

    Args:
        kwargs: Of the reaching world.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(gym.make("sim2real_envs:sim2real/PandaReach-v0", **kwargs))
        channels = {channel.name: channel for channel in self.get_wrapper_attr("observation_channels")}
        first = 0
        for channel in self.get_wrapper_attr("observation_channels"):
            if channel.name == "goal_offset":
                break
            first += channel.width
        self._goal = slice(first, first + channels["goal_offset"].width)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step; the reward is the distance to the goal, at most 1 m."""
        observation, _, terminated, truncated, info = self.env.step(action)
        distance = float((observation[self._goal] ** 2).sum() ** 0.5)
        info = {key: value for key, value in info.items() if not key.startswith("reward/")}
        return observation, min(distance, 1.0), terminated, truncated, {**info, "is_success": distance > 0.3}


gym.register("study/Avoid-v0", entry_point=Avoid)
