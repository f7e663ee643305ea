"""What kickstarting promises: the divergence of the paper, imitation where it outweighs all else, and less in time."""

import itertools

import numpy as np
import pytest
import torch
from method_trainings import SHIFTED, lead_over_zero_shot, train_with
from point_mass import ID, SMALL
from torch.distributions import Normal, kl_divergence
from trainings import assert_same_training, interrupt_at

from sim2real.deployment.bundle import load_policy
from sim2real.errors import Sim2RealError
from sim2real.training.fast.functional import Chain, Encoder
from sim2real.training.fast.sac import SACLosses
from sim2real.training.fast.td3 import TD3Losses
from sim2real.training.fast.update import Batch
from sim2real.training.train import make_config, run_training, train
from sim2real.transfer.base import carry_normalizer
from sim2real.transfer.kickstart import Kickstart
from sim2real.transfer.pull import distance, divergence

FLAT = Encoder(torch.nn.Flatten(), pictures=False)


def batch_with(observations, **extras):
    empty = torch.zeros(len(observations))
    return Batch(observations, empty, observations, empty, empty, {**extras, "weight": torch.tensor([0.5])})


def layers(*sizes):
    pairs = itertools.pairwise(sizes)
    return torch.nn.Sequential(*(part for pair in pairs for part in (torch.nn.Linear(*pair), torch.nn.ReLU())))


def test_the_term_of_gaussian_policies_is_their_divergence():
    torch.manual_seed(0)
    trunk, mu, log_std = layers(3, 8), torch.nn.Linear(8, 2), torch.nn.Linear(8, 2)
    actor = {f"{name}.{key}": value for name, part in (("latent_pi", trunk), ("mu", mu), ("log_std", log_std))
             for key, value in part.named_parameters()}  # fmt: skip
    observations, wanted_mean, wanted_log_std = torch.randn(16, 3), torch.randn(16, 2), torch.randn(16, 2)
    losses = SACLosses(FLAT, FLAT, Chain(trunk), Chain(layers(5, 8, 1)), -2.0)
    found = divergence(losses, actor, batch_with(observations, mean=wanted_mean, log_std=wanted_log_std))
    hidden = trunk(observations)
    expected = kl_divergence(Normal(wanted_mean, wanted_log_std.exp()), Normal(mu(hidden), log_std(hidden).exp()))
    torch.testing.assert_close(found, 0.5 * expected.sum(1).mean())


def test_the_term_of_deterministic_policies_is_that_of_gaussians_around_them():
    torch.manual_seed(0)
    net = layers(3, 8, 2)
    actor = {f"mu.{key}": value for key, value in net.named_parameters()}
    observations, wanted = torch.randn(16, 3), torch.rand(16, 2)
    found = distance(
        TD3Losses(FLAT, FLAT, Chain(net), Chain(layers(5, 8, 1))), actor, batch_with(observations, actions=wanted)
    )
    expected = kl_divergence(Normal(wanted, 0.2), Normal(net(observations), 0.2))
    torch.testing.assert_close(found, 0.5 * expected.sum(1).mean())


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["sac", "td3", "tqc", "ppo"])
def test_with_a_weight_that_outweighs_all_else_it_imitates(sources, tmp_path, algo):
    steps = 2048 if algo == "ppo" else 600
    run = train_with(Kickstart(weight=1e6, decay=1.0), sources[algo], tmp_path / "run", steps=steps)
    grid = np.column_stack([np.linspace(-2.0, 2.0, 21), np.zeros(21)]).astype(np.float32)
    error = run.policy.predict(grid) - sources[algo].predict(grid)
    assert np.abs(error).mean() < 0.1
    # The networks are its own: it did not start from those of the source.
    assert not np.array_equal(run.policy.predict(grid), sources[algo].predict(grid))


def test_without_weight_it_is_learning_from_scratch_with_the_normalizer_of_the_source(sources, tmp_path):
    run = train_with(Kickstart(weight=0.0), sources["sac"], tmp_path / "run", steps=200)
    config = make_config(
        SHIFTED, algo="sac", randomizer="none", steps=200, seed=0, hyperparameters=SMALL, eval_episodes=5
    )
    scratch = run_training(
        config, tmp_path / "scratch", prepare=lambda learner: carry_normalizer(sources["sac"], learner) or ()
    )
    assert_same_training(run, scratch)


def test_the_weight_falls_linearly_to_zero(sources, tmp_path):
    seen = {}

    def prepare(learner):
        found = Kickstart(weight=2.0, decay=0.5).prepare(learner, sources["sac"], config)
        drawn = learner.batches

        def watched(learner, size):
            batch = drawn(learner, size)
            seen[learner.num_timesteps] = batch.extras["weight"].item()
            return batch

        learner.batches = watched
        return found

    config = make_config(SHIFTED, algo="sac", randomizer="none", steps=300, seed=0, hyperparameters=SMALL)
    run_training(config, tmp_path / "run", prepare=prepare)
    for step, weight in seen.items():
        assert weight == pytest.approx(2.0 * max(0.0, 1.0 - step / 150))
    assert min(seen) < 100
    assert max(seen) == 300


