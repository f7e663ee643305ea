"""What residual and progressive promise: they start as the source, whose numbers stay, and learn beside it."""

from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest
import torch
from method_trainings import SHIFTED, SMALL_OF, lead_over_zero_shot, train_with
from point_mass import ID
from stable_baselines3.common.vec_env import DummyVecEnv
from trainings import assert_same_training, interrupt_at

from sim2real.deployment.bundle import load_policy
from sim2real.deployment.policy import Policy
from sim2real.errors import Sim2RealError
from sim2real.training.fast.tqc import FastTQC
from sim2real.training.learner import make_learner, make_training_env
from sim2real.training.train import make_config, train
from sim2real.transfer.finetune import FineTune
from sim2real.transfer.progressive import Progressive
from sim2real.transfer.residual import Residual

ALGOS = ["sac", "td3", "tqc", "ppo"]
BOTH = [Residual, Progressive]


class Parts(gym.Env):
    """Sees a dict."""

    observation_space = gym.spaces.Dict({"x": gym.spaces.Box(-5.0, 5.0, (2,)), "v": gym.spaces.Box(-5.0, 5.0, (1,))})
    action_space = gym.spaces.Box(-1.0, 1.0, (1,))


OBSERVATIONS = np.random.default_rng(0).uniform(-5.0, 5.0, (1000, 2)).astype(np.float32)
ACTOR = ("actor.", "mlp_extractor.policy_net.", "action_net.", "log_std")


def columns_training(method, policy, out, *, compiled=False, **options):
    """Train with a method; return the policy that it started with, and the one that it ended with."""
    start = []

    def prepare(learner, training):
        callbacks = method.prepare(learner, policy, training)
        learner.compiled = compiled
        start.append(Policy.from_sb3(learner))
        return callbacks

    run = train_with(method, policy, out, steps=192, prepare=prepare, **options)
    return start[0], run.policy


def blocks(array, small):
    """Return the parts of a parameter of both columns by what reads what, given its shape in the source."""
    units, inputs = small[0], small[-1]
    if array.shape == small:
        return {"whole": array}
    if array.ndim == 1 or array.shape[1] == inputs:  # a bias, or a first layer
        return {"source": array[:units], "new": array[units:]}
    if array.shape[0] == units:  # an output layer
        return {"source": array[:, :inputs], "new": array[:, inputs:]}
    return {
        "source": array[:units, :inputs],
        "source from new": array[:units, inputs:],
        "new from source": array[units:, :inputs],
        "new": array[units:, inputs:],
    }


def mean_and_values(policy, observations, actions):
    """Return what the actor's last layer says, before any tanh, and what the critics say."""
    x, module = torch.from_numpy(observations), policy.module
    with torch.no_grad():
        if policy.algo == "ppo":
            hidden = module.mlp_extractor.policy_net(x)
            return module.action_net(hidden), module.value_net(module.mlp_extractor.value_net(x))
        both = torch.cat((x, torch.from_numpy(actions)), 1)
        values = torch.cat([net(both) for net in module.critic.q_networks], 1)
        if policy.algo == "td3":
            return torch.atanh(module.actor.mu(x)), values
        return module.actor.mu(module.actor.latent_pi(x)), values


