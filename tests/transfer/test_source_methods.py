"""What the methods that learn from source transitions promise: the papers' terms, and experience that is kept."""

import numpy as np
import pytest
import torch
from method_trainings import SHIFTED, lead_over_zero_shot, train_with
from point_mass import SMALL, PointMass
from trainings import assert_same_training, interrupt_at

from sim2real.deployment.policy import BundleInfo, Policy
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.fast.update import Batch
from sim2real.training.train import make_config, run_training
from sim2real.transfer import gat
from sim2real.transfer.darc import Classifiers, Darc
from sim2real.transfer.gat import Gat, Models, fit, fit_steps, grounding
from sim2real.transfer.learns_in_source import FIRST
from sim2real.transfer.models import Fitted
from sim2real.transfer.par import Encoders, Par
from sim2real.transfer.replay_mix import ReplayMix
from sim2real.transfer.source import SourceExperience, concatenated
from sim2real.transfer.transfer import transfer

METHODS = {
    "darc": Darc(ratio=2),
    "gat": Gat(ratio=2, refits=2),
    "par": Par(ratio=2),
    "replay-mix": ReplayMix(collected=500),
}


def step(count, gain, noise=0.0):
    """Return transitions (s, a, s') of s' = s + gain a + noise, with actions of a policy that explores."""
    states, actions = torch.randn(count, 2), torch.rand(count, 2) * 2.0 - 1.0
    return states, actions, states + gain * actions + noise * torch.randn(count, 2)


def inputs(states, actions, after):
    return torch.cat((states, actions, after - states), 1)


@pytest.mark.slow
def test_the_classifiers_of_darc_find_the_ratio_of_two_linear_gaussian_dynamics():
    torch.manual_seed(0)
    noise = 0.5
    module = Classifiers(2, 2)
    module.scale.fit(inputs(*step(4096, 1.0, noise)))
    fitted = Fitted(module)
    for _ in range(3000):
        fitted.step(module.loss(inputs(*step(256, 1.0, noise)), inputs(*step(256, 0.5, noise)), noise=0.0))
    states, actions, after = step(2000, 1.0, noise)
    # log N(s'; s + a / 2, noise²) - log N(s'; s + a, noise²)
    expected = ((after - states - actions).square() - (after - states - 0.5 * actions).square()).sum(1) / (2 * noise**2)
    with torch.no_grad():
        found = module.delta_reward(inputs(states, actions, after))
    assert (found - expected).abs().mean() < 0.1  # of a spread of 0.8
    assert torch.corrcoef(torch.stack((found, expected)))[0, 1] > 0.99


def test_between_equal_worlds_darc_changes_no_reward():
    torch.manual_seed(0)
    module = Classifiers(2, 2)
    fitted = Fitted(module)
    for _ in range(1000):
        fitted.step(module.loss(inputs(*step(256, 1.0, 0.3)), inputs(*step(256, 1.0, 0.3)), noise=1.0))
    assert module.delta_reward(inputs(*step(2000, 1.0, 0.3))).abs().mean() < 0.05


def test_the_encoders_of_par_are_surprised_by_other_dynamics_alone():
    torch.manual_seed(0)
    module = Encoders(2, 2)
    fitted = Fitted(module)
    for _ in range(1000):
        fitted.step(module.mismatch(*step(256, 0.5)).mean())
    with torch.no_grad():
        expected, surprising = (module.mismatch(*step(2000, gain)).mean() for gain in (0.5, 1.0))
    assert surprising > 5 * expected


def test_grounded_actions_do_in_the_source_what_the_meant_ones_do_in_the_target():
    torch.manual_seed(0)
    empty = torch.zeros(256)
    models = Models(2, 2)

    def batch(gain):
        states, actions, after = step(256, gain)
        return Batch(states, actions, after, empty, empty)

    models.change.fit(torch.cat([after - states for states, _, after in (step(4096, 1.0),)]))
    fit(models.source, lambda: models.inverse_loss(batch(1.0)))
    fit(models.target, lambda: models.forward_loss(batch(0.5)))
    states, meant, _ = step(500, 1.0)
    for smoothing in (1.0, 0.6):
        taken = grounding(models, smoothing)(states.numpy(), meant.numpy())
        # In the source s' = s + a, in the target s' = s + a / 2.
        expected = (1.0 - smoothing) * meant.numpy() + smoothing * 0.5 * meant.numpy()
        assert np.abs(taken - expected).mean() < 0.03


def test_nothing_is_grounded_before_the_models_are_fitted():
    actions = np.ones((3, 2), np.float32)
    assert grounding(Models(2, 2), 1.0)(np.zeros((3, 2), np.float32), actions) is actions


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "algo"), [("darc", "sac"), ("darc", "td3"), ("gat", "sac"), ("par", "tqc"), ("replay-mix", "td3")]
)
def test_it_goes_on_after_an_interruption_as_if_there_had_been_none(sources, tmp_path, monkeypatch, name, algo):
    monkeypatch.setattr(gat, "_FIT_UPDATES", 50)

    def go(out, **options):
        settings = {"steps": 200, "eval_every": 50, "checkpoint_every": 100, **options}
        return train_with(METHODS[name], sources[algo], out, **settings)

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "cut", listener=interrupt_at(150))
    assert_same_training(go(tmp_path / "cut"), go(tmp_path / "whole"))