@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_the_source_is_not_asked_once_it_has_no_weight_and_the_log_says_so(sources, tmp_path, algo):
    asked, logged = [], {}
    sources[algo].save(tmp_path / "policy.zip")
    source = load_policy(tmp_path / "policy.zip")  # its networks are changed here

    def prepare(learner, training):
        (pull,) = Kickstart(decay=0.5).prepare(learner, source, training)
        teacher, name = (pull.teacher, "get_distribution") if algo == "ppo" else (
            pull.teacher.actor, "get_action_dist_params"
        )  # fmt: skip
        ask = getattr(teacher, name)
        setattr(teacher, name, lambda *given: asked.append(learner.num_timesteps) or ask(*given))
        rollout = pull._on_rollout_start

        def watched():
            asked_before = list(asked)
            rollout()
            asked[:] = asked_before  # to log it now and then is another thing
            logged.setdefault("weight", {})[learner.num_timesteps] = pull.logger.name_to_value["kickstart/weight"]
            logged["divergence"] = pull.logger.name_to_value.get("kickstart/divergence", logged.get("divergence"))

        pull._on_rollout_start = watched
        return [pull]

    train_with(Kickstart(), source, tmp_path / "run", steps=512, prepare=prepare)
    assert len(asked) > 0
    assert max(asked) < 256
    assert logged["weight"][0] == 1.0
    assert logged["weight"][max(logged["weight"])] == 0.0
    assert logged["divergence"] > 0.0


def test_a_source_of_td3_is_asked_only_where_the_actor_learns(sources, tmp_path):
    asked, seen = [], []

    def prepare(learner, training):
        (pull,) = Kickstart(decay=1.0).prepare(learner, source, training)
        pull.teacher.actor.register_forward_pre_hook(lambda *_: asked.append(learner._n_updates))
        pull._on_rollout_start = lambda: None  # what is logged asks, too
        seen.append(learner)
        return [pull]

    sources["td3"].save(tmp_path / "policy.zip")
    source = load_policy(tmp_path / "policy.zip")  # its networks are changed here
    train_with(Kickstart(), source, tmp_path / "run", steps=100, prepare=prepare)
    updates, delay = seen[0]._n_updates, seen[0].policy_delay
    assert asked == list(range(delay, updates, delay))  # at the last one it has no weight any more
    assert delay > 1
    assert len(asked) > 10


@pytest.mark.parametrize("algo", ["sac", "td3"])
def test_one_compiled_update_is_for_a_source_with_and_without_weight(sources, tmp_path, algo, monkeypatch):
    compiled, weights = [], set()
    compile_it = torch.compile

    def compiler(function, **_):
        def count(graph, _):
            compiled.append(function)
            return graph.forward

        return compile_it(function, fullgraph=True, dynamic=False, backend=count)

    def prepare(learner, training):
        learner.compiled = True
        callbacks = Kickstart(decay=0.5).prepare(learner, sources[algo], training)
        drawn = learner.batches

        def watched(learner, size):
            batch = drawn(learner, size)
            weights.add(batch.extras["weight"].item() > 0.0)
            return batch

        learner.batches = watched
        return callbacks

    monkeypatch.setattr("sim2real.training.fast.update._compiled", {})
    monkeypatch.setattr(torch, "compile", compiler)
    train_with(Kickstart(), sources[algo], tmp_path / "run", steps=240, prepare=prepare)
    assert weights == {True, False}
    assert len(compiled) == {"sac": 1, "td3": 2}[algo]  # of TD3 one more, which leaves the actor alone


@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_it_resumes_with_the_same_curve(sources, tmp_path, algo):
    def go(out, **options):
        settings = {"steps": 256, "eval_every": 64, "checkpoint_every": 128, **options}
        return train_with(Kickstart(), sources[algo], out, **settings)

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "cut", listener=interrupt_at(200))
    assert_same_training(go(tmp_path / "cut"), go(tmp_path / "whole"))


@pytest.mark.slow
def test_it_beats_zero_shot(sources, tmp_path):
    assert lead_over_zero_shot(Kickstart(), sources["sac"], tmp_path, steps=700) > 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight": -1.0}, "weight = -1.0 must be a number of at least 0 and at most 1e+09."),
        ({"weight": True}, "weight = True must be a number of at least 0 and at most 1e+09."),
        ({"decay": 0.0}, "decay = 0.0 must be a number above 0 and at most 1."),
        ({"decay": float("nan")}, "decay = nan must be a number above 0 and at most 1."),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(Sim2RealError) as raised:
        Kickstart(**settings)
    assert str(raised.value) == message


def test_a_source_whose_exploration_depends_on_the_state_is_refused(tmp_path):
    small = {**SMALL, "use_sde": True}
    policy = train(ID, steps=64, hyperparameters=small, eval_episodes=2, out=tmp_path / "source").policy
    with pytest.raises(Sim2RealError) as raised:
        train_with(Kickstart(), policy, tmp_path / "run", steps=100)
    assert str(raised.value) == "kickstart needs a source policy without state-dependent exploration (use_sde)."
