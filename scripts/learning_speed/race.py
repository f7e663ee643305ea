"""One training, timed from the start of the program until it succeeds; under our Python, or under the peers'.

    python race.py '{"side": "sim2real", "task": "PandaReach", "seed": 0, "every": 500, "limit": 900}'

Prints ``{"seconds": ..., "steps": ..., "curve": [[steps, seconds, success], ...]}``, the first two ``null`` where the
limit [s] came first. The clock begins when the program is started, imports included, and rests during evaluations.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_STARTED = time.time()  # before the imports that take long

GOAL, EPISODES = 0.95, 100
"""Success that ends the race, and the episodes it is measured in."""

SETTINGS: dict[str, dict[str, Any]] = {
    "PandaReach": {
        "learning_rate": 1e-3,
        "gamma": 0.95,
        "batch_size": 256,
        "learning_starts": 1000,
        "policy_kwargs": {"net_arch": [64, 64], "n_critics": 1},
    },
    "PandaPush": {
        "learning_rate": 1e-3,
        "gamma": 0.95,
        "batch_size": 2048,
        "tau": 0.05,
        "policy_kwargs": {"net_arch": [512, 512, 512], "n_critics": 2},
    },
    "PandaPush, small": {
        "learning_rate": 1e-3,
        "gamma": 0.95,
        "batch_size": 256,
        "policy_kwargs": {"net_arch": [256, 256, 256]},
    },
}
"""Published settings for panda-gym with hindsight, four of five goals relabelled: the first two are those that RL
Baselines3 Zoo has for these tasks (for TQC, here for SAC), the third those it has for SAC with hindsight."""


def ours(task: str, seed: int) -> tuple[Any, Any]:
    """Return our learner with its tuned settings in our world, and an env to test it in."""
    from sim2real.domains.world import World
    from sim2real.training.hyperparameters import resolve_hyperparameters, tuned_steps
    from sim2real.training.learner import make_learner, make_training_env

    world = World.of(f"sim2real_envs:sim2real/{task}-v0")
    values = resolve_hyperparameters("sac", world, None)
    vec_env = make_training_env(world, "none", values, values["n_envs"])
    learner = make_learner("sac", vec_env, values, seed=seed, steps=tuned_steps("sac", world) or 0)
    return learner, world.make()


def theirs(task: str, seed: int) -> tuple[Any, Any]:
    """Return Stable-Baselines3's SAC in panda-gym's world, and an env to test it in."""
    import gymnasium as gym
    import panda_gym  # noqa: F401 (registers its envs)
    from stable_baselines3 import SAC, HerReplayBuffer
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    def make() -> Any:
        # panda-gym does not pass the checker of today's Gymnasium.
        return gym.make(f"{task.partition(',')[0]}-v3", disable_env_checker=True)

    vec_env: Any = DummyVecEnv([make])
    if task == "PandaReach":
        vec_env = VecNormalize(vec_env)
    replay = {"n_sampled_goal": 4, "goal_selection_strategy": "future"}
    learner = SAC(
        "MultiInputPolicy",
        vec_env,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs=replay,
        seed=seed,
        device="cpu",
        **SETTINGS[task],
    )
    return learner, make()


def success(learner: Any, env: Any, seed: int) -> float:
    """Return the share of episodes that end in success, acting without noise."""
    normalize, wins = learner.get_vec_normalize_env(), 0
    for episode in range(EPISODES):
        observation, _ = env.reset(seed=1_000_000 * (1 + seed) + episode)
        done, info = False, {}
        while not done:
            seen = observation if normalize is None else normalize.normalize_obs(observation)
            observation, _, terminated, truncated, info = env.step(learner.predict(seen, deterministic=True)[0])
            done = terminated or truncated
        wins += bool(info["is_success"])
    return wins / EPISODES


def run(side: str, task: str, seed: int, every: int, limit: float, started: float) -> dict[str, Any]:
    """Run a training until it succeeds or its time is over.

    Args:
        side: ``"sim2real"`` or ``"peer"``.
        task: A key of :data:`SETTINGS`.
        seed: Of everything random.
        every: Env steps between evaluations.
        limit: After how long to give up [s].
        started: When the program was started, seconds since the epoch.
    """
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.logger import Logger

    class Race(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.curve: list[tuple[int, float, float]] = []
            self._rested = 0.0

        def evaluate(self) -> None:
            pause = time.time()
            score = success(self.model, env, seed)
            self.curve.append((self.num_timesteps, pause - started - self._rested, score))
            print(*self.curve[-1], file=sys.stderr, flush=True)
            self._rested += time.time() - pause

        @property
        def won(self) -> bool:
            return bool(self.curve) and self.curve[-1][2] >= GOAL

        def _on_rollout_start(self) -> None:
            if self.num_timesteps >= every * (1 + len(self.curve)):
                self.evaluate()

        def _on_step(self) -> bool:
            return not self.won and time.time() - started - self._rested < limit

    torch.set_num_threads(1)
    make: Callable[[str, int], tuple[Any, Any]] = ours if side == "sim2real" else theirs
    learner, env = make(task, seed)
    learner.set_logger(Logger(None, []))
    race = Race()
    learner.learn(100_000_000, callback=race)
    if not race.won:  # its time is over, and it may have got there since the last evaluation
        race.evaluate()
    steps, seconds, _ = race.curve[-1]
    return {"seconds": seconds if race.won else None, "steps": steps if race.won else None, "curve": race.curve}


def main() -> None:
    # What the engines print from C goes elsewhere: the answer has standard output for itself.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    request = json.loads(sys.argv[1])
    if request["side"] == "sim2real":
        sys.path[:0] = [str(Path(__file__).resolve().parents[2])]
    answer.write(json.dumps(run(**request, started=_STARTED)) + "\n")


if __name__ == "__main__":
    main()
