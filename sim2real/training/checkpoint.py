"""Checkpoints from which a training goes on exactly as if it had not been interrupted.

A checkpoint is a folder of safetensors, npz and JSON: nothing in it is ever unpickled. It is written beside its
place, flushed to disk and renamed, so that a kill at any moment leaves the previous one whole.

The state of a simulator in mid-episode cannot be saved for every env. So each checkpoint is also a seam of the
training itself: every env is reset there, and every random stream is re-seeded from the run's seed and the step,
whether the run goes on or is resumed from the file. Both then see the same numbers.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.her import HerReplayBuffer

from sim2real.errors import Sim2RealError
from sim2real.files import cannot_write
from sim2real.seeding import derive_seed
from sim2real.training.hindsight import HindsightReplayBuffer

KEPT = 2
"""Checkpoints kept in a run folder: the newest, and one before it."""

_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")


@runtime_checkable
class Companion(Protocol):
    """What learns or collects beside a learner, and goes into its checkpoints: a callback that has these."""

    def state(self) -> dict[str, Any]:
        """Return all that it knows: mappings and lists of what is JSON-plain, and of numpy arrays."""

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state` has returned."""

    def begin_segment(self, seed: int) -> None:
        """Reset its envs, if it has some, and seed them; numpy and torch are seeded already."""

    def close(self) -> None:
        """Close what it has open; the training has ended, or failed."""


def begin_segment(learner: BaseAlgorithm, seed: int, companions: Sequence[Companion] = ()) -> None:
    """Re-seed everything that draws and reset every env, as a function of the run's seed and the step alone.

    Args:
        learner: A learner at the start of a rollout.
        seed: The run's seed.
        companions: What goes beside it.
    """
    env = learner.env
    assert env is not None
    learner.set_random_seed(derive_seed(seed, "segment", learner.num_timesteps))
    if learner.use_sde:  # SB3 draws the noise of a rollout before it begins
        getattr(learner, "actor", learner.policy).reset_noise(env.num_envs)  # type: ignore[operator]
    if isinstance(learner, OffPolicyAlgorithm):
        if isinstance(learner.replay_buffer, (HerReplayBuffer, HindsightReplayBuffer)):
            learner.replay_buffer.truncate_last_trajectory()
        if learner.action_noise is not None:
            learner.action_noise.reset()
    learner._last_obs = env.reset()  # type: ignore[assignment]
    learner._last_episode_starts = np.ones((env.num_envs,), dtype=bool)
    normalize = learner.get_vec_normalize_env()
    if normalize is not None:
        learner._last_original_obs = normalize.get_original_obs()
    for companion in companions:
        companion.begin_segment(derive_seed(seed, "companion", learner.num_timesteps))


