"""A user's own env, in a folder that is on no path but the user's, goes the whole way by the scripts alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim2real.cli.entry import run

REPO = Path(__file__).parent.parent

MODULE = '''
import gymnasium as gym
import numpy as np


class Cart(gym.Env):
    """A cart that is pushed and should stand at the origin."""

    def __init__(self):
        self.observation_space = gym.spaces.Box(-10.0, 10.0, (2,), np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.mass, self.force, self.most = 1.0, 8.0, 8.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1.0, 1.0, 2)
        return self.state.astype(np.float32), {}

    def step(self, action):
        x, v = self.state
        v = 0.9 * v + 0.05 * self.most / self.mass * float(np.clip(action[0], -1, 1))
        self.state = np.clip([x + 0.05 * v, v], -10, 10)
        return self.state.astype(np.float32), -abs(float(x)), False, False, {"is_success": bool(abs(x) < 0.2)}


gym.register("Cart-v0", entry_point=Cart, max_episode_steps=30)


def recompute(env):
    env.unwrapped.most = env.unwrapped.force
'''

DOMAIN = """
mass:  {path: unwrapped.mass, nominal: 1.0, low: 0.5, high: 4.0, unit: kg, train: [0.8, 1.2]}
force: {path: unwrapped.force, nominal: 1.0, low: 0.2, high: 2.0, operator: "*"}
after_set: "my_pkg:recompute"
signals: {action_delay: {high: 2}, observation_noise: {std: 0.02, high: 1}}
targets:
  heavy: {description: three times the mass, domain: {mass: 3.0, action_delay: 1}}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("somewhere")
    (folder / "my_pkg").mkdir()
    (folder / "my_pkg/__init__.py").write_text(MODULE)
    (folder / "cart.yaml").write_text(DOMAIN)
    return folder


def script(home, name, *args, expect=0):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, REPO / "scripts" / name, *args], cwd=home, env=environment, capture_output=True, text=True
    )
    assert done.returncode == expect, done.stderr
    return done


@pytest.mark.slow
def test_train_evaluate_and_transfer_a_custom_env(home):
    small = ["--set", "net_arch=[16]", "--set", "learning_starts=50", "--set", "batch_size=32"]
    train = ["--env", "my_pkg:Cart-v0", "--domain", "cart.yaml", "--steps", "300", "--out", "source", *small]
    script(home, "train.py", *train, "--eval-episodes", "3")
    assert (home / "source/policy.zip").exists()

    # The bundle knows its world: neither env nor domain file need be given again.
    script(home, "evaluate.py", "source", "--target", "heavy", "--episodes", "5", "--json", "heavy.json")
    result = json.loads((home / "heavy.json").read_text())
    assert result["env"] == "my_pkg:Cart-v0"
    assert result["domain"] == {"mass": 3.0, "force": 1.0, "action_delay": 1.0, "observation_noise": 0.0}

    target = ["--target", "heavy", "--steps", "150", "--seeds", "2", "--workers", "1", "--out", "moved", *small]
    script(home, "transfer.py", "source", *target, "--eval-episodes", "3")
    verdict = json.loads((home / "moved/result.json").read_text())
    assert verdict["verdict"] in {"pays", "does-not-pay", "undecided"}
    assert set(verdict["arms"]) == {"finetune", "scratch", "zero-shot"}


def test_from_elsewhere_the_module_is_named_with_the_fix(home, tmp_path):
    done = script(tmp_path, "train.py", "--env", "my_pkg:Cart-v0", "--steps", "10", "--out", "run", expect=2)
    assert done.stderr == (
        "error: unknown env 'my_pkg:Cart-v0': there is no module 'my_pkg' here; run from the folder that holds it, or "
        "add that folder to PYTHONPATH.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("env", "domain", "options"),
    [
        (
            "Pendulum-v1",
            "mass: {path: unwrapped.m, nominal: 1.0, low: 0.5, high: 2.0, unit: kg}\n"
            "length: {path: unwrapped.l, nominal: 1.0, low: 0.5, high: 1.5, unit: m}\n"
            "gravity: {path: unwrapped.g, nominal: 10.0, low: 8.0, high: 12.0, unit: m/s^2}\n"
            "signals: {action_delay: {high: 2}}\n"
            "targets:\n  heavy: {domain: {mass: 1.8}}\n",
            ["--steps", "150", "--set", "learning_starts=50", "--set", "net_arch=[16]"],
        ),
        (
            "CartPole-v1",
            "length: {path: unwrapped.length, nominal: 0.5, low: 0.25, high: 1.0, unit: m}\n"
            "gravity: {path: unwrapped.gravity, nominal: 9.8, low: 8.0, high: 12.0, unit: m/s^2}\n"
            "force: {path: unwrapped.force_mag, nominal: 10.0, low: 5.0, high: 15.0, unit: N}\n"
            "targets:\n  long-pole: {domain: {length: 0.9}}\n",
            ["--algo", "ppo", "--steps", "512"],
        ),
    ],
)
def test_gymnasiums_own_envs_need_ten_lines_of_yaml(tmp_path, monkeypatch, env, domain, options):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert len(domain.splitlines()) <= 10
    (tmp_path / "domain.yaml").write_text(domain)
    assert run(["train", "--env", env, "--domain", "domain.yaml", "--out", "run", *options]) == 0
    target = "heavy" if env == "Pendulum-v1" else "long-pole"
    assert run(["evaluate", "run", "--target", target, "--episodes", "3", "--json", "result.json"]) == 0
    assert json.loads((tmp_path / "result.json").read_text())["target"] == target
