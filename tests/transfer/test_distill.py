"""What distillation promises: a smaller network that acts as the source does before the first target step."""

import numpy as np
import pytest
import torch
from method_trainings import SHIFTED, lead_over_zero_shot, train_with
from point_mass import SMALL
from torch.distributions import Normal, kl_divergence
from trainings import assert_same_training, interrupt_at

from sim2real.errors import Sim2RealError
from sim2real.training.train import train
from sim2real.transfer.distill import Distill
from sim2real.transfer.divergence import policy_divergence

HALVED = {"pi": [16, 16], "qf": [32, 32]}  # no machine has to run the critics


@pytest.mark.parametrize(("algo", "halved"), [("sac", HALVED), ("td3", HALVED), ("tqc", HALVED), ("ppo", [8, 8])])
def test_before_the_first_step_a_network_of_half_the_width_acts_as_the_source(sources, tmp_path, algo, halved):
    before = {}

    def prepare(learner, training):
        distillation, warmup = method.prepare(learner, sources[algo], training)

        def remembered():
            start()
            grid = np.column_stack([np.linspace(-2.0, 2.0, 41), np.linspace(-0.5, 0.5, 41)]).astype(np.float32)
            normalize = learner.get_vec_normalize_env()
            seen = grid if normalize is None else normalize.normalize_obs(grid)
            before["actions"] = learner.policy.predict(seen, deterministic=True)[0]
            before["wanted"] = sources[algo].predict(grid)

        start, distillation._on_training_start = distillation._on_training_start, remembered
        return [distillation, warmup]

    method = Distill(collected=2_000, updates=1_000)
    run = train_with(method, sources[algo], tmp_path / "run", steps=64, prepare=prepare)
    assert run.policy.network.kwargs["net_arch"] == halved
    assert np.abs(before["actions"] - before["wanted"]).mean() < 0.1


def test_its_critics_are_the_sources(sources, tmp_path):
    found = {}

    def prepare(learner, training):
        callbacks = method.prepare(learner, sources["sac"], training)
        start = callbacks[0]._on_training_start

        def remembered():
            start()
            states = torch.randn(500, 2) * 0.5
            actions = torch.rand(500, 1) * 2.0 - 1.0
            with torch.no_grad():
                found["student"] = learner.critic(states, actions)[0].squeeze().numpy()
                found["follower"] = learner.critic_target(states, actions)[0].squeeze().numpy()
                found["source"] = sources["sac"].module.critic(states, actions)[0].squeeze().numpy()

        callbacks[0]._on_training_start = remembered
        return callbacks

    method = Distill(collected=200, updates=20)
    train_with(method, sources["sac"], tmp_path / "run", steps=64, prepare=prepare)
    np.testing.assert_array_equal(found["student"], found["source"])
    np.testing.assert_array_equal(found["student"], found["follower"])


def test_the_divergence_is_that_of_gaussians(sources, tmp_path):
    policy = train(SHIFTED, steps=64, hyperparameters=SMALL, eval_episodes=2, out=tmp_path / "other").policy
    teacher, student = sources["sac"].module, policy.module
    states = torch.randn(10, 2)
    (mean, log_std, _), (own, own_log_std, _) = (m.actor.get_action_dist_params(states) for m in (teacher, student))
    expected = kl_divergence(Normal(mean, log_std.exp()), Normal(own, own_log_std.exp())).sum(1)
    torch.testing.assert_close(policy_divergence(teacher, student, states), expected)
    torch.testing.assert_close(policy_divergence(teacher, teacher, states), torch.zeros(10))


@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_it_goes_on_after_an_interruption_as_if_there_had_been_none(sources, tmp_path, algo):
    def go(out, **options):
        settings = {"steps": 256, "eval_every": 64, "checkpoint_every": 128, **options}
        return train_with(Distill(hidden=[8], collected=500, updates=200), sources[algo], out, **settings)

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "cut", listener=interrupt_at(200))
    assert_same_training(go(tmp_path / "cut"), go(tmp_path / "whole"))


@pytest.mark.slow
def test_it_beats_zero_shot_with_a_smaller_network(sources, tmp_path):
    method = Distill(collected=2000, updates=1500)
    assert lead_over_zero_shot(method, sources["sac"], tmp_path, steps=400) > 1.0
    assert method.source_steps(400) == 2000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": [0]}, "hidden = [0] must be a list of layer widths up to 4096, like [32, 32], or null."),
        ({"hidden": 32}, "hidden = 32 must be a list of layer widths up to 4096, like [32, 32], or null."),
        ({"collected": 9}, "collected = 9 must be a whole number of at least 10 and at most 1e+06."),
        ({"updates": 1}, "updates = 1 must be a whole number of at least 2 and at most 1e+06."),
        ({"critic_warmup": -1}, "critic_warmup = -1 must be a whole number of at least 0, or null."),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(Sim2RealError) as raised:
        Distill(**settings)
    assert str(raised.value) == message
