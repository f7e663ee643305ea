"""An anchor keeps a policy near where it started while its critics know little of the target."""

import re

import numpy as np
import pytest
from method_trainings import train_with
from point_mass import ID, SMALL
from trainings import assert_same_training, interrupt_at

from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.train import make_config
from sim2real.transfer.adapter import Adapter
from sim2real.transfer.distill import Distill
from sim2real.transfer.finetune import FineTune
from sim2real.transfer.graft import Graft
from sim2real.transfer.pull import Pull

GRID = np.column_stack([np.linspace(-2.0, 2.0, 41), np.linspace(-0.5, 0.5, 41)]).astype(np.float32)


def moved(source, policy):
    """Return by how much a policy's actions differ from the source's, on average."""
    return np.abs(policy.predict(GRID) - source.predict(GRID)).mean()


@pytest.mark.parametrize("algo", ["sac", "td3", "ppo"])
def test_a_strong_anchor_holds_what_a_free_actor_leaves(sources, tmp_path, algo):
    runs = {}
    for anchor in (0.0, 1e4):
        method = FineTune(anchor=anchor, critic_warmup=10, collect_first=10)
        runs[anchor] = train_with(method, sources[algo], tmp_path / str(anchor), steps=256, eval_every=256)
    held, free = (moved(sources[algo], runs[anchor].policy) for anchor in (1e4, 0.0))
    assert held < 0.02
    assert free > 2.0 * held


def test_its_weight_falls_to_nothing(sources):
    pull = Pull(sources["sac"].module, 2.0, 100.0, "anchor")
    assert [pull.weight(step) for step in (0, 50, 100, 150)] == [2.0, 1.0, 0.0, 0.0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [FineTune(anchor=1.0, source_share=0.25), Distill(anchor=1.0, collected=200, updates=20)]
)
def test_an_interrupted_training_goes_on_as_if_there_had_been_no_interruption(sources, tmp_path, method):
    def go(out, **options):
        settings = {"steps": 256, "eval_every": 64, "checkpoint_every": 128, **options}
        return train_with(method, sources["sac"], out, **settings)

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "cut", listener=interrupt_at(200))
    assert_same_training(go(tmp_path / "cut"), go(tmp_path / "whole"))


def test_source_transitions_stay_in_the_batches_beside_an_anchor(sources, tmp_path):
    seen = []

    def prepare(learner, training):
        callbacks = FineTune(anchor=1.0, source_share=0.5).prepare(learner, sources["sac"], training)
        batches = learner.batches

        def watched(learner, size):
            batch = batches(learner, size)
            seen.append((len(batch.rewards), set(batch.extras)))
            return batch

        learner.batches = watched
        return callbacks

    train_with(FineTune(), sources["sac"], tmp_path / "run", steps=40, prepare=prepare)
    assert {size for size, _ in seen} == {SMALL["batch_size"]}
    assert all(extras == {"mean", "log_std", "weight"} for _, extras in seen)


def test_where_spaces_differ_there_is_one_unless_it_is_taken_off():
    assert (Graft().anchor, Adapter().anchor, FineTune().anchor, Distill().anchor) == (1.0, 1.0, 0.0, 0.0)
    assert not Graft(anchor=0.0).changes_update


@pytest.mark.parametrize(
    ("settings", "known", "message"),
    [
        (
            {"normalizer": "blend"},
            {},
            "anchor = 1 compares with a policy that needs its own statistics of observations; normalizer: blend "
            "changes them.",
        ),
        ({}, {"use_sde": True}, "an anchor needs a policy without state-dependent exploration (use_sde)."),
    ],
)
def test_what_cannot_be_compared_is_refused(settings, known, message):
    config = make_config(World.of(ID), algo="sac", randomizer="none", steps=100, seed=0)
    with pytest.raises(Sim2RealError, match=f"^{re.escape(message)}$"):
        FineTune(anchor=1.0, **settings).check(config, known)