# DARC cannot show a way that only the target has: not how to stand against a drift that the source never had.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "drift", "steps", "gain"),
    [
        (Darc(ratio=4), 0.0, 300, 0.2),
        (Gat(ratio=4, refits=2), 0.2, 300, 2.0),
        (Par(ratio=4), 0.2, 300, 1.0),
        (ReplayMix(collected=5000), 0.2, 700, 1.0),
    ],
)
def test_it_beats_zero_shot(sources, tmp_path, monkeypatch, method, drift, steps, gain):
    monkeypatch.setattr(gat, "_FIT_UPDATES", 300)
    world = SHIFTED.with_domain({"gain": 0.5, "drift": drift}, "shifted")
    assert lead_over_zero_shot(method, sources["sac"], tmp_path, steps=steps, world=world) > gain


def test_source_steps_are_counted(sources, tmp_path, in_process):
    settings = {**SMALL, "collected": 500}
    options = {"steps": 70, "seeds": 1, "eval_episodes": 2, "out": tmp_path / "out"}
    found = transfer(sources["sac"], target=SHIFTED, method="replay-mix", hyperparameters=settings, **options)
    assert {name: arm["source_steps"] for name, arm in found.result["arms"].items()} == {
        "replay-mix": 900 + 500,
        "scratch": 0,
        "zero-shot": 900,
    }


class Watched:
    """Keeps what a method puts into the learner, to be looked at while it learns."""

    def __init__(self, method, policy):
        self.method, self.policy = method, policy
        self.batches, self.experience, self.learner = [], None, None

    def __call__(self, learner, training):
        callbacks = self.method.prepare(learner, self.policy, training)
        self.learner, self.training = learner, training
        self.experience = next(c for c in callbacks if isinstance(c, SourceExperience))
        drawn = learner.batches
        learner.batches = lambda learner, size: self.batches.append(drawn(learner, size)) or self.batches[-1]
        return callbacks


@pytest.mark.slow
def test_a_share_of_every_batch_is_of_the_source(sources, tmp_path):
    watched = Watched(ReplayMix(share=0.25, collected=500), sources["sac"])
    train_with(watched.method, sources["sac"], tmp_path / "run", steps=100, prepare=watched)
    # Everything the target has shown so far is in its own buffer; what is not came from the source.
    known = set(watched.learner.replay_buffer.actions[:100].ravel().tolist())
    for batch in watched.batches:
        foreign = [action not in known for action in batch.actions.ravel().tolist()]
        assert len(foreign) == SMALL["batch_size"]
        assert sum(foreign) == SMALL["batch_size"] // 4
    assert watched.experience.buffer.size() * 5 == 500


def test_it_collects_in_the_source_so_many_steps_for_each_of_the_target_and_learns_as_often(sources, tmp_path):
    watched = Watched(Par(ratio=3), sources["sac"])
    train_with(watched.method, sources["sac"], tmp_path / "run", steps=50, prepare=watched)
    assert watched.experience.state()["steps"] == FIRST + 3 * 50
    assert watched.learner._n_updates == 3 * 50


def test_source_transitions_are_those_of_the_source_in_the_domains_of_its_training(sources, tmp_path):
    watched = Watched(ReplayMix(collected=1000), sources["sac"])
    train_with(watched.method, sources["sac"], tmp_path / "run", steps=70, prepare=watched)
    buffer = watched.experience.buffer
    x, action = buffer.observations[:200, :, 0], buffer.actions[:200, :, 0]
    after, moved = buffer.next_observations[:200, :, 0], buffer.next_observations[:200, :, 1]
    np.testing.assert_allclose(np.clip(x + moved, -5.0, 5.0), after, atol=1e-5)  # also at the ends of episodes
    np.testing.assert_allclose(buffer.rewards[:200], -np.abs(after), atol=1e-5)
    # v = gain / 2 a + drift, the gain of 0.8 to 1.2 and the drift of -0.1 to 0.1 that it was trained with.
    drifts = moved - 0.5 * action
    assert np.abs(drifts).max() <= 0.1 + 0.1 * np.abs(action).max() + 1e-6
    assert np.abs(drifts).max() > 0.05
    assert buffer.dones[:200].sum() == 50  # 1,000 steps in episodes of 20
    assert (buffer.timeouts[:200] == buffer.dones[:200]).all()