@pytest.mark.parametrize("algo", ALGOS)
@pytest.mark.parametrize("method", [Residual(), Progressive(), Residual(width=5), Progressive(width=40)])
def test_it_starts_as_the_source_to_rounding(sources, tmp_path, algo, method):
    source = sources[algo]
    start, _ = columns_training(method, source, tmp_path / "run")
    np.testing.assert_allclose(start.predict(OBSERVATIONS), source.predict(OBSERVATIONS), rtol=1e-5, atol=1e-6)
    for observation in OBSERVATIONS[:20]:
        np.testing.assert_allclose(start.predict(observation), source.predict(observation), rtol=1e-5, atol=1e-6)
    actions = np.random.default_rng(1).uniform(-1.0, 1.0, (1000, 1)).astype(np.float32)
    for found, expected in zip(*(mean_and_values(p, OBSERVATIONS, actions) for p in (start, source)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert start.log_ent_coef == source.log_ent_coef


@pytest.mark.parametrize(
    ("kind", "algo", "compiled"),
    [
        *((kind, algo, False) for kind in BOTH for algo in ALGOS),
        (Progressive, "sac", True),
    ],
)
def test_the_source_keeps_every_bit_and_the_new_column_learns(sources, tmp_path, kind, algo, compiled):
    source, method = sources[algo].weights, kind(critic_warmup=64, collect_first=10)
    start, end = columns_training(method, sources[algo], tmp_path / "run", compiled=compiled)
    for name, last in end.weights.items():
        if "target" in name:  # they follow, and no action comes from them
            continue
        before, after = (blocks(array, source[name].shape) for array in (start.weights[name], last))
        for part, array in after.items():
            if part == "source":
                np.testing.assert_array_equal(array, source[name], name)
            elif part == "source from new" or (part == "new from source" and kind is Residual):
                assert not array.any(), name
            else:
                assert not np.array_equal(array, before[part]), (name, part)


@pytest.mark.parametrize(
    ("method", "algo", "net_arch"),
    [
        (Residual(), "sac", {"pi": [64, 64], "qf": [32, 32]}),
        (Residual(width=5), "ppo", {"pi": [21, 21], "vf": [16, 16]}),
        (Progressive(), "td3", {"pi": [64, 64], "qf": [64, 64]}),
        (Progressive(width=40), "ppo", {"pi": [56, 56], "vf": [56, 56]}),
    ],
)
def test_networks_have_room_for_the_new_column(sources, tmp_path, method, algo, net_arch):
    start, _ = columns_training(method, sources[algo], tmp_path / "run")
    assert start.network.kwargs["net_arch"] == net_arch


def test_a_residual_adds_the_output_of_a_network_of_its_own(sources, tmp_path):
    _, end = columns_training(Residual(width=5, critic_warmup=0), sources["sac"], tmp_path / "run")
    weights, x = end.weights, OBSERVATIONS
    for layer in ("latent_pi.0", "latent_pi.2"):
        new, inputs = weights[f"actor.{layer}.weight"][32:], x.shape[1]
        x = np.maximum(x @ new[:, -inputs:].T + weights[f"actor.{layer}.bias"][32:], 0.0)
    bias = weights["actor.mu.bias"] - sources["sac"].weights["actor.mu.bias"]
    correction = x @ weights["actor.mu.weight"][:, 32:].T + bias
    assert np.abs(correction).max() > 0.01
    zeros = np.zeros((len(x), 1), np.float32)
    means = [mean_and_values(policy, OBSERVATIONS, zeros)[0].numpy() for policy in (end, sources["sac"])]
    np.testing.assert_allclose(means[0], means[1] + correction, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("algo", ALGOS)
@pytest.mark.parametrize("kind", BOTH)
def test_the_actor_is_the_source_while_the_critic_warms_up(sources, tmp_path, kind, algo):
    start, end = columns_training(kind(critic_warmup=192), sources[algo], tmp_path / "run")
    for name, array in end.weights.items():
        if name.startswith(ACTOR):
            np.testing.assert_array_equal(array, start.weights[name], name)


def test_what_is_frozen_has_no_part_in_the_norm_that_ppo_clips(sources, tmp_path):
    source, checked = sources["ppo"].weights, []

    def prepare(learner, training):
        callbacks = Progressive().prepare(learner, sources["ppo"], training)
        values, log_prob, _ = learner.policy.evaluate_actions(torch.from_numpy(OBSERVATIONS), torch.ones(1000, 1))
        (values.sum() + log_prob.sum()).backward()
        for name, parameter in learner.policy.named_parameters():
            parts = blocks(parameter.grad.numpy(), source[name].shape)
            assert not any(parts[part].any() for part in ("source", "source from new") if part in parts), name
            checked.append(name)
        learner.policy.zero_grad()
        return callbacks

    train_with(Progressive(), sources["ppo"], tmp_path / "run", steps=64, prepare=prepare)
    assert "mlp_extractor.value_net.2.weight" in checked


@pytest.mark.parametrize("algo", ["sac", "td3", "ppo"])
@pytest.mark.parametrize(("first", "second"), [(Residual, Residual), (Residual, Progressive), (Progressive, Residual)])
def test_columns_add_up(sources, tmp_path, algo, first, second):
    _, source = columns_training(first(width=8), sources[algo], tmp_path / "one")
    start, end = columns_training(second(width=4, critic_warmup=0), source, tmp_path / "two")
    base, critic = SMALL_OF[algo]["net_arch"], "vf" if algo == "ppo" else "qf"
    critics = [8 * (first is Progressive) + 4 * (second is Progressive) + width for width in base]
    assert end.network.kwargs["net_arch"] == {"pi": [width + 12 for width in base], critic: critics}
    np.testing.assert_allclose(start.predict(OBSERVATIONS), source.predict(OBSERVATIONS), rtol=1e-5, atol=1e-6)
    for name, array in end.weights.items():
        if name.startswith(ACTOR):
            parts = blocks(array, source.weights[name].shape)
            if "source" in parts:
                np.testing.assert_array_equal(parts["source"], source.weights[name], name)


@pytest.mark.parametrize("kind", BOTH)
def test_fine_tuning_goes_on_from_such_a_policy_and_its_bundle_acts_the_same(sources, tmp_path, kind):
    _, end = columns_training(kind(), sources["sac"], tmp_path / "run")
    end.save(tmp_path / "policy.s2r")
    loaded = load_policy(tmp_path / "policy.s2r")
    np.testing.assert_array_equal(loaded.predict(OBSERVATIONS), end.predict(OBSERVATIONS))
    fine = train_with(FineTune(critic_warmup=0), loaded, tmp_path / "fine", steps=100).policy
    assert fine.network == loaded.network
    assert not np.array_equal(fine.predict(OBSERVATIONS), loaded.predict(OBSERVATIONS))


@pytest.mark.parametrize("algo", ["sac", "ppo"])
@pytest.mark.parametrize("kind", BOTH)
def test_it_resumes_with_the_same_curve(sources, tmp_path, kind, algo):
    def go(out, **options):
        settings = {"steps": 256, "eval_every": 64, "checkpoint_every": 128, **options}
        return train_with(kind(), sources[algo], out, **settings)

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "cut", listener=interrupt_at(200))
    assert_same_training(go(tmp_path / "cut"), go(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", BOTH)
def test_it_beats_zero_shot(sources, tmp_path, kind):
    assert lead_over_zero_shot(kind(width=16), sources["sac"], tmp_path, steps=400) > 1.0


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "width = 0 must be a whole number of at least 1 and at most 4096, or null."),
        ({"width": 4097}, "width = 4097 must be a whole number of at least 1 and at most 4096, or null."),
        ({"width": True}, "width = True must be a whole number of at least 1 and at most 4096, or null."),
        ({"width": 8.0}, "width = 8.0 must be a whole number of at least 1 and at most 4096, or null."),
        ({"collect_first": -1}, "collect_first = -1 must be a whole number of at least 0, or null."),
    ],
)
def test_settings_that_cannot_be_are_refused(kind, settings, message):
    with pytest.raises(Sim2RealError) as raised:
        kind(**settings)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("algo", "changes", "message"),
    [
        ("sac", {"use_sde": True}, "residual needs a policy without state-dependent exploration (use_sde)."),
        ("ppo", {"use_sde": True}, "residual needs a policy without state-dependent exploration (use_sde)."),
        ("ppo", {"net_arch": []}, "residual needs a policy with hidden layers; its net_arch is []."),
    ],
)
def test_policies_that_can_have_no_columns_are_refused(tmp_path, algo, changes, message):
    small = {**SMALL_OF[algo], **changes}
    policy = train(ID, algo=algo, steps=64, hyperparameters=small, eval_episodes=2, out=tmp_path / "source").policy
    with pytest.raises(Sim2RealError) as raised:
        train_with(Residual(), policy, tmp_path / "run", steps=100)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"net_arch": [8, 8]},
            "residual needs a learner with net_arch {'pi': [64, 64], 'qf': [32, 32]}, this one has [8, 8]; give the "
            "hyperparameter net_arch of the source policy, [32, 32].",
        ),
        (
            {"net_arch": {"pi": [64, 64], "qf": [32, 32]}, "activation": "tanh"},
            "residual needs a learner with activation relu, this one has tanh; give the hyperparameter activation of "
            "the source policy, relu.",
        ),
    ],
)
def test_a_learner_with_other_networks_is_refused(sources, changes, message):
    config = make_config(SHIFTED, algo="sac", randomizer="none", steps=64, seed=0, hyperparameters=changes)
    with closing(make_training_env(SHIFTED, "none", config.hyperparameters, 1)) as envs:
        learner = make_learner("sac", envs, config.hyperparameters, seed=0, steps=64)
        with pytest.raises(Sim2RealError) as raised:
            Residual().prepare(learner, sources["sac"], config)
    assert str(raised.value) == message


