"""Trainings with one transfer method, for any algorithm, from the point mass into a shifted one."""

from dataclasses import replace

import numpy as np
from point_mass import ID, SMALL

from sim2real.domains.world import World
from sim2real.evaluation.rollouts import Evaluator, Score
from sim2real.seeding import derive_seed
from sim2real.training.train import make_config, run_training

SHIFTED = World.of(ID).with_domain({"gain": 0.5, "drift": 0.2}, "shifted")
SMALL_PPO = {"net_arch": [16, 16], "n_steps": 32, "n_envs": 2, "batch_size": 64, "learning_rate": 3e-3, "gamma": 0.9}
SMALL_OF = {"sac": SMALL, "td3": SMALL, "tqc": SMALL, "ppo": SMALL_PPO}


def train_with(method, policy, out, *, steps, **options):
    """Train in the shifted world as a transfer with this method does; resume what is there.

    Args:
        method: The transfer method.
        policy: The source policy.
        out: The run folder.
        steps: The budget.
        options: Fields of the training that differ; and ``listener``, and ``prepare(learner, training)`` for another
            than the method's.
    """
    listener = options.pop("listener", None)
    prepare = options.pop("prepare", lambda learner, training: method.prepare(learner, policy, training))
    config = make_config(
        SHIFTED,
        algo=policy.algo,
        randomizer="none",
        steps=steps,
        seed=0,
        hyperparameters=SMALL_OF[policy.algo],
        eval_episodes=5,
    )
    values = method.hyperparameters(config.hyperparameters, policy.metadata.hyperparameters)
    config = replace(config, hyperparameters=values, **options)
    return run_training(config, out, resume=True, listener=listener, prepare=lambda learner: prepare(learner, config))


def lead_over_zero_shot(method, policy, out, *, steps, world=SHIFTED):
    """Return by how much a method ends above the source policy as it is, in the same episodes: a mean of two seeds."""
    leads = []
    for seed in (0, 1):
        options = {"world": world, "seed": seed, "eval_every": steps, "eval_episodes": 20}
        run = train_with(method, policy, out / str(seed), steps=steps, **options)
        with Evaluator(world, seed=derive_seed(seed, "evaluations of a training"), episodes=20) as evaluator:
            as_it_is = Score.of(evaluator.run(policy.predict))
        leads.append(run.curve[-1]["return_mean"] - as_it_is.return_mean)
    return np.mean(leads)