def test_what_was_collected_before_a_fit_is_forgotten(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(gat, "_FIT_UPDATES", 10)
    seen = []

    def prepare(learner, training):
        seen.extend(Gat(ratio=2, refits=1).prepare(learner, sources["sac"], training))
        return list(seen)

    train_with(Gat(ratio=2, refits=1), sources["sac"], tmp_path / "run", steps=100, prepare=prepare)
    grounded = seen[-1]
    assert grounded.state()["steps"] == 2 * FIRST + 2 * 100
    assert grounded.buffer.size() * 5 == FIRST + 2 * 50  # those since the fit, in the middle


def test_batches_are_joined_in_order():
    one, other = (Batch(*(torch.full((2, 1), value) for _ in range(5))) for value in (1.0, 2.0))
    joined = concatenated(one, other)
    assert joined.rewards.ravel().tolist() == [1.0, 1.0, 2.0, 2.0]
    assert joined.extras == {}


def test_source_envs_are_closed_when_a_training_fails(sources, tmp_path, monkeypatch):
    made, closed = [], []
    make, close = World.make, PointMass.close
    monkeypatch.setattr(World, "make", lambda self, **options: made.append(1) or make(self, **options))
    monkeypatch.setattr(PointMass, "close", lambda self: closed.append(self) or close(self))
    with pytest.raises(KeyboardInterrupt):
        train_with(METHODS["par"], sources["sac"], tmp_path / "run", steps=100, listener=interrupt_at(50))
    assert len({id(env) for env in closed}) == len(made)


@pytest.mark.parametrize("name", ["darc", "gat", "par"])
def test_transitions_of_several_steps_are_refused(name):
    config = make_config(SHIFTED, algo="sac", randomizer="none", steps=60, seed=0, hyperparameters={"n_steps": 3})
    with pytest.raises(Sim2RealError) as raised:
        METHODS[name].check(config, {})
    assert str(raised.value) == f"{name} learns what follows a single step; set n_steps to 1."


def test_source_transitions_of_several_steps_are_like_those_of_the_target(sources, tmp_path):
    watched = Watched(ReplayMix(collected=200), sources["sac"])
    values = {**sources["sac"].metadata.hyperparameters, "n_steps": 3, "learning_starts": 20}
    config = make_config(SHIFTED, algo="sac", randomizer="none", steps=40, seed=0, hyperparameters=values)
    run_training(config, tmp_path / "run", prepare=lambda learner: watched(learner, config))
    mine, its = watched.experience.buffer, watched.learner.replay_buffer
    assert (mine.n_steps, mine.gamma) == (its.n_steps, its.gamma) == (3, values["gamma"])


def test_the_model_of_the_target_is_fitted_as_often_as_it_says():
    assert fit_steps(2500, 5) == [417, 833, 1250, 1667, 2083]
    assert fit_steps(3, 10) == [1, 2, 3]
    assert Gat(ratio=2, refits=5).source_steps(2500) == 5_000 + FIRST + 2 * 2500 + 5 * FIRST


@pytest.mark.parametrize("name", METHODS)
def test_on_policy_learners_are_refused(sources, tmp_path, name):
    with pytest.raises(Sim2RealError) as raised:
        train_with(METHODS[name], sources["ppo"], tmp_path / "run", steps=64)
    assert str(raised.value) == "source transitions need a replay buffer, which ppo has not; use sac, td3 or tqc."


@pytest.mark.parametrize("name", METHODS)
def test_a_policy_that_does_not_say_where_it_was_trained_is_refused(sources, tmp_path, name):
    given = sources["sac"]
    policy = Policy(
        given.network,
        given.observation_space,
        given.action_space,
        given.weights,
        normalizer=given.normalizer,
        metadata=BundleInfo(hyperparameters=given.metadata.hyperparameters),
    )
    with pytest.raises(Sim2RealError) as raised:
        train_with(METHODS[name], policy, tmp_path / "run", steps=64)
    assert str(raised.value) == (
        "this method collects in the source world, which the policy does not say; a policy trained with sim2real does."
    )


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (Par, {"ratio": 0}, "ratio = 0 must be a whole number of at least 1 and at most 100."),
        (Par, {"beta": -1.0}, "beta = -1.0 must be a number of at least 0 and at most 1e+09."),
        (Darc, {"warmup": 1.0}, "warmup = 1.0 must be a number of at least 0 and below 1."),
        (Darc, {"weight": "high"}, "weight = 'high' must be a number of at least 0 and at most 1e+09, or null."),
        (Gat, {"refits": 2.5}, "refits = 2.5 must be a whole number of at least 1 and at most 100."),
        (Gat, {"smoothing": 1.5}, "smoothing = 1.5 must be a number of at least 0 and at most 1."),
        (ReplayMix, {"share": 0.0}, "share = 0.0 must be a number above 0 and below 1."),
        (
            ReplayMix,
            {"collected": True},
            "collected = True must be a whole number of at least 1 and at most 1e+06.",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(method, settings, message):
    with pytest.raises(Sim2RealError) as raised:
        method(**settings)
    assert str(raised.value) == message
