"""Translated policies: they do what the policy did, told along the map."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import norm
from shapes import ID, face, fresh_policy, observations, shaped

from sim2real.deployment.normalizer import RunningStatistics
from sim2real.domains.channels import Channel
from sim2real.errors import Sim2RealError
from sim2real.training.train import train
from sim2real.transfer.crossing import translate_for
from sim2real.transfer.space_map import map_spaces
from sim2real.transfer.translate import translate

ALGORITHMS = ("sac", "td3", "tqc", "ppo")


def told(policy, there, overrides=None, seed=0):
    """Return the translation of a policy for an interface."""
    return translate(policy, there, map_spaces(policy.interface, there, overrides), seed)


def q_values(policy, observations, actions):
    """Return what critics say of observations, as the env gives them, and actions in [-1, 1]."""
    seen = torch.as_tensor(policy.normalizer(observations))
    with torch.no_grad():
        found = policy.module.critic(seen, torch.as_tensor(actions, dtype=torch.float32))
    return found.numpy() if torch.is_tensor(found) else torch.cat(found, 1).numpy()


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("arch", [[8, 8], []])
def test_between_the_same_spaces_everything_is_copied(algo, arch):
    policy = fresh_policy(algo, shaped(), net_arch=arch)
    found = told(policy, face())
    assert {tensor.what for tensor in found.tensors} == {"copied"}
    for name, array in found.policy.weights.items():
        np.testing.assert_array_equal(array, policy.weights[name], strict=True)
    np.testing.assert_array_equal(found.policy.normalizer.statistics[None].var, policy.normalizer.statistics[None].var)
    assert [tensor.name for tensor in found.tensors] == list(policy.weights)


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("arch", [[8, 8], []])
@pytest.mark.parametrize("normalize", [True, False])
def test_permuted_channels_give_the_same_action_and_values(algo, arch, normalize):
    policy = fresh_policy(
        algo, shaped(order=("position", "velocity", "temperature")), normalize=normalize, net_arch=arch
    )
    there = face(order=("temperature", "position", "velocity"))
    other = told(policy, there).policy
    seen = observations(policy.observation_space)
    # To the rounding of sums in another order; the weights themselves are compared below.
    np.testing.assert_allclose(other.predict(seen[:, [2, 0, 1]]), policy.predict(seen), atol=1e-6, rtol=0)
    if algo != "ppo" and normalize:
        actions = np.random.default_rng(0).uniform(-1, 1, (len(seen), 1))
        found = q_values(other, seen[:, [2, 0, 1]], actions)
        np.testing.assert_allclose(found, q_values(policy, seen, actions), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("unit", ["mm", "km"])
def test_units_are_converted_without_a_trace(algo, unit):
    policy = fresh_policy(algo, shaped())
    other = told(policy, face(unit=unit)).policy
    seen = observations(policy.observation_space)
    scale = {"mm": 1000.0, "km": 0.001}[unit]
    np.testing.assert_allclose(
        other.predict((seen * [scale, 1.0]).astype(np.float32)), policy.predict(seen), atol=2e-6, rtol=0
    )


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_a_channel_that_the_policy_ignores_can_go(algo):
    world = shaped(order=("position", "velocity", "temperature"))
    policy = fresh_policy(algo, world)
    weights = policy.weights
    for array in weights.values():
        if array.ndim == 2 and array.shape[1] in (3, 4):
            array[:, 2] = 0.0
    policy = type(policy)(
        policy.network,
        policy.observation_space,
        policy.action_space,
        weights,
        normalizer=policy.normalizer,
        metadata=policy.metadata,
    )
    seen = observations(policy.observation_space)
    other = told(policy, face()).policy
    np.testing.assert_array_equal(other.predict(seen[:, :2]), policy.predict(seen))


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_what_is_gone_stays_at_its_mean_and_what_is_new_has_no_say_yet(algo):
    policy = fresh_policy(algo, shaped(order=("position", "velocity", "temperature")))
    there = face(order=("position", "velocity", "beacons"), beacons=2)
    other = told(policy, there).policy
    seen = observations(there.observation)
    mean = policy.normalizer.statistics[None].mean[2]
    same = np.concatenate((seen[:, :2], np.full((len(seen), 1), mean, np.float32)), axis=1)
    np.testing.assert_allclose(other.predict(seen), policy.predict(same), atol=1e-6)
    statistics = other.normalizer.statistics[None]
    np.testing.assert_allclose(statistics.mean[2:], 0.0)
    np.testing.assert_allclose(statistics.var[2:], 10.0**2 / 12)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_interpolated_rays_are_read_as_if_they_had_been_there(algo):
    policy = fresh_policy(algo, shaped(order=("position", "beacons"), beacons=3))
    there = face(order=("position", "beacons"), beacons=5)
    other = told(policy, there).policy
    seen = observations(there.observation) * 0.2  # what is clipped is not linear
    np.testing.assert_allclose(other.predict(seen), policy.predict(seen[:, [0, 1, 3, 5]]), atol=1e-5)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_an_action_may_be_turned_round(algo):
    policy = fresh_policy(algo, shaped())
    other = told(policy, face(), {"action": {"push": {"from": "push", "scale": -1}}}).policy
    seen = observations(policy.observation_space)
    np.testing.assert_allclose(other.predict(seen), -policy.predict(seen), atol=1e-6, rtol=0)
    if algo != "ppo":
        actions = np.random.default_rng(0).uniform(-1, 1, (len(seen), 1))
        np.testing.assert_allclose(q_values(other, seen, -actions), q_values(policy, seen, actions), atol=1e-6)


def two_actions(names, low=-1.0, high=1.0):
    channels = tuple(Channel(name=name, width=1, unit="1", low=low, high=high) for name in names)
    return face()._replace(action=gym.spaces.Box(low, high, (len(names),)), action_channels=channels)


def test_ppo_has_weighted_sums_and_other_ranges_exactly():
    policy = fresh_policy("ppo", shaped())
    mixed = told(
        policy, two_actions(("left", "right"), 0.0, 4.0), {"action": {"left": {"from": {"push": 0.5}, "offset": 2}}}
    )
    seen = observations(policy.observation_space)
    with torch.no_grad():
        said = policy.module.get_distribution(policy.module.obs_to_tensor(policy.normalizer(seen))[0]).distribution
        found = mixed.policy.module.get_distribution(
            mixed.policy.module.obs_to_tensor(mixed.policy.normalizer(seen))[0]
        ).distribution
    np.testing.assert_allclose(found.mean[:, 0], 0.5 * said.mean[:, 0] + 2.0, atol=1e-6)
    np.testing.assert_allclose(found.mean[:, 1], 2.0, atol=1e-6)  # new: the middle of its range
    np.testing.assert_allclose(found.stddev[:, 0], 0.5 * said.stddev[:, 0], rtol=1e-5)


def test_sums_of_squashed_actions_are_right_to_first_order_and_spreads_add():
    policy = fresh_policy("sac", shaped())
    there = two_actions(("left", "right"))
    found = told(policy, there, {"action": {"left": {"from": {"push": 0.5}}, "right": {"from": {"push": -0.5}}}}).policy
    seen = observations(policy.observation_space)
    before, after = np.arctanh(policy.predict(seen)), np.arctanh(found.predict(seen))
    np.testing.assert_allclose(after, before * [0.5, -0.5], atol=1e-5)
    bias, old = found.weights["actor.log_std.bias"], policy.weights["actor.log_std.bias"]
    np.testing.assert_allclose(bias, np.repeat(old + np.log(0.5), 2), rtol=1e-5)
    # The critic reads push = left − right, the least squares of both.
    actions = np.random.default_rng(0).uniform(-1, 1, (len(seen), 2))
    np.testing.assert_allclose(
        q_values(found, seen, actions), q_values(policy, seen, actions[:, :1] - actions[:, 1:]), atol=1e-5
    )


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("choices", [2, 3, 6])
@pytest.mark.parametrize("arch", [[8, 8], []])
def test_the_likeliest_choice_is_the_one_nearest_to_the_action(algo, choices, arch):
    policy = fresh_policy(algo, shaped(), gain=200.0 if algo == "ppo" else 5.0, net_arch=arch)
    found = told(policy, face(choices=choices))
    assert found.policy.algo == "ppo"
    seen = observations(policy.observation_space, 2000)
    places = np.linspace(-1.0, 1.0, choices)
    distance = np.abs(places - policy.predict(seen))
    chosen = found.policy.predict(seen)
    gap = np.sort(distance, axis=1)
    clear = gap[:, 1] - gap[:, 0] > 1e-4
    np.testing.assert_array_equal(chosen[clear], distance.argmin(axis=1)[clear])
    assert len(set(chosen)) > 1
    fresh = {tensor.name for tensor in found.tensors if tensor.what == "fresh"}
    trunk = {name for name in found.policy.weights if "value_net" in name}
    assert fresh == (trunk if algo != "ppo" else set())


def test_logits_of_choices_are_the_gaussian_there():
    policy = fresh_policy("ppo", shaped())
    found = told(policy, face(choices=5)).policy
    seen = observations(policy.observation_space) * 0.3
    places = np.linspace(-1.0, 1.0, 5)
    with torch.no_grad():
        mean = policy.module.get_distribution(policy.module.obs_to_tensor(policy.normalizer(seen))[0]).distribution.mean
        logits = found.module.get_distribution(
            found.module.obs_to_tensor(found.normalizer(seen))[0]
        ).distribution.logits
    expected = log_softmax(norm.logpdf(places, loc=mean.numpy(), scale=0.25), axis=1)
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-4)


def test_numbers_from_choices_are_their_mean_to_first_order():
    policy = fresh_policy("ppo", shaped(choices=3))
    found = told(policy, face()).policy
    seen = observations(policy.observation_space)
    with torch.no_grad():
        dist = policy.module.get_distribution(policy.module.obs_to_tensor(policy.normalizer(seen))[0]).distribution
    logits, mean = dist.logits.numpy(), dist.probs.numpy() @ [-1.0, 0.0, 1.0]
    acted = found.predict(seen)[:, 0]
    np.testing.assert_allclose(acted, logits @ [-1 / 3, 0.0, 1 / 3], atol=1e-6)
    near = np.abs(logits - logits.mean(axis=1, keepdims=True)).max(axis=1) < 0.1  # equal odds
    assert near.any()
    np.testing.assert_allclose(acted[near], mean[near], atol=0.005)


def test_more_choices_are_between_those_that_were():
    policy = fresh_policy("ppo", shaped(choices=3))
    same = told(policy, face(choices=3))
    assert {tensor.what for tensor in same.tensors} == {"copied"}
    more = told(policy, face(choices=5)).policy.weights["action_net.weight"]
    old = policy.weights["action_net.weight"]
    np.testing.assert_allclose(more, [old[0], (old[0] + old[1]) / 2, old[1], (old[1] + old[2]) / 2, old[2]], atol=1e-7)
    turned = told(policy, face(choices=3), {"action": {"push": {"from": "push", "scale": -1}}}).policy
    np.testing.assert_array_equal(turned.weights["action_net.weight"], old[::-1])


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_what_is_said_of_each_tensor_is_what_was_done(algo):
    policy = fresh_policy(algo, shaped())
    there = face(order=("velocity", "temperature", "position"))
    found = told(policy, there)
    for tensor in found.tensors:
        old, new = policy.weights[tensor.name], found.policy.weights[tensor.name]
        assert tensor.shape == new.shape
        assert tensor.what == ("copied" if np.array_equal(old, new) else "mapped")
        if tensor.what == "mapped":  # each column is one of the policy's, or new
            np.testing.assert_array_equal(new[:, [2, 0, *range(3, new.shape[1])]], old)
            assert not new[:, 1].any()
    assert {tensor.what for tensor in found.tensors} == {"copied", "mapped"}


def test_fresh_values_depend_on_the_seed_alone():
    policy = fresh_policy("sac", shaped())
    first, again, other = (told(policy, face(choices=3), seed=seed).policy.weights for seed in (0, 0, 1))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert np.array_equal(array, other[name]) == ("value_net" not in name or not array.any())


def test_other_statistics_of_what_is_shown_change_nothing_that_is_done():
    policy, there = fresh_policy("sac", shaped()), face(order=("velocity", "temperature", "position"), unit="mm")
    space_map = map_spaces(policy.interface, there)
    seen = RunningStatistics(mean=np.array([0.3, 20.0, -400.0]), var=np.array([2.0, 0.0, 1e6]), count=50.0)
    one, other = (translate(policy, there, space_map, 0, given).policy for given in (None, seen))
    rows = observations(there.observation)
    np.testing.assert_allclose(one.predict(rows), other.predict(rows), atol=2e-5)
    found = other.normalizer.statistics[None]
    np.testing.assert_array_equal(found.mean, seen.mean)
    np.testing.assert_array_equal(found.var[[0, 2]], seen.var[[0, 2]])
    assert found.var[1] > 0.0  # what stood still may move yet
    assert found.count == 50.0


def test_the_translated_policy_says_what_it_sees_and_no_world():
    policy = fresh_policy("sac", shaped())
    there = face(order=("velocity", "position"))
    other = told(policy, there).policy
    assert other.interface == there
    assert other.metadata.world is None
    assert other.metadata.hyperparameters == policy.metadata.hyperparameters
    assert told(policy, face(choices=3)).policy.metadata.hyperparameters == {
        "activation": policy.metadata.hyperparameters["activation"],
        "normalize_observation": True,
        "net_arch": {"pi": [8, 8], "vf": [8, 8]},
    }


def test_exploration_by_state_is_refused():
    policy = fresh_policy("sac", shaped(), use_sde=True)
    with pytest.raises(
        Sim2RealError, match=r"^a policy with state-dependent exploration \(use_sde\) cannot be translated\.$"
    ):
        told(policy, face(order=("velocity", "position")))


def test_a_policy_acts_in_the_other_world_as_in_its_own(tmp_path):
    run = train(ID, steps=300, hyperparameters={"net_arch": [8]}, eval_episodes=5, out=tmp_path / "run")
    there = shaped(order=("velocity", "position"), unit="mm")
    other = translate_for(run.folder, there)
    assert [link.what for link in other.space_map.observation.links] == ["re-scaled", "moved"]
    returns = []
    for policy, world in ((run.policy, shaped()), (other.policy, there)):
        env = world.make()
        seen, _ = env.reset(seed=3)
        total = 0.0
        for _ in range(20):
            seen, reward, *_ = env.step(policy.predict(seen))
            total += reward
        returns.append(total)
    assert returns[0] == pytest.approx(returns[1], abs=1e-4)
