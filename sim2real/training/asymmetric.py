"""What an asymmetric critic learns from: the privileged observations, beside what the actor sees."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer

from sim2real.deployment.asymmetric import Standardized
from sim2real.domains.channels import element_name
from sim2real.domains.contract import Env, privileged_channels
from sim2real.errors import Sim2RealError

Array = NDArray[Any]

_INFO = "privileged"


class TellPrivileged(gym.Wrapper[Any, Any, Any, Any]):
    """Puts the privileged observations before and after each step into ``info["privileged"]``, shape (2, n).

    Its ``reset`` and ``step`` raise :class:`Sim2RealError` where an observation is not what its channels say, or holds
    a number that is not finite.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._channels = privileged_channels(env) or ()
        self._width = sum(channel.width for channel in self._channels)
        self._before: Array = np.zeros(0, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the env."""
        result = self.env.reset(seed=seed, options=options)
        self._before = self._read()
        return result

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the env."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        before, self._before = self._before, self._read()
        return observation, reward, terminated, truncated, {**info, _INFO: np.stack((before, self._before))}

    def _read(self) -> Array:
        told = self.env.get_wrapper_attr("privileged_observation")()
        try:
            row = np.array(told, np.float32)
        except (TypeError, ValueError):
            raise Sim2RealError(f"privileged_observation() must return numbers, got {told!r}.") from None
        if row.shape != (self._width,):
            raise Sim2RealError(
                f"privileged_observation() has shape {row.shape}, and privileged_channels name {self._width} numbers."
            )
        if not np.isfinite(row).all():
            index = int(np.argmin(np.isfinite(row)))
            raise Sim2RealError(
                f"privileged_observation(): {element_name(self._channels, index)} is {row[index]}; critics need finite "
                f"numbers."
            )
        return row


class AsymmetricReplayBuffer(ReplayBuffer):
    """A replay buffer that keeps privileged observations, too, from envs in :class:`TellPrivileged`.

    Args:
        privileged_dim: Numbers of such an observation.
        args: Of :class:`stable_baselines3.common.buffers.ReplayBuffer`.
        kwargs: Of the same.
    """

    def __init__(self, *args: Any, privileged_dim: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shape = (self.buffer_size, self.n_envs, privileged_dim)
        self.privileged = np.zeros(shape, np.float32)
        self.next_privileged = np.zeros(shape, np.float32)
        self.scale: Standardized | None = None
        """Told what comes in, see :class:`~sim2real.deployment.asymmetric.Standardized`."""

    def add(self, obs: Any, next_obs: Any, action: Any, reward: Any, done: Any, infos: Any) -> None:
        """Add one step of every env; see :meth:`stable_baselines3.common.buffers.ReplayBuffer.add`."""
        before, after = np.stack([info[_INFO] for info in infos], axis=1)
        self.privileged[self.pos], self.next_privileged[self.pos] = before, after
        if self.scale is not None:
            self.scale.update(torch.from_numpy(before))
        super().add(obs, next_obs, action, reward, done, infos)
