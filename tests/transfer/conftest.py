"""Source policies of every algorithm."""

import pytest
from method_trainings import SMALL_OF
from point_mass import ID

from sim2real.training.train import train


@pytest.fixture(scope="session")
def sources(source, tmp_path_factory):
    """A policy of each algorithm; only SAC's has learned what it shall."""
    out = tmp_path_factory.mktemp("sources")

    def short(algo):
        return train(ID, algo=algo, steps=256, hyperparameters=SMALL_OF[algo], eval_episodes=2, out=out / algo).policy

    return {"sac": source.policy, **{algo: short(algo) for algo in ("td3", "tqc", "ppo")}}
