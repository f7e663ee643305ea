"""Whole trainings with our SAC and with Stable-Baselines3's: their curves should be the same but for chance."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

import numpy as np
from scipy.stats import ttest_ind
from speed.figures import Figure, figure

from learning_speed.kept import Kept

WORLDS = {"Pendulum-v1": "return_mean", "sim2real_envs:sim2real/PandaReach-v0": "success_rate"}
"""What is learned with its tuned settings, and which measure its curves are of."""
SEEDS, EVERY, EPISODES = 10, 500, 20
"""Trainings of each side, steps between evaluations, and the episodes of each."""
SIDES = ("ours", "Stable-Baselines3")


def figures(kept: Kept) -> Iterator[Figure]:
    """Train what is not kept yet, a training a core; return the areas under the curves, and how they differ."""
    jobs = {
        f"{side}, {world}, seed {seed}": (side, world, seed)
        for world in WORLDS
        for side in SIDES
        for seed in range(SEEDS)
    }
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        running = {pool.submit(train, *job): name for name, job in jobs.items() if name not in kept}
        for done in as_completed(running):
            kept[running[done]] = done.result()
    for world, measure in WORLDS.items():
        name = world.rpartition("/")[2].removesuffix("-v0")
        ours, theirs = ([area(kept[f"{side}, {world}, seed {n}"], measure) for n in range(SEEDS)] for side in SIDES)
        what, digits = ("return", 0) if measure == "return_mean" else ("success", 3)
        yield figure("curves", f"{name}, mean {what} over the training, Stable-Baselines3", theirs, "", digits=digits)
        yield figure("curves", f"{name}, mean {what} over the training, FastSAC", ours, "", digits=digits)
        low, high = difference(ours, theirs)
        yield Figure(
            part="curves", name=f"{name}, difference of the means over seeds, and its 95 % interval",
            value=float(np.mean(ours) - np.mean(theirs)), low=low, high=high, unit="", digits=digits,
        )  # fmt: skip


def area(curve: list[dict[str, float]], measure: str) -> float:
    """Return the area under a curve divided by its steps: the mean of a measure over the training."""
    steps = [point["step"] for point in curve]
    return float(np.trapezoid([point[measure] for point in curve], steps) / (steps[-1] - steps[0]))


def difference(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two means (Welch, 1947)."""
    ends = ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return float(ends.low), float(ends.high)


def train(side: str, env: str, seed: int) -> list[dict[str, float]]:
    """Train with the tuned settings of a world; return the curve of its measure."""
    import torch
    from stable_baselines3 import SAC
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.logger import Logger

    from sim2real.deployment.policy import Policy
    from sim2real.domains.world import World
    from sim2real.evaluation.rollouts import Evaluator, Score
    from sim2real.training.fast.sac import FastSAC
    from sim2real.training.hyperparameters import OWN, resolve_hyperparameters, tuned_steps
    from sim2real.training.learner import make_training_env

    torch.set_num_threads(1)
    world = World.of(env)
    values = resolve_hyperparameters("sac", world, None)
    steps = tuned_steps("sac", world)
    assert steps is not None
    algorithm: Any = FastSAC if side == "ours" else SAC
    learner = algorithm(
        "MlpPolicy",
        make_training_env(world, "uniform", values, values["n_envs"]),
        policy_kwargs={"net_arch": values["net_arch"]},
        seed=seed,
        device="cpu",
        **{name: value for name, value in values.items() if name not in OWN},
    )
    learner.set_logger(Logger(None, []))
    curve: list[dict[str, float]] = []

    class Evaluations(BaseCallback):
        def _on_rollout_start(self) -> None:
            if self.num_timesteps >= EVERY * len(curve):
                score = Score.of(evaluator.run(Policy.from_sb3(self.model).predict))
                curve.append({"step": self.num_timesteps, WORLDS[env]: vars(score)[WORLDS[env]]})

        def _on_step(self) -> bool:
            return True

        _on_training_end = _on_rollout_start

    with Evaluator(world, seed=seed, episodes=EPISODES, randomizer="uniform") as evaluator:
        learner.learn(steps, callback=Evaluations())
    return curve
