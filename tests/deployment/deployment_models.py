"""Small models of every kind, trained on nothing: their random weights do for equality tests."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sim2real.deployment.policy import BundleInfo
from sim2real.domains.channels import Channel

torch.set_num_threads(1)

BOX = spaces.Box(-np.inf, np.inf, (5,), np.float32)
WIDE = spaces.Box(-np.inf, np.inf, (5,), np.float64)
DICT = spaces.Dict(
    {"observation": spaces.Box(-10, 10, (4,), np.float64), "desired_goal": spaces.Box(-1, 1, (3,), np.float32)}
)
MIXED = spaces.Dict({"pose": spaces.Box(-1, 1, (2, 2), np.float32), "mode": spaces.Discrete(3)})
PICTURE = spaces.Box(0, 255, (36, 40, 3), np.uint8)
FIRST = spaces.Box(0, 255, (2, 36, 40), np.uint8)
SCALED = spaces.Box(-1.0, 1.0, (3, 36, 40), np.float32)
SEEN = spaces.Dict(
    {"pose": spaces.Box(-1, 1, (4,), np.float32), "front": PICTURE, "back": spaces.Box(0, 255, (37, 36, 1), np.uint8)}
)
ARM = spaces.Box(np.array([-1, -2], np.float32), np.array([1, 3], np.float32))

_FEW = {"features_extractor_kwargs": {"features_dim": 8}}
CASES: dict[str, tuple[type[BaseAlgorithm], spaces.Space[Any], spaces.Space[Any], dict[str, Any]]] = {
    "sac-box": (SAC, BOX, ARM, {"ent_coef": "auto_0.3"}),
    "sac-float64": (SAC, WIDE, ARM, {"ent_coef": 0.1}),
    "sac-dict": (SAC, DICT, ARM, {}),
    "sac-sde": (SAC, BOX, ARM, {"use_sde": True}),
    "td3-box": (TD3, BOX, ARM, {"policy_kwargs": {"net_arch": {"pi": [16], "qf": [24, 8]}, "n_critics": 3}}),
    "td3-dict": (TD3, MIXED, ARM, {}),
    "tqc-box": (TQC, BOX, ARM, {"policy_kwargs": {"n_quantiles": 7, "n_critics": 3}, "ent_coef": "auto_0.3"}),
    "tqc-dict": (TQC, DICT, ARM, {}),
    "ppo-box": (PPO, BOX, ARM, {"policy_kwargs": {"activation_fn": torch.nn.ELU, "log_std_init": -1.0}}),
    "ppo-sde": (PPO, BOX, ARM, {"use_sde": True, "policy_kwargs": {"squash_output": True}}),
    "ppo-dict": (PPO, DICT, ARM, {}),
    "ppo-discrete": (PPO, BOX, spaces.Discrete(4), {}),
    "ppo-multi-discrete": (PPO, spaces.Discrete(6), spaces.MultiDiscrete([3, 2]), {}),
    "ppo-multi-binary": (PPO, spaces.MultiDiscrete([4, 3]), spaces.MultiBinary(3), {}),
    "sac-picture": (SAC, PICTURE, ARM, {"ent_coef": "auto_0.3", "policy_kwargs": {**_FEW}}),
    "td3-picture": (TD3, PICTURE, ARM, {"policy_kwargs": {**_FEW, "share_features_extractor": True}}),
    "tqc-picture": (TQC, PICTURE, ARM, {"policy_kwargs": {**_FEW, "n_quantiles": 7}}),
    "tqc-pictures": (TQC, SEEN, ARM, {"policy_kwargs": {"features_extractor_kwargs": {"cnn_output_dim": 8}}}),
    "ppo-picture": (PPO, PICTURE, ARM, {"policy_kwargs": {**_FEW, "share_features_extractor": False}}),
    "ppo-picture-first": (PPO, FIRST, spaces.Discrete(4), {"policy_kwargs": {**_FEW}}),
    "ppo-picture-scaled": (PPO, SCALED, ARM, {"policy_kwargs": {**_FEW, "normalize_images": False}}),
    "ppo-picture-flat": (PPO, PICTURE, ARM, {}),
}

CHANNELS = (
    Channel(name="joint_position", width=3, unit="rad", low=-3.0, high=3.0),
    Channel(name="goal", width=2, unit="m", low=-float("inf"), high=float("inf"), noise=0.01),
)
INFO = BundleInfo(
    hyperparameters={"gamma": 0.95, "batch_size": 64, "net_arch": [16, 16]},
    observation_channels=CHANNELS,
    action_channels=(Channel(name="joint_torque", width=2, unit="N m", low=-1.0, high=1.0),),
    world={"env": "Pendulum-v1", "kwargs": {"g": 9.0}},
    domains={"randomizer": "uniform"},
    provenance={"seed": 3, "steps": 1000},
)


class Blank(gym.Env[Any, Any]):
    """Random observations of any space."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), float(self.np_random.normal()), False, False, {}


def make_model(case: str, *, seed: int = 0, normalize: bool | None = None) -> BaseAlgorithm:
    """Build the model of a case; normalised wherever the space allows, pictures not, unless told otherwise."""
    kind, observation_space, action_space, kwargs = CASES[case]
    venv: Any = DummyVecEnv([lambda: Blank(observation_space, action_space)])
    parts = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {"": observation_space}
    boxes = [key for key, part in parts.items() if isinstance(part, spaces.Box) and part.dtype != np.uint8]
    if boxes and normalize is not False:
        venv = VecNormalize(venv, norm_obs_keys=boxes if boxes != [""] else None)
        rng = np.random.default_rng(seed)
        stats = venv.obs_rms.values() if isinstance(venv.obs_rms, dict) else [venv.obs_rms]
        for rms in [*stats, venv.ret_rms]:
            rms.update(rng.normal(1.0, 2.0, (50, *np.shape(rms.mean))))
    kwargs = {"policy_kwargs": {}, **deepcopy(kwargs)}  # SB3 writes into them
    kwargs["policy_kwargs"] = {"net_arch": [16, 16], **kwargs["policy_kwargs"]}
    if kind is not PPO:
        kwargs["buffer_size"] = 10
    policy = "MultiInputPolicy" if isinstance(observation_space, spaces.Dict) else "MlpPolicy"
    if "picture" in case and policy == "MlpPolicy" and case != "ppo-picture-flat":
        policy = "CnnPolicy"
    return kind(policy, venv, seed=seed, device="cpu", **kwargs)


def draw(space: spaces.Space[Any], count: int, seed: int = 0) -> Any:
    """Draw a batch of observations, some far out."""
    space.seed(seed)
    if isinstance(space, spaces.Dict):
        samples = [space.sample() for _ in range(count)]
        return {key: np.stack([sample[key] for sample in samples]) for key in space}
    batch = np.stack([space.sample() for _ in range(count)])
    return batch * 5 if isinstance(space, spaces.Box) and space.dtype != np.uint8 else batch


def pick(batch: Any, index: int) -> Any:
    return {key: part[index] for key, part in batch.items()} if isinstance(batch, dict) else batch[index]


def sb3_predict(model: BaseAlgorithm, observation: Any, deterministic: bool = True) -> np.ndarray:
    vec = model.get_vec_normalize_env()
    return model.predict(vec.normalize_obs(observation) if vec else observation, deterministic=deterministic)[0]
