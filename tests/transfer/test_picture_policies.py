"""Policies that see are transferred like any other: what a method promises holds of the convolutions, too."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from spot import ID, SMALL_OF
from trainings import assert_same_training, interrupt_at

from sim2real.deployment.policy import Policy
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.rollouts import Evaluator, Score
from sim2real.seeding import derive_seed
from sim2real.training.learner import make_learner, make_training_env
from sim2real.training.train import make_config, run_training, train
from sim2real.transfer.auto import Auto
from sim2real.transfer.darc import Darc
from sim2real.transfer.distill import Distill
from sim2real.transfer.finetune import FineTune
from sim2real.transfer.freeze import Freeze
from sim2real.transfer.kickstart import Kickstart
from sim2real.transfer.probes import probe
from sim2real.transfer.progressive import Progressive
from sim2real.transfer.replay_mix import ReplayMix
from sim2real.transfer.residual import Residual

DARK = World.of(ID).with_domain({"brightness": 60.0}, "dark")
ENCODERS = {
    "sac": ("actor.features_extractor.", "critic.features_extractor."),
    "ppo": ("features_extractor.",),
}


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """A policy of two algorithms that has learned a little."""
    out = tmp_path_factory.mktemp("seeing")

    def short(algo):
        return train(ID, algo=algo, steps=96, hyperparameters=SMALL_OF[algo], eval_episodes=1, out=out / algo).policy

    return {algo: short(algo) for algo in ("sac", "ppo")}


def config_of(method, policy, *, steps):
    config = make_config(
        DARK,
        algo=policy.algo,
        randomizer="none",
        steps=steps,
        seed=0,
        hyperparameters=SMALL_OF[policy.algo],
        eval_every=steps,
        eval_episodes=4,
        checkpoint_every=24,
    )
    source = policy.metadata.hyperparameters
    method.check(config, source)
    return replace(config, hyperparameters=method.hyperparameters(config.hyperparameters, source))


def carry(method, policy, out, *, steps, **options):
    config = config_of(method, policy, steps=steps)
    return run_training(
        config, out, resume=True, prepare=lambda learner: method.prepare(learner, policy, config), **options
    )


def start_of(method, policy):
    """Return the policy of a learner before its first step."""
    config = config_of(method, policy, steps=128)
    with closing(make_training_env(DARK, "none", config.hyperparameters, config.n_envs)) as envs:
        learner = make_learner(policy.algo, envs, config.hyperparameters, seed=0, steps=128)
        method.prepare(learner, policy, config)
        return Policy.from_sb3(learner)


def moved(before, after, prefix):
    names = [name for name in before.weights if name.startswith(prefix)]
    assert names
    return any(not np.array_equal(before.weights[name], after.weights[name]) for name in names)


def pictures(count=16):
    with closing(World.of(ID).make()) as env:
        return np.stack([env.reset(seed=seed)[0] for seed in range(count)])


@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_a_picture_policy_starts_as_zero_shot_does_and_keeps_its_actor_while_the_critic_learns(seeing, tmp_path, algo):
    source = seeing[algo]
    run = carry(FineTune(), source, tmp_path / "run", steps=64)
    with Evaluator(DARK, seed=derive_seed(0, "evaluations of a training"), episodes=4) as evaluator:
        as_it_is = Score.of(evaluator.run(source.predict))
    assert run.curve[0] == {"step": 0, **vars(as_it_is)}
    config, method = config_of(FineTune(), source, steps=64), FineTune(critic_warmup=65, collect_first=8)
    held = run_training(
        config, tmp_path / "held", prepare=lambda learner: method.prepare(learner, source, config)
    ).policy
    np.testing.assert_array_equal(held.predict(pictures()), source.predict(pictures()))
    assert moved(source, held, "critic.features_extractor." if algo == "sac" else "value_net.")


@pytest.mark.parametrize("algo", ["sac", "ppo"])
@pytest.mark.parametrize(("frozen", "still"), [(None, True), (["encoder"], True), (["hidden_1"], False)])
def test_the_encoder_is_the_first_layer_that_is_frozen(seeing, tmp_path, algo, frozen, still):
    after = carry(Freeze(frozen=frozen, critic_warmup=0), seeing[algo], tmp_path / "run", steps=64).policy
    for prefix in ENCODERS[algo]:
        assert moved(seeing[algo], after, prefix) is not still
    hidden = "actor.latent_pi.0." if algo == "sac" else "mlp_extractor.policy_net.0."
    assert moved(seeing[algo], after, hidden) is (frozen == ["encoder"])
    assert moved(seeing[algo], after, "actor.mu." if algo == "sac" else "action_net.")


def test_unknown_layers_are_named_with_the_encoder(seeing):
    with pytest.raises(Sim2RealError) as raised:
        config_of(Freeze(frozen=["hidden_2"]), seeing["sac"], steps=64)
    assert str(raised.value) == "frozen = ['hidden_2']: the networks have the layers encoder, hidden_1, output."


@pytest.mark.parametrize("method", [Residual(critic_warmup=0), Progressive(critic_warmup=0)])
@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_columns_start_as_the_source_and_leave_its_encoder_alone(seeing, tmp_path, algo, method):
    source = seeing[algo]
    np.testing.assert_allclose(start_of(method, source).predict(pictures()), source.predict(pictures()), atol=1e-6)
    after = carry(method, source, tmp_path / "run", steps=64).policy
    own = ENCODERS[algo][0]
    assert not moved(source, after, own)
    if algo == "sac":  # the critics learn as a whole where they have no column
        assert moved(source, after, ENCODERS[algo][1]) is (method.name == "residual")
    assert not np.array_equal(after.predict(pictures()), source.predict(pictures()))


@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_kickstart_with_a_weight_that_outweighs_all_else_draws_to_the_source(seeing, tmp_path, algo):
    source = seeing[algo]

    def distance(policy):
        return np.abs(policy.predict(pictures()) - source.predict(pictures())).mean()

    run = carry(Kickstart(weight=1e4, decay=1.0), source, tmp_path / "run", steps=128)
    assert distance(run.policy) < 0.5 * distance(start_of(Kickstart(), source))


@pytest.mark.slow
@pytest.mark.parametrize("method", [Distill(collected=40, updates=20), ReplayMix(collected=40), Auto()])
def test_methods_that_collect_resume_with_the_same_curve(seeing, tmp_path, method):
    whole = carry(method, seeing["sac"], tmp_path / "whole", steps=60)
    with pytest.raises(KeyboardInterrupt):
        carry(method, seeing["sac"], tmp_path / "cut", steps=60, listener=interrupt_at(50))
    assert_same_training(whole, carry(method, seeing["sac"], tmp_path / "cut", steps=60))


@pytest.mark.slow
def test_distillation_gives_a_student_that_acts_as_its_source(seeing, tmp_path):
    source = seeing["ppo"]
    method = Distill(collected=200, updates=100, critic_warmup=63)
    run = carry(method, source, tmp_path / "run", steps=64)  # of which the actor learns in none
    assert run.policy.network.kwargs["net_arch"] == [8]
    assert np.abs(run.policy.predict(pictures()) - source.predict(pictures())).mean() < 0.1


def test_methods_for_rows_of_numbers_say_so(seeing, tmp_path):
    with pytest.raises(Sim2RealError, match=r"^darc needs observations that are one row of numbers, not Box\(0, 255, "):
        carry(Darc(), seeing["sac"], tmp_path / "run", steps=48)
    with pytest.raises(Sim2RealError) as raised:
        probe(seeing["sac"], DARK, 1000)
    assert str(raised.value) == "probes need observations that are one row of numbers, not a dictionary or pictures."
