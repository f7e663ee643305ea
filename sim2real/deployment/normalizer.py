"""Frozen running statistics that a policy's observations are normalised with.

The numbers are those of Stable-Baselines3's ``VecNormalize``, without the vector env round it and without its pickle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError

if TYPE_CHECKING:
    from stable_baselines3.common.running_mean_std import RunningMeanStd
    from stable_baselines3.common.vec_env import VecNormalize

Observation = NDArray[Any] | dict[str, NDArray[Any]]

_FIELDS = ("mean", "var", "count")


@dataclass(frozen=True, kw_only=True, eq=False)
class RunningStatistics:
    """Mean, variance and weight of what was seen."""

    mean: NDArray[np.float64]
    """Mean, in the shape of one observation."""
    var: NDArray[np.float64]
    """Variance, in the same shape, at least 0."""
    count: float
    """How many observations it stands for, above 0."""

    def __post_init__(self) -> None:
        for name in ("mean", "var"):
            array = np.array(getattr(self, name), dtype=np.float64)
            if not np.isfinite(array).all():
                raise Sim2RealError(f"the {name} of the normalizer holds a value that is not finite.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "count", float(self.count))
        if self.mean.shape != self.var.shape:
            raise Sim2RealError(
                f"the mean {self.mean.shape} and var {self.var.shape} of the normalizer differ in shape."
            )
        if (self.var < 0).any():
            raise Sim2RealError("the variance of the normalizer must not be negative.")
        if not 0 < self.count < np.inf:
            raise Sim2RealError(f"the count of the normalizer = {self.count:g} must be a finite number above 0.")

    @classmethod
    def copy_of(cls, rms: RunningMeanStd) -> RunningStatistics:
        """Copy SB3's running statistics."""
        return cls(mean=rms.mean, var=rms.var, count=float(rms.count))

    def copy_into(self, rms: RunningMeanStd) -> None:
        """Overwrite SB3's running statistics with a copy of these."""
        rms.mean, rms.var, rms.count = self.mean.copy(), self.var.copy(), self.count


