"""One factory for the learners: Stable-Baselines3's algorithms, set up from plain hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize, VecTransposeImage

from sim2real.deployment.asymmetric import asymmetric
from sim2real.deployment.pictures import channels_first, check_pictures, has_pictures, is_picture
from sim2real.domains.contract import Env, privileged_channels
from sim2real.domains.randomizers import RandomizerSpec
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.asymmetric import AsymmetricReplayBuffer, TellPrivileged
from sim2real.training.fast.sac import FastSAC
from sim2real.training.fast.td3 import FastTD3
from sim2real.training.fast.tqc import FastTQC
from sim2real.training.hindsight import HindsightReplayBuffer
from sim2real.training.hyperparameters import OWN
from sim2real.training.sampler.remote import RemoteVecEnv
from sim2real.training.sampler.vec_env import ParallelVecEnv

_LEARNERS: Mapping[str, Any] = {"sac": FastSAC, "td3": FastTD3, "tqc": FastTQC, "ppo": PPO}

_COMPILE_FROM = 5_000
"""Env steps from which compiling the update (seconds; once for each machine and network) saves time; with pictures none
do, as the convolutions, which take most of it, are the same compiled or not."""

_ACTIVATIONS: Mapping[str, type[torch.nn.Module]] = {
    "relu": torch.nn.ReLU,
    "tanh": torch.nn.Tanh,
    "elu": torch.nn.ELU,
    "silu": torch.nn.SiLU,
    "gelu": torch.nn.GELU,
    "leaky_relu": torch.nn.LeakyReLU,
}


def check_spaces(algo: str, env: Env, hyperparameters: Mapping[str, Any]) -> None:
    """Refuse spaces that an algorithm cannot learn in, before anything is built.

    Raises:
        Sim2RealError: The message names the space and what to do.
    """
    check_pictures(env.observation_space)
    if "features_dim" in hyperparameters and not has_pictures(env.observation_space):
        raise Sim2RealError(
            f"hyperparameter features_dim = {hyperparameters['features_dim']} is for pictures, and the env gives none; "
            f"leave it out, and give net_arch."
        )
    if hyperparameters.get("asymmetric_critic"):
        _check_asymmetric(env, hyperparameters)
    if algo != "ppo":
        if not isinstance(env.action_space, gym.spaces.Box):
            raise Sim2RealError(
                f"algorithm {algo!r} needs continuous (Box) actions, the env has {env.action_space}; use ppo."
            )
        if not np.all(np.isfinite([env.action_space.low, env.action_space.high])):
            raise Sim2RealError(f"algorithm {algo!r} needs bounded actions, the env has {env.action_space}.")


def _check_asymmetric(env: Env, hyperparameters: Mapping[str, Any]) -> None:
    if not privileged_channels(env):
        raise Sim2RealError(
            "hyperparameter asymmetric_critic = true needs an env that tells what the simulator knows "
            "(privileged_channels, privileged_observation()); set it to false."
        )
    what = {
        "Dict observations": isinstance(env.observation_space, gym.spaces.Dict),
        "state-dependent exploration (use_sde)": hyperparameters.get("use_sde"),
        "hindsight": hyperparameters.get("hindsight"),
        "n_steps above 1": hyperparameters.get("n_steps", 1) > 1,
        "a net_arch without hidden layers": not all(_layers(hyperparameters["net_arch"])),
    }
    for name, there in what.items():
        if there:
            raise Sim2RealError(f"hyperparameter asymmetric_critic = true does not go with {name}; set it to false.")


def _layers(net_arch: Any) -> list[Sequence[int]]:
    return list(net_arch.values()) if isinstance(net_arch, Mapping) else [net_arch]


def make_training_env(
    world: World,
    randomizer: RandomizerSpec,
    hyperparameters: Mapping[str, Any],
    n_envs: int,
    *,
    workers: int = 0,
    address: str | None = None,
) -> VecEnv:
    """Build the vectorized env that a learner collects from, normalized as the hyperparameters say.

    Args:
        world: What its envs are.
        randomizer: Where their domains come from.
        hyperparameters: Full hyperparameters.
        n_envs: How many envs.
        workers: Processes that they step in; this one for 0. What is seen does not depend on it.
        address: Of the Ray cluster that these are in; this machine if ``None``. Nor does it depend on that.

    Raises:
        Sim2RealError: There is no such cluster, or it has no room.
    """
    factory: Callable[[], Env] = partial(world.make, randomizer=randomizer)
    if hyperparameters.get("asymmetric_critic"):
        factory = partial(_telling_privileged, factory)
    factories = [factory] * n_envs
    return normalized_env(turned_env(VecMonitor(_vectorize(factories, workers, address))), hyperparameters)


def _telling_privileged(factory: Callable[[], Env]) -> Env:
    return TellPrivileged(factory())


def turned_env(vec_env: VecEnv) -> VecEnv:
    """Return a vectorized env that gives pictures with their channels first, as the networks read them.

    It belongs inside of the normalizer. Where it is missing, Stable-Baselines3 puts one outside, and the replay buffer,
    which is filled with what the normalizer was given, would get pictures as the envs give them.
    """
    space = vec_env.observation_space
    return vec_env if channels_first(space) is space else VecTransposeImage(vec_env)


def normalized_env(vec_env: VecEnv, hyperparameters: Mapping[str, Any]) -> VecEnv:
    """Return a vectorized env, normalized as the hyperparameters say."""
    observation, reward = hyperparameters["normalize_observation"], hyperparameters["normalize_reward"]
    if observation or reward:
        space = vec_env.observation_space
        keys = None
        if isinstance(space, gym.spaces.Dict):
            keys = [key for key, part in space.items() if _is_normalized(part)]
        observation = observation and (_is_normalized(space) if keys is None else bool(keys))
        vec_env = VecNormalize(
            vec_env,
            norm_obs=observation,
            norm_reward=reward,
            gamma=hyperparameters["gamma"],
            norm_obs_keys=keys if observation else None,
        )
    return vec_env


def _vectorize(factories: Sequence[Callable[[], Env]], workers: int, address: str | None) -> VecEnv:
    if address is not None:
        from sim2real.training.sampler.ray_vec_env import RayVecEnv  # it needs an extra

        return RayVecEnv(factories, workers=workers, address=address)
    return ParallelVecEnv(factories, workers=workers) if workers else DummyVecEnv(list(factories))


def _is_normalized(space: gym.Space[Any]) -> bool:
    """Return whether running statistics suit a space: numbers do, pictures have a scale that all networks know."""
    return isinstance(space, gym.spaces.Box) and space.dtype != np.uint8


def make_learner(
    algo: str, vec_env: VecEnv, hyperparameters: Mapping[str, Any], *, seed: int, steps: int
) -> BaseAlgorithm:
    """Build a learner with fresh networks and optimizers.

    Args:
        algo: ``"sac"``, ``"td3"``, ``"tqc"`` or ``"ppo"``.
        vec_env: What it collects from.
        hyperparameters: Full hyperparameters, see :func:`~sim2real.training.hyperparameters.resolve_hyperparameters`.
        seed: Seeds the initial weights.
        steps: Env steps it will take, which decide whether compiling its update pays.

    Raises:
        Sim2RealError: Stable-Baselines3 refuses a value, or there is too little memory for the replay buffer.
    """
    arguments = {name: value for name, value in hyperparameters.items() if name not in OWN}
    if arguments.get("action_noise") is not None:
        shape = vec_env.action_space.shape
        assert shape is not None
        arguments["action_noise"] = NormalActionNoise(np.zeros(shape), np.full(shape, float(arguments["action_noise"])))
    told = hyperparameters.get("asymmetric_critic") and vec_env.get_attr("privileged_channels")[0]
    width = sum(channel.width for channel in told or ())
    if "buffer_size" in arguments:
        _check_room(vec_env.observation_space, arguments["buffer_size"], steps, width)
    is_dict = isinstance(vec_env.observation_space, gym.spaces.Dict)
    if is_dict and algo != "ppo" and "desired_goal" in vec_env.observation_space.spaces:  # type: ignore[attr-defined]
        from stable_baselines3 import HerReplayBuffer

        arguments["replay_buffer_class"] = HerReplayBuffer
    elif hyperparameters.get("hindsight"):
        arguments["replay_buffer_class"] = HindsightReplayBuffer
        arguments["replay_buffer_kwargs"] = {
            "offset": _goal_offset(vec_env, hyperparameters["hindsight"]),
            "fraction": hyperparameters["hindsight"],
        }
    widths = hyperparameters["net_arch"]
    net_arch = {part: list(own) for part, own in widths.items()} if isinstance(widths, Mapping) else list(widths)
    policy_kwargs: dict[str, Any] = {
        "net_arch": net_arch,
        "activation_fn": _ACTIVATIONS[hyperparameters["activation"]],
    }
    if "features_dim" in hyperparameters:
        name = "cnn_output_dim" if is_dict else "features_dim"
        policy_kwargs["features_extractor_kwargs"] = {name: hyperparameters["features_dim"]}
    one = "CnnPolicy" if is_picture(vec_env.observation_space) else "MlpPolicy"
    policy: Any = "MultiInputPolicy" if is_dict else one
    if hyperparameters.get("asymmetric_critic"):
        policy = asymmetric(_LEARNERS[algo].policy_aliases[policy])
        policy_kwargs["privileged_dim"] = width
        arguments["replay_buffer_class"] = AsymmetricReplayBuffer
        arguments["replay_buffer_kwargs"] = {"privileged_dim": width}
    try:
        learner: BaseAlgorithm = _LEARNERS[algo](
            policy,
            vec_env,
            policy_kwargs=policy_kwargs,
            seed=seed,
            device="cpu",
            **arguments,
        )
        if isinstance(learner, (FastSAC, FastTD3, FastTQC)):
            learner.compiled = steps >= _COMPILE_FROM and not has_pictures(vec_env.observation_space)
            if isinstance(learner.replay_buffer, HindsightReplayBuffer):
                learner.replay_buffer.set_env(_one_of(vec_env))
    except (AssertionError, TypeError, ValueError) as error:
        raise Sim2RealError(f"{algo} refuses its hyperparameters: {' '.join(str(error).split())}") from error
    return learner


def _check_room(space: gym.Space[Any], buffer_size: int, steps: int, privileged: int) -> None:
    """Check that there is memory for what a replay buffer will hold, before any is taken.

    Args:
        space: Of the observations.
        buffer_size: Transitions that it has room for.
        steps: Transitions that come.
        privileged: Numbers of float32 beside each observation.

    Raises:
        Sim2RealError: There is not; the message says how many transitions there is memory for.
    """
    parts = space.values() if isinstance(space, gym.spaces.Dict) else [space]
    each = 2 * (4 * privileged + sum(np.dtype(part.dtype).itemsize * math.prod(part.shape or ()) for part in parts))
    kept, free = min(buffer_size, steps), _free_memory()
    if free is not None and kept * each > free:
        raise Sim2RealError(
            f"hyperparameter buffer_size = {buffer_size}: {kept} transitions of {each / 1e3:.1f} kB take "
            f"{kept * each / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free; lower it to {free // each} or "
            f"less."
        )


def _free_memory() -> int | None:
    """Return the memory that this machine can give [bytes]; ``None`` where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # no Linux
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _one_of(vec_env: VecEnv) -> Env:
    """Return one of its envs, or one like them, to ask what does not depend on the state of an episode."""
    envs = vec_env.unwrapped
    return envs.prototype if isinstance(envs, RemoteVecEnv) else envs.envs[0]  # type: ignore[attr-defined]


def _goal_offset(vec_env: VecEnv, hindsight: float) -> tuple[int, int]:
    """Return the first column of the channel ``goal_offset`` in the observation, and the one behind its last.

    Raises:
        Sim2RealError: There is no such channel, or no ``goal_reward`` to go with it.
    """
    channels = vec_env.get_attr("observation_channels")[0] if vec_env.has_attr("observation_channels") else ()
    first = 0
    for channel in channels or ():
        if channel.name == "goal_offset" and vec_env.has_attr("goal_reward"):
            return first, first + channel.width
        first += channel.width
    raise Sim2RealError(
        f"hyperparameter hindsight = {hindsight} needs an env with a channel 'goal_offset' and a method goal_reward(); "
        f"set it to 0."
    )
