"""Stable-Baselines3 zips to policies and back.

Reading an SB3 zip **unpickles** parts of it, and so does reading a VecNormalize file: a prepared file can run any code.
Convert only files that you trust; a policy bundle (:mod:`sim2real.deployment.bundle`) has no such risk.
"""

from __future__ import annotations

import inspect
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from sim2real.deployment.networks import ALGORITHMS, algorithm_class
from sim2real.deployment.normalizer import Normalizer
from sim2real.deployment.policy import BundleInfo, Policy
from sim2real.errors import Sim2RealError
from sim2real.files import cannot_write

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

# Keys of an algorithm's saved data that those below it lack.
_MARKS = {
    "ppo": "clip_range",
    "tqc": "top_quantiles_to_drop_per_net",
    "sac": "target_entropy",
    "td3": "target_policy_noise",
}
_NOT_HYPERPARAMETERS = ("policy", "env", "policy_kwargs", "use_sde", "seed", "device", "verbose", "tensorboard_log")


def from_sb3_zip(path: str | Path, vec_normalize_path: str | Path | None = None) -> Policy:
    """Convert a model that SB3 saved. This **unpickles**: only for files that you trust.

    Args:
        path: What ``SAC.save``, ``TD3.save``, ``TQC.save`` or ``PPO.save`` wrote.
        vec_normalize_path: What ``VecNormalize.save`` wrote, if the model was trained with one.

    Raises:
        Sim2RealError: A file is missing or of another kind, or a bundle cannot hold such a policy.
    """
    from stable_baselines3.common.save_util import load_from_pkl
    from stable_baselines3.common.vec_env import VecNormalize

    algo = _algorithm_of(Path(path))
    try:
        # A policy needs no replay buffer, and one for hindsight would need an env.
        no_buffer: dict[str, Any] = {"replay_buffer_class": None, "replay_buffer_kwargs": {}}
        model = algorithm_class(algo).load(path, device="cpu", custom_objects=no_buffer)
    except Exception as error:  # SB3 documents no errors; whatever it meets, the file is the cause
        raise Sim2RealError(f"{path}: Stable-Baselines3 cannot load it: {str(error).splitlines()[0]}.") from error
    vec_normalize = None
    if vec_normalize_path is not None:
        if not Path(vec_normalize_path).is_file():
            raise Sim2RealError(f"{vec_normalize_path}: no such file; give the file that VecNormalize.save wrote.")
        vec_normalize = load_from_pkl(vec_normalize_path)
        if not isinstance(vec_normalize, VecNormalize):
            raise Sim2RealError(f"{vec_normalize_path}: holds no VecNormalize; give the file that its save wrote.")
    return Policy.from_sb3(
        model,
        vec_normalize=vec_normalize,
        info=BundleInfo(
            hyperparameters=_hyperparameters(algo, vars(model)),
            provenance={"converted_from": Path(path).name, "steps": model.num_timesteps, "seed": model.seed},
        ),
    )


def to_sb3_zip(policy: Policy, path: str | Path) -> tuple[Path, Path | None]:
    """Write a zip that stock SB3 opens (``SAC.load(path)``), and beside it the VecNormalize file, if normalised.

    Args:
        policy: What to write.
        path: The zip, ending in ``.zip``; the other is named ``<stem>_vecnormalize.pkl``.

    Returns:
        Both paths; the second is ``None`` without a normalizer.

    Raises:
        Sim2RealError: A file cannot be written, or SB3 has no such policy.
    """
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    if policy.network.asymmetric:
        raise Sim2RealError("Stable-Baselines3 has no policy whose critics read something else than its actor does.")
    path = Path(path)
    if path.suffix != ".zip" or not path.parent.is_dir():
        raise Sim2RealError(f"cannot write {path}: give the name of a .zip file in a folder that exists.")
    venv = DummyVecEnv([lambda: _Spaces(policy)])
    hyperparameters = _hyperparameters(policy.algo, policy.metadata.hyperparameters)
    buffer_size = hyperparameters.pop("buffer_size", None)
    off_policy = {"buffer_size": 1} if policy.algo != "ppo" else {}  # no memory for what is not filled
    network = policy.network
    sde = {"use_sde": True} if network.use_sde else {}
    model: BaseAlgorithm = algorithm_class(policy.algo)(
        network.policy,
        venv,
        policy_kwargs=network.policy_kwargs,
        device="cpu",
        **{**hyperparameters, **off_policy, **sde},
    )
    policy.copy_into(model)
    if policy.algo != "ppo":
        model.buffer_size = buffer_size or 1_000_000  # type: ignore[attr-defined]  # what SB3 builds on load
    model.num_timesteps = int(policy.metadata.provenance.get("steps") or 0)

    vec_path = None
    try:
        model.save(path)
        if policy.normalizer is not None:
            vec_path = path.with_name(f"{path.stem}_vecnormalize.pkl")
            _vec_normalize(VecNormalize, venv, policy.normalizer).save(str(vec_path))
    except OSError as error:
        raise cannot_write(path, error) from None
    return path, vec_path


class _Spaces(gym.Env[Any, Any]):
    """Has a policy's spaces and nothing else; SB3 wants an env to build a model."""

    def __init__(self, policy: Policy) -> None:
        self.observation_space = policy.observation_space
        self.action_space = policy.action_space


def _vec_normalize(kind: Any, venv: Any, normalizer: Normalizer) -> Any:
    keys = [key for key in normalizer.statistics if key is not None]
    vec = kind(
        venv,
        training=False,
        norm_obs=bool(normalizer.statistics),
        norm_reward=normalizer.returns is not None,
        norm_obs_keys=keys or None,
    )
    normalizer.into_vec_normalize(vec)
    return vec


def _algorithm_of(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
    except OSError as error:
        raise Sim2RealError(f"{path}: cannot read: {error.strerror}.") from error
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise Sim2RealError(f"{path}: not a zip that Stable-Baselines3 saved.") from None
    algo = next((name for name, mark in _MARKS.items() if mark in data), None)
    if algo is None:
        raise Sim2RealError(f"{path}: holds none of the algorithms {', '.join(ALGORITHMS)}; only these convert.")
    return algo


def _hyperparameters(algo: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those values that the algorithm's constructor takes and that are plain numbers, words or switches."""
    names = inspect.signature(algorithm_class(algo)).parameters
    return {
        name: values[name]
        for name in names
        if name in values
        and name not in _NOT_HYPERPARAMETERS
        and not name.startswith("_")
        and isinstance(values[name], (bool, int, float, str))
    }