@pytest.mark.parametrize("changes", [{"n_quantiles": 50}, {"n_quantiles": 5}, {"n_critics": 3}, {"n_critics": 1}])
@pytest.mark.parametrize("kind", BOTH)
def test_a_learner_with_other_critics_is_refused(kind, changes):
    config = make_config(SHIFTED, algo="tqc", randomizer="none", steps=64, seed=0)
    values = {**config.hyperparameters, "net_arch": [8]}
    with closing(make_training_env(SHIFTED, "none", values, 1)) as envs:
        source = Policy.from_sb3(FastTQC("MlpPolicy", envs, policy_kwargs={"net_arch": [8], **changes}, device="cpu"))
        learner = make_learner("tqc", envs, kind().hyperparameters(values, values), seed=0, steps=64)
        with pytest.raises(Sim2RealError) as raised:
            kind().prepare(learner, source, config)
    assert str(raised.value) == (
        f"{kind.name} needs a learner with the critics (n_critics, n_quantiles) and the spaces of the source policy."
    )


@pytest.mark.parametrize("algo", ["sac", "td3", "ppo"])
def test_observations_in_parts_are_for_ppo_alone(algo):
    envs = DummyVecEnv([Parts])
    config = make_config(SHIFTED, algo=algo, randomizer="none", steps=2048, seed=0)
    values = config.hyperparameters
    source = Policy.from_sb3(make_learner(algo, envs, values, seed=0, steps=64))
    learner = make_learner(algo, envs, Residual().hyperparameters(values, values), seed=1, steps=64)
    observations = {"x": OBSERVATIONS, "v": OBSERVATIONS[:, :1]}
    if algo != "ppo":
        with pytest.raises(Sim2RealError) as raised:
            Residual().prepare(learner, source, config)
        assert str(raised.value) == (
            "this method changes the update of the learner, which cannot be with a features extractor of type "
            "CombinedExtractor."
        )
    else:
        Residual().prepare(learner, source, config)
        found = Policy.from_sb3(learner).predict(observations)
        np.testing.assert_allclose(found, source.predict(observations), rtol=1e-5, atol=1e-6)
