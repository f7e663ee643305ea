"""What probes promise: they stay within a twentieth of the budget, and what they measure is what it is called."""

import numpy as np
import pytest
from point_mass import ID

from sim2real.deployment.policy import BundleInfo
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.transfer.probes import Steps, auc, probe, take_steps, td_errors


def into(**domain):
    return World.of(ID).with_domain(domain, "target")


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


@pytest.mark.parametrize("algo", ["td3", "tqc", "ppo"])
def test_policies_of_all_algorithms_can_be_probed(sources, algo):
    found = probe(sources[algo], into(gain=0.5), 2000)
    assert found.target_steps == 100
    assert np.isfinite([found.kept, found.auc, found.surprise]).all()


def test_it_takes_no_more_steps_than_a_twentieth(sources, monkeypatch):
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
    ended = Steps(
        steps.observations, steps.actions, steps.after, steps.rewards + 2.0, np.ones(30, bool), steps.returns, ()
    )
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


def test_a_budget_too_small_for_an_episode_is_refused(sources):
    with pytest.raises(Sim2RealError) as raised:
        probe(sources["sac"], into(), 300)
    assert str(raised.value) == (
        "steps = 300: 5% of that are 15 steps, in which no episode ends; give a larger budget."
    )


def test_a_policy_that_does_not_say_its_world_is_refused(sources):
    with pytest.raises(Sim2RealError, match="which the policy does not say"):
        probe(sources["sac"].described(BundleInfo()), into(), 4000)
