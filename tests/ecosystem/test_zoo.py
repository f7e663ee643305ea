"""RL Baselines3 Zoo trains in the worlds, with the tuned hyperparameters."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import sim2real_envs  # noqa: F401 - registers the worlds
from sim2real.deployment.sb3 import from_sb3_zip
from sim2real_policies import tuned_hyperparameters

pytest.importorskip("rl_zoo3")
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("algo", "world", "steps", "kwargs"),
    [
        (SAC, "PandaReach-v0", 600, {}),
        (SAC, "PandaPush-v0", 900, {"observation": "goal"}),
        (TD3, "Labyrinth-v0", 600, {}),
        (PPO, "Drive-v0", 2048, {}),
    ],
)
def test_the_zoo_trains_a_model_that_stock_sb3_loads_and_that_acts(algo, world, steps, kwargs, tmp_path):
    name, env_id = algo.__name__.lower(), f"sim2real/{world}"
    conf = f"sim2real_policies.zoo.{name}"
    words = ["--algo", name, "--env", env_id, "--gym-packages", "sim2real_envs", "--conf-file", conf]
    done = subprocess.run(
        [sys.executable, "-m", "rl_zoo3.train", *words, "-n", str(steps), "--seed", "1", "--eval-freq", "-1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in (".", "envs", "policies"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "logs" / name / f"sim2real-{world}_1"
    tuned = tuned_hyperparameters(name, env_id)
    saved = str(folder / f"sim2real-{world}" / "vecnormalize.pkl")
    with closing(VecNormalize.load(saved, DummyVecEnv([lambda: gym.make(env_id, **kwargs)]))) as envs:
        envs.training = False
        model = algo.load(folder / f"sim2real-{world}.zip", env=envs)
        assert (model.gamma, model.lr_schedule(1.0)) == (tuned["gamma"], tuned["learning_rate"])
        assert model.policy.net_arch == tuned["net_arch"]
        assert model.num_timesteps >= steps
        assert model._n_updates > 0
        policy = from_sb3_zip(folder / f"sim2real-{world}.zip", saved)
        observation = envs.reset()
        for _ in range(5):
            actions, _ = model.predict(observation, deterministic=True)
            assert envs.action_space.contains(actions[0])
            converted = policy.predict(envs.get_original_obs())
            np.testing.assert_allclose(converted, actions, atol=1e-5)
            observation, *_ = envs.step(actions)
