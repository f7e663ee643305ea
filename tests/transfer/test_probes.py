"""What probes promise: they stay within a twentieth of the budget, and what they measure is what it is called."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from method_trainings import SMALL_OF
from point_mass import ID

from sim2real.deployment.policy import BundleInfo
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.train import make_config, train
from sim2real.transfer.probe_steps import Learned, Rewards, learn_steps, shared_window, take_steps
from sim2real.transfer.probes import Probes, auc, probe, td_errors

LONG_ID = "point_mass:tests/LongPointMass-v0"
gym.register("tests/LongPointMass-v0", entry_point="point_mass:PointMass", max_episode_steps=400)


def into(**domain):
    return World.of(ID).with_domain(domain, "target")


@pytest.mark.slow
def test_near_targets_look_near_and_far_ones_far(sources):
    same, shifted, inverted = (
        probe(sources["sac"], into(**domain), 4000) for domain in ({}, {"gain": 0.5, "drift": 0.2}, {"gain": -1.0})
    )
    assert same.kept > 0.9 > shifted.kept > 0.3 > 0.0 > inverted.kept
    assert same.surprise < 2.0 < shifted.surprise < inverted.surprise
    assert same.auc < shifted.auc < inverted.auc <= 1.0
    assert same.domain_distance == 0.0
    # gain 0.5 in [-1, 2] is -1/3 of its half range from 1, drift 0.2 in [-0.5, 0.5] is 0.4 of it from 0.
    assert shifted.domain_distance == pytest.approx(np.sqrt(((0.5 / 1.5) ** 2 + 0.4**2) / 2))
    assert (same.zero_shot_success, inverted.zero_shot_success) == (1.0, 0.0)
    assert same == probe(sources["sac"], into(), 4000)
    assert same == Probes.from_dict(same.to_dict())


@pytest.mark.parametrize("algo", ["td3", "tqc", "ppo"])
def test_policies_of_all_algorithms_can_be_probed(sources, algo):
    found = probe(sources[algo], into(gain=0.5), 2400)
    assert found.target_steps == 120
    assert np.isfinite([found.kept, found.auc, found.surprise]).all()
    assert (len(found.scratch_returns), found.scratch_return, found.climb) == (1, None, None)
    assert found.scratch_returns == (found.chance_return,)


@pytest.mark.parametrize("algo", ["sac", "td3", "tqc", "ppo"])
def test_scratch_learns_in_its_few_steps_and_tells_when_it_began(algo):
    config = make_config(
        into(), algo=algo, randomizer="none", steps=3000, seed=3, hyperparameters=SMALL_OF[algo], eval_episodes=1
    )
    learned = learn_steps(config, 250)
    # SAC and its like act by chance for 60 steps, PPO collects 32 steps in each of 2 envs, which here are one.
    assert learned.first_update == (64 if algo == "ppo" else 61)
    assert len(learned.rewards) == len(learned.ended) == 250
    assert (learned.open, learned.has_learned) == (10, True)
    returns = learned.returns(None)
    assert len(returns) == 12
    assert learned.by_chance.returns(None) == returns[:3]
    if algo == "sac":
        assert np.mean(returns[-4:]) > np.mean(returns[:3])
    again = learn_steps(config, 100)  # whatever comes after, the beginning is the same
    np.testing.assert_array_equal(again.rewards, learned.rewards[:100])
    assert returns[0] != learn_steps(replace(config, seed=4), 20).returns(None)[0]


@pytest.mark.slow
def test_a_curve_of_a_world_of_gymnasium_begins_after_the_random_phase_that_is_tuned_for_it(tmp_path):
    source = train("Pendulum-v1", steps=300, eval_episodes=1, randomizer="none", out=tmp_path / "run").policy
    target = World.of("Pendulum-v1", kwargs={"g": 5.0}).with_domain({}, "light")
    found = probe(source, target, 40_000)
    assert (found.target_steps, found.window, found.domain_distance) == (2000, None, None)
    first, last = found.scratch_returns  # of 500 steps, the first 200 of which are random
    assert (found.chance_return, found.scratch_return) == (first, last)
    assert found.climb == pytest.approx((last - first) / (found.source_return - first)) or found.climb == 0.0


def rewards_of(*lengths, cut):
    """Steps that earn 1 each, in episodes of these lengths of which the last is cut off or not."""
    ended = np.zeros(sum(lengths), bool)
    ended[np.cumsum(lengths)[: len(lengths) - cut] - 1] = True
    return Rewards(rewards=np.ones(sum(lengths)), ended=ended)


def test_returns_are_of_whole_episodes_unless_most_was_seen_of_one_that_is_cut_off():
    whole, short, long = rewards_of(20, 20, cut=False), rewards_of(20, 7, cut=True), rewards_of(4, 30, cut=True)
    assert [part.open for part in (whole, short, long)] == [0, 7, 30]
    assert shared_window(whole, short) is None
    assert short.returns(None) == [20.0]
    # Of the last one it is not known how the episode would end, and the one that ended is the shorter for it.
    assert shared_window(whole, short, long) == 30
    assert long.returns(30) == [4.0, 30.0]
    assert whole.returns(30) == [20.0, 20.0]
    assert shared_window(long, rewards_of(12, cut=True)) == 12
    assert long.returns(12) == [4.0, 12.0]


def test_chance_is_all_of_scratch_where_no_episode_ended_before_the_first_update():
    parts = {"rewards": np.arange(6.0), "ended": np.array([False, False, False, True, False, True])}
    assert Learned(**parts, first_update=4).by_chance.returns(None) == [6.0]
    assert Learned(**parts, first_update=3).by_chance.returns(None) == [6.0, 9.0]
    assert [Learned(**parts, first_update=first).has_learned for first in (4, 5, 6)] == [True, False, False]


def test_a_short_probe_compares_the_same_first_steps_everywhere(sources):
    found = probe(sources["sac"], into(), 2000)  # 75 steps of the policy, 25 of scratch: one episode and 5 steps
    assert found.window is None
    longer = probe(sources["sac"], World.of(LONG_ID).with_domain({}, "target"), 2000)
    assert longer.window == 25
    assert longer.zero_shot_success is longer.source_success is None
    assert longer.kept > 0.8


def test_it_takes_no_more_steps_than_a_twentieth_and_evaluates_nothing(sources, monkeypatch):
    taken = []
    step = World.make(into()).unwrapped.__class__.step

    def counted(self, action):
        taken.append(self.drift)
        return step(self, action)

    monkeypatch.setattr("point_mass.PointMass.step", counted)
    found = probe(sources["sac"], into(drift=0.37), 3000)
    assert taken.count(0.37) == found.target_steps == 150


def test_the_classifier_is_as_good_as_chance_where_nothing_differs_and_perfect_where_all_does():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(400, 3)), rng.normal(size=(300, 3))
    assert auc(one, other, seed=0) == pytest.approx(0.5, abs=0.08)
    assert auc(one, other + 10.0, seed=0) == 1.0
    assert auc(one, other, seed=0) == auc(one, other, seed=0)


def test_the_errors_are_those_of_the_critic(sources):
    policy = sources["sac"]
    with World.make(into()) as env:
        steps = take_steps(env, policy.predict, 30, seed=0)
    errors = td_errors(policy, steps)
    ended = replace(steps, rewards=steps.rewards + 2.0, terminated=np.ones(30, bool))
    # Where an episode ends there is no value behind it; a reward counts as it is.
    np.testing.assert_allclose(
        td_errors(policy, ended) - errors,
        2.0 - policy.metadata.hyperparameters["gamma"] * following(policy, steps),
        rtol=1e-4,
        atol=1e-4,
    )


def following(policy, steps):
    import torch

    seen = torch.from_numpy(policy.normalizer(steps.after).astype(np.float32))
    with torch.no_grad():
        values = policy.module.critic(seen, policy.module._predict(seen, deterministic=True))
    return torch.minimum(*values).flatten().numpy()


def test_a_budget_too_small_for_probes_is_refused(sources):
    with pytest.raises(Sim2RealError) as raised:
        probe(sources["sac"], into(), 1999)
    assert str(raised.value) == (
        "steps = 1999: probes take 5% of that, and 99 steps tell nothing; give a budget of at least 2,000."
    )


def test_the_distance_of_a_domain_is_told_in_one_world_alone(sources):
    other = World.of(ID, kwargs={"blind_from": 3}).with_domain({"gain": 0.5}, "target")
    assert probe(sources["sac"], other, 2000).domain_distance is None


def test_a_policy_that_does_not_say_its_world_is_refused(sources):
    with pytest.raises(Sim2RealError, match="which the policy does not say"):
        probe(sources["sac"].described(BundleInfo()), into(), 4000)