def save_checkpoint(learner: BaseAlgorithm, folder: Path, companions: Sequence[Companion] = ()) -> Path:
    """Write a checkpoint of a learner at the start of a rollout.

    Args:
        learner: What is saved: networks, optimizers, replay buffer, normalizer, counters.
        folder: The ``checkpoints/`` folder of the run.
        companions: What goes beside it.

    Returns:
        The checkpoint's own folder.

    Raises:
        Sim2RealError: The disk refuses.
    """
    final = folder / f"step_{learner.num_timesteps:010d}"
    beside = folder / f".{final.name}.tmp"
    tensors, scalars = _flatten_parameters(learner)
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    state: dict[str, Any] = {name: getattr(learner, name) for name in _COUNTERS}
    state["optimizers"] = scalars
    state["companions"] = [
        _without_arrays(companion.state(), arrays, f"companion{index}") for index, companion in enumerate(companions)
    ]
    state["episodes"] = [
        {"r": float(e["r"]), "l": int(e["l"]), "t": float(e["t"])} for e in learner.ep_info_buffer or ()
    ]
    state["successes"] = [float(s) for s in learner.ep_success_buffer or ()]
    if isinstance(learner, OffPolicyAlgorithm):
        buffer_arrays, state["buffer"] = buffer_state(learner.replay_buffer)
        arrays.update({f"buffer.{name}": array for name, array in buffer_arrays.items()})
    normalize = learner.get_vec_normalize_env()
    if normalize is not None:
        for name, statistics in _running_statistics(normalize).items():
            arrays[f"normalizer.{name}.mean"] = np.asarray(statistics.mean)
            arrays[f"normalizer.{name}.var"] = np.asarray(statistics.var)
            arrays[f"normalizer.{name}.count"] = np.asarray(statistics.count)
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        save_file(tensors, beside / "parameters.safetensors")
        np.savez(beside / "arrays.npz", allow_pickle=False, **arrays)
        (beside / "state.json").write_text(json.dumps(state), encoding="utf-8")
        for file in (*beside.iterdir(), beside):
            _sync(file)
        shutil.rmtree(final, ignore_errors=True)
        beside.rename(final)
        _sync(folder)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk in its own class
        shutil.rmtree(beside, ignore_errors=True)
        raise cannot_write(final, error) from None
    for old in list_checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the whole checkpoints of a run, oldest first."""
    return sorted(path for path in folder.glob("step_*") if path.is_dir())


def load_checkpoint(learner: BaseAlgorithm, checkpoint: Path, companions: Sequence[Companion] = ()) -> None:
    """Put a freshly built learner of the same configuration, and what goes beside it, into the state of a checkpoint.

    Raises:
        Sim2RealError: The checkpoint is damaged.
    """
    try:
        tensors = load_file(checkpoint / "parameters.safetensors")
        state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        # Each array is read when its place is there: of a replay buffer of pictures two copies would not fit.
        with np.load(checkpoint / "arrays.npz", allow_pickle=False) as arrays:
            _restore_parameters(learner, tensors, state["optimizers"])
            for companion, own in zip(companions, state.get("companions", ()), strict=True):
                companion.load(_with_arrays(own, arrays))
            for name in _COUNTERS:
                setattr(learner, name, state[name])
            if isinstance(learner, OffPolicyAlgorithm):
                restore_buffer(learner.replay_buffer, _below("buffer.", arrays), state["buffer"])
            normalize = learner.get_vec_normalize_env()
            if normalize is not None:
                for name, statistics in _running_statistics(normalize).items():
                    statistics.mean = arrays[f"normalizer.{name}.mean"]
                    statistics.var = arrays[f"normalizer.{name}.var"]
                    statistics.count = float(arrays[f"normalizer.{name}.count"])
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise Sim2RealError(
            f"checkpoint {checkpoint} is damaged ({type(error).__name__}: {error}); delete it to resume from an "
            f"earlier one."
        ) from error
    learner.ep_info_buffer = deque(state["episodes"], maxlen=learner._stats_window_size)
    learner.ep_success_buffer = deque(state["successes"], maxlen=learner._stats_window_size)


def learner_state(learner: BaseAlgorithm) -> dict[str, Any]:
    """Return the state of a learner that goes beside another: its networks, optimizers and counters."""
    tensors, rests = _flatten_parameters(learner)
    numbers = {name: getattr(learner, name) for name in _COUNTERS}
    return {**numbers, "tensors": {name: value.numpy() for name, value in tensors.items()}, "optimizers": rests}


def load_learner_state(learner: BaseAlgorithm, state: Mapping[str, Any]) -> None:
    """Put a fresh learner into the state that :func:`learner_state` has returned."""
    tensors = {name: torch.from_numpy(value) for name, value in state["tensors"].items()}
    _restore_parameters(learner, tensors, state["optimizers"])
    for name in _COUNTERS:
        setattr(learner, name, state[name])


def _flatten_parameters(learner: BaseAlgorithm) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Split a learner's state dicts into tensors by flat name and JSON-plain rests of the optimizers."""
    tensors: dict[str, torch.Tensor] = {}
    rests: dict[str, Any] = {}
    module_names, variable_names = learner._get_torch_save_params()
    for name in module_names:
        module = _attribute(learner, name)
        state = module.state_dict()
        if not isinstance(module, torch.optim.Optimizer):
            tensors.update({f"{name}/{key}": value.contiguous().clone() for key, value in state.items()})
            continue
        for index, slots in state["state"].items():
            tensors.update({f"{name}/{index}/{slot}": value.clone() for slot, value in slots.items()})
        rests[name] = state["param_groups"]
    for name in variable_names:
        tensors[name] = _attribute(learner, name).detach().clone()
    return tensors, rests