@dataclass(frozen=True, kw_only=True, eq=False)
class Normalizer:
    """Maps observations to roughly zero mean and unit variance, exactly as ``VecNormalize.normalize_obs`` does."""

    statistics: Mapping[str | None, RunningStatistics]
    """Per key of a Dict observation, or under ``None`` for a Box; what has no statistics passes through unchanged."""
    returns: RunningStatistics | None = None
    """Statistics of the discounted return (scalar), with which training scaled rewards."""
    clip: float = 10.0
    """Largest magnitude of a normalised value, above 0."""
    epsilon: float = 1e-8
    """Added to each variance, above 0."""
    _scale: dict[str | None, NDArray[np.float64]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("clip", "epsilon"):
            value = getattr(self, name)
            if not 0 < value < np.inf:
                raise Sim2RealError(f"the {name} of the normalizer = {value:g} must be a finite number above 0.")
        scale = {key: np.sqrt(part.var + self.epsilon) for key, part in self.statistics.items()}
        object.__setattr__(self, "_scale", scale)

    def __call__(self, observation: Observation) -> Observation:
        """Return the normalised observation: one, or a batch along the first axis; float32 where statistics exist."""
        if isinstance(observation, dict):
            return {key: self._apply(key, value) for key, value in observation.items()}
        return self._apply(None, observation)

    def _apply(self, key: str | None, value: NDArray[Any]) -> NDArray[Any]:
        if key not in self.statistics:
            return value
        normal = (value - self.statistics[key].mean) / self._scale[key]
        return np.minimum(np.maximum(normal, -self.clip), self.clip).astype(np.float32)

    def check_fits(self, observation_space: spaces.Space[Any]) -> None:
        """Check that every statistic has its Box in the space.

        Raises:
            Sim2RealError: One has none, or one of another shape.
        """
        parts: Mapping[Any, Any] = (
            observation_space.spaces if isinstance(observation_space, spaces.Dict) else {None: observation_space}
        )
        for key, part in self.statistics.items():
            name = "observation" if key is None else f"observation[{key!r}]"
            if not isinstance(parts.get(key), spaces.Box):
                raise Sim2RealError(
                    f"the normalizer has statistics for {name}, which is no Box of {observation_space}."
                )
            if part.mean.shape != parts[key].shape:
                raise Sim2RealError(
                    f"the normalizer's statistics for {name} have shape {part.mean.shape}, not {parts[key].shape}."
                )

    @classmethod
    def from_vec_normalize(cls, vec: VecNormalize) -> Normalizer:
        """Copy the statistics of SB3's wrapper; those of observations only if it normalises them."""
        statistics: dict[str | None, RunningStatistics] = {}
        if vec.norm_obs:
            parts: Mapping[Any, RunningMeanStd] = vec.obs_rms if isinstance(vec.obs_rms, dict) else {None: vec.obs_rms}
            statistics = {key: RunningStatistics.copy_of(rms) for key, rms in parts.items()}
        returns = RunningStatistics.copy_of(vec.ret_rms) if vec.norm_reward else None
        return cls(statistics=statistics, returns=returns, clip=float(vec.clip_obs), epsilon=float(vec.epsilon))

    def into_vec_normalize(self, vec: VecNormalize) -> None:
        """Overwrite the statistics of SB3's wrapper with copies of these, so that learning goes on where it stopped.

        Raises:
            Sim2RealError: The wrapper normalises other observations than these statistics are for.
        """
        self.check_fits(vec.observation_space)
        own: Mapping[Any, RunningMeanStd] = {}
        if vec.norm_obs:
            own = vec.obs_rms if isinstance(vec.obs_rms, dict) else {None: vec.obs_rms}
        if set(own) != set(self.statistics):
            raise Sim2RealError(
                f"VecNormalize normalises {_keys(own)}, the policy's statistics are for {_keys(self.statistics)}; "
                "give it norm_obs and norm_obs_keys to match."
            )
        for key, part in self.statistics.items():
            part.copy_into(own[key])
        if self.returns is not None:
            self.returns.copy_into(vec.ret_rms)
        vec.clip_obs, vec.epsilon = self.clip, self.epsilon

    def to_tensors(self) -> dict[str, NDArray[np.float64]]:
        """Return everything as float64 arrays by name, the inverse of :meth:`from_tensors`."""
        named = {"observation" if key is None else f"observation/{key}": part for key, part in self.statistics.items()}
        if self.returns is not None:
            named["returns"] = self.returns
        tensors = {f"{name}/{part}": np.array(getattr(rms, part)) for name, rms in named.items() for part in _FIELDS}
        return {**tensors, "clip": np.array(self.clip), "epsilon": np.array(self.epsilon)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> Normalizer:
        """Rebuild a normalizer from :meth:`to_tensors`; nothing in ``tensors`` is trusted.

        Raises:
            Sim2RealError: A name is missing or unknown, or a value is out of its range.
        """
        left = dict(tensors)
        clip, epsilon = (_scalar(left, name) for name in ("clip", "epsilon"))
        statistics: dict[str | None, RunningStatistics] = {}
        returns = None
        for name in [name.removesuffix("/mean") for name in left if name.endswith("/mean")]:
            count = _scalar(left, f"{name}/count")
            part = RunningStatistics(mean=_take(left, f"{name}/mean"), var=_take(left, f"{name}/var"), count=count)
            if name == "returns":
                returns = part
            elif name == "observation" or name.startswith("observation/"):
                statistics[name.removeprefix("observation/") if name != "observation" else None] = part
            else:
                raise Sim2RealError(f"the normalizer holds statistics of an unknown kind, {name!r}.")
        if left:
            raise Sim2RealError(f"the normalizer holds unknown tensors: {', '.join(sorted(left))}.")
        if returns is not None and returns.mean.shape != ():
            raise Sim2RealError("the normalizer's statistics of returns must be scalars.")
        return cls(statistics=statistics, returns=returns, clip=clip, epsilon=epsilon)


def _take(tensors: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in tensors:
        raise Sim2RealError(f"the normalizer lacks {name!r}.")
    array = tensors.pop(name)
    if array.dtype != np.float64:
        raise Sim2RealError(f"{name!r} of the normalizer is {array.dtype}, not float64.")
    return array


def _scalar(tensors: dict[str, NDArray[Any]], name: str) -> float:
    array = _take(tensors, name)
    if array.shape != ():
        raise Sim2RealError(f"{name!r} of the normalizer must be a scalar.")
    return float(array)


def _keys(parts: Mapping[Any, Any]) -> str:
    return ", ".join("the observation" if key is None else repr(key) for key in parts) or "nothing"