def _restore_parameters(learner: BaseAlgorithm, tensors: dict[str, torch.Tensor], rests: dict[str, Any]) -> None:
    module_names, variable_names = learner._get_torch_save_params()
    for name in module_names:
        module = _attribute(learner, name)
        own = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
        if not isinstance(module, torch.optim.Optimizer):
            module.load_state_dict(own)
            continue
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in own.items():
            index, slot = key.split("/")
            slots.setdefault(int(index), {})[slot] = value
        module.load_state_dict({"state": slots, "param_groups": rests[name]})
    for name in variable_names:
        with torch.no_grad():
            _attribute(learner, name).copy_(tensors[name])


def _attribute(learner: BaseAlgorithm, dotted: str) -> Any:
    value: Any = learner
    for part in dotted.split("."):
        value = getattr(value, part)
    return value


def buffer_state(buffer: Any) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Return the filled part of a replay buffer's arrays by flat name, and its counters."""
    size = buffer.buffer_size if buffer.full else buffer.pos
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name, value in vars(buffer).items():
        parts = value if isinstance(value, dict) else {"": value}
        for key, array in parts.items():
            if not isinstance(array, np.ndarray) or array.dtype == object:
                continue
            per_step = array.ndim >= 1 and array.shape[0] == buffer.buffer_size
            arrays[f"{name}/{key}"] = array[:size] if per_step else array
    return arrays, {"pos": buffer.pos, "full": buffer.full, "size": size}


def restore_buffer(buffer: Any, arrays: Iterable[tuple[str, np.ndarray[Any, Any]]], state: Mapping[str, Any]) -> None:
    """Fill a fresh replay buffer with what :func:`buffer_state` has returned, the arrays as pairs of name and array."""
    buffer.pos, buffer.full = state["pos"], state["full"]
    for flat, saved in arrays:
        name, _, key = flat.partition("/")
        holder = getattr(buffer, name)
        array = holder[key] if key else holder
        array[: len(saved)] = saved


_ARRAY = "array:"
"""Begins what stands in the place of an array; its name follows."""


def _without_arrays(value: Any, arrays: dict[str, np.ndarray[Any, Any]], name: str) -> Any:
    """Return a state with the names of its arrays in their places; put them into ``arrays``."""
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return f"{_ARRAY}{name}"
    if isinstance(value, Mapping):
        return {key: _without_arrays(part, arrays, f"{name}.{key}") for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(part, arrays, f"{name}.{index}") for index, part in enumerate(value)]
    return value


def _with_arrays(value: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    """Return a state with its arrays back in their places."""
    if isinstance(value, str) and value.startswith(_ARRAY):
        return arrays[value.removeprefix(_ARRAY)]
    if isinstance(value, dict):
        return {key: _with_arrays(part, arrays) for key, part in value.items()}
    return [_with_arrays(part, arrays) for part in value] if isinstance(value, list) else value


def _below(prefix: str, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    return ((name.removeprefix(prefix), arrays[name]) for name in arrays if name.startswith(prefix))


def _running_statistics(normalize: VecNormalize) -> dict[str, RunningMeanStd]:
    statistics = {"return": normalize.ret_rms}
    if normalize.norm_obs:
        rms = normalize.obs_rms
        statistics.update({f"obs/{k}": v for k, v in rms.items()} if isinstance(rms, dict) else {"obs": rms})
    return statistics


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
