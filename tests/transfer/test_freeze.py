"""What frozen layers promise: they keep every bit, thaw in order, and learn at rates of their own."""

import numpy as np
import pytest
import torch
from method_trainings import SHIFTED, SMALL_OF, lead_over_zero_shot, train_with
from point_mass import SMALL
from stable_baselines3.common.callbacks import CallbackList
from trainings import assert_same_training, interrupt_at

from sim2real.deployment.policy import Policy
from sim2real.errors import Sim2RealError
from sim2real.training.learner import make_learner, make_training_env
from sim2real.training.train import make_config
from sim2real.transfer.freeze import Freeze
from sim2real.transfer.transfer import transfer

LAYERS = {  # of the actor and the critics
    "sac": {
        "hidden_1": ("actor.latent_pi.0.", "critic.qf0.0.", "critic.qf1.0."),
        "hidden_2": ("actor.latent_pi.2.", "critic.qf0.2.", "critic.qf1.2."),
        "output": ("actor.mu.", "actor.log_std.", "critic.qf0.4.", "critic.qf1.4."),
    },
    "td3": {
        "hidden_1": ("actor.mu.0.", "critic.qf0.0.", "critic.qf1.0."),
        "hidden_2": ("actor.mu.2.", "critic.qf0.2.", "critic.qf1.2."),
        "output": ("actor.mu.4.", "critic.qf0.4.", "critic.qf1.4."),
    },
    "ppo": {
        "hidden_1": ("mlp_extractor.policy_net.0.", "mlp_extractor.value_net.0."),
        "hidden_2": ("mlp_extractor.policy_net.2.", "mlp_extractor.value_net.2."),
        "output": ("action_net.", "log_std", "value_net."),
    },
}
LAYERS["tqc"] = LAYERS["sac"]
ALL = ["hidden_1", "hidden_2", "output"]


def moved_layers(before, after, algo):
    """Return by how much the layers moved, the largest of its numbers."""
    found = {}
    for name, prefixes in LAYERS[algo].items():
        names = [n for n in before.weights if n.startswith(prefixes)]
        assert names, name
        found[name] = max(np.abs(before.weights[n] - after.weights[n]).max() for n in names)
    return found


@pytest.mark.parametrize("algo", ["sac", "td3", "tqc", "ppo"])
@pytest.mark.parametrize("frozen", [None, ["hidden_1"], ["output"]])
def test_frozen_layers_keep_every_bit_and_the_others_learn(sources, tmp_path, algo, frozen):
    method = Freeze(frozen=frozen, critic_warmup=10, collect_first=10)
    moved = moved_layers(sources[algo], train_with(method, sources[algo], tmp_path / "run", steps=192).policy, algo)
    still = ["hidden_1", "hidden_2"] if frozen is None else frozen
    for name, distance in moved.items():
        assert (distance == 0.0) == (name in still), name


@pytest.mark.parametrize("algo", ["sac", "ppo"])
@pytest.mark.parametrize(("steps", "still"), [(64, {"hidden_1", "hidden_2"}), (128, {"hidden_1"}), (256, set())])
def test_layers_thaw_one_by_one_from_the_last_to_the_first(sources, tmp_path, algo, steps, still):
    method = Freeze(thaw_every=64, critic_warmup=0, collect_first=0)
    run = train_with(method, sources[algo], tmp_path / "run", steps=steps)
    moved = moved_layers(sources[algo], run.policy, algo)
    assert {name for name, distance in moved.items() if distance == 0.0} == still


@pytest.mark.parametrize("algo", ["sac", "td3", "ppo"])
def test_a_layer_learns_at_a_part_of_the_rate_of_the_one_behind_it(sources, tmp_path, algo):
    method = Freeze(frozen=(), rate_decay=0.01, critic_warmup=0, collect_first=0)
    run = train_with(method, sources[algo], tmp_path / "run", steps=64)
    moved = moved_layers(sources[algo], run.policy, algo)
    # Adam's steps are nearly as long for all parameters.
    assert moved["output"] > 20 * moved["hidden_2"] > 400 * moved["hidden_1"] > 0.0


@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_it_resumes_with_the_same_curve(sources, tmp_path, algo):
    method = Freeze(thaw_every=96, rate_decay=0.5)

    def go(out, **options):
        settings = {"steps": 256, "eval_every": 64, "checkpoint_every": 128, **options}
        return train_with(method, sources[algo], out, **settings)

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "cut", listener=interrupt_at(200))
    assert_same_training(go(tmp_path / "cut"), go(tmp_path / "whole"))


def test_it_beats_zero_shot(sources, tmp_path):
    method = Freeze(frozen=["hidden_1"])
    assert lead_over_zero_shot(method, sources["sac"], tmp_path, steps=400) > 1.0


def test_a_finished_transfer_is_taken_up(sources, tmp_path, in_process):
    def go():
        settings = {**SMALL, "frozen": ["hidden_1"]}
        options = {"steps": 60, "seeds": 1, "eval_episodes": 2, "resume": True, "out": tmp_path / "out"}
        return transfer(sources["sac"], target=SHIFTED, method="freeze", hyperparameters=settings, **options)

    arms = go().result["arms"]
    assert go().result["arms"] == arms


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"frozen": "hidden_1"},
            "frozen = 'hidden_1' must be names of layers, encoder, hidden_1, hidden_2, …, output, or null.",
        ),
        (
            {"frozen": ["mu"]},
            "frozen = ['mu'] must be names of layers, encoder, hidden_1, hidden_2, …, output, or null.",
        ),
        ({"thaw_every": 0}, "thaw_every = 0 must be a whole number of at least 1, or null."),
        ({"rate_decay": 0.0}, "rate_decay = 0.0 must be a number above 0 and at most 1."),
        ({"critic_warmup": -1}, "critic_warmup = -1 must be a whole number of at least 0, or null."),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(Sim2RealError) as raised:
        Freeze(**settings)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frozen": ["hidden_3"]}, "frozen = ['hidden_3']: the networks have the layers hidden_1, hidden_2, output."),
        ({"frozen": ALL}, "with all layers of the actor frozen nothing is learned; leave one out, or give thaw_every."),
        (
            {"frozen": ALL, "thaw_every": 192},
            "thaw_every = 192 thaws nothing within 192 steps, and all layers of the actor are frozen; lower it.",
        ),
    ],
)
def test_what_would_learn_nothing_is_refused_before_anything_is_built(sources, tmp_path, settings, message):
    source = sources["sac"]
    config = make_config(SHIFTED, algo="sac", randomizer="none", steps=192, seed=0, hyperparameters=SMALL)
    with pytest.raises(Sim2RealError) as raised:
        Freeze(**settings).check(config, source.metadata.hyperparameters)
    assert str(raised.value) == message
    with pytest.raises(Sim2RealError) as raised:  # and where the hyperparameters of the source are not known
        train_with(Freeze(**settings), source, tmp_path / "run", steps=192)
    assert str(raised.value) == message
    Freeze(frozen=ALL, thaw_every=191).check(config, source.metadata.hyperparameters)


def test_an_actor_with_fewer_layers_must_learn_something_too():
    config = make_config(SHIFTED, algo="sac", randomizer="none", steps=192, seed=0, hyperparameters=SMALL)
    source = {"net_arch": {"pi": [16], "qf": [16, 16]}}
    with pytest.raises(Sim2RealError) as raised:
        Freeze(frozen=["hidden_1", "output"]).check(config, source)
    assert str(raised.value) == (
        "with all layers of the actor frozen nothing is learned; leave one out, or give thaw_every."
    )
    Freeze(frozen=["hidden_1", "hidden_2"]).check(config, source)


def test_a_source_whose_exploration_depends_on_the_state_is_refused():
    config = make_config(SHIFTED, algo="sac", randomizer="none", steps=192, seed=0, hyperparameters=SMALL)
    with pytest.raises(Sim2RealError) as raised:
        Freeze().check(config, {"net_arch": [32, 32], "use_sde": True})
    assert str(raised.value) == (
        "freeze needs a source policy without state-dependent exploration (use_sde); use plain finetune."
    )


@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_two_calls_of_learn_learn_what_one_learns(sources, algo):
    config = make_config(SHIFTED, algo=algo, randomizer="none", steps=128, seed=0, hyperparameters=SMALL_OF[algo])
    method, source = Freeze(frozen=["hidden_1"], rate_decay=0.5, critic_warmup=32, collect_first=80), sources[algo]
    values = method.hyperparameters(config.hyperparameters, source.metadata.hyperparameters)
    found = []
    for parts in ((128,), (64, 64)):
        learner = make_learner(algo, make_training_env(config.world, "none", values, 1), values, seed=0, steps=128)
        callbacks = CallbackList(list(method.prepare(learner, source, config)))
        for part in parts:
            learner.learn(part, callback=callbacks, reset_num_timesteps=False)
        found.append(learner.policy.state_dict())
        assert moved_layers(source, Policy.from_sb3(learner), algo)["output"] > 0.0
    whole, cut = found
    for name, tensor in whole.items():
        torch.testing.assert_close(cut[name], tensor, rtol=0.0, atol=0.0, msg=name)


def test_what_is_frozen_has_no_part_in_the_norm_that_ppo_clips(sources, tmp_path):
    grads = {}

    def prepare(learner, training):
        callbacks = Freeze(frozen=["hidden_1"], critic_warmup=0).prepare(learner, sources["ppo"], training)
        clip = torch.nn.utils.clip_grad_norm_

        def watched(parameters, *rest):
            for name, parameter in learner.policy.named_parameters():
                if parameter.grad is not None:
                    grads[name] = grads.get(name, 0.0) + parameter.grad.abs().sum().item()
            return clip(parameters, *rest)

        torch.nn.utils.clip_grad_norm_ = watched
        return callbacks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.utils, "clip_grad_norm_", torch.nn.utils.clip_grad_norm_)
        train_with(Freeze(frozen=["hidden_1"]), sources["ppo"], tmp_path / "run", steps=64, prepare=prepare)
    still = {name for name, size in grads.items() if size == 0.0}
    assert still == {f"mlp_extractor.{net}_net.0.{kind}" for net in ("policy", "value") for kind in ("weight", "bias")}


def test_a_thawed_layer_of_ppo_begins_with_moments_of_its_own(sources, tmp_path):
    seen = {}

    def prepare(learner, training):
        seen["learner"] = learner
        return Freeze(thaw_every=64, critic_warmup=0).prepare(learner, sources["ppo"], training)

    train_with(Freeze(), sources["ppo"], tmp_path / "run", steps=192, prepare=prepare)
    policy = seen["learner"].policy
    made = {name: int(policy.optimizer.state[p]["step"]) for name, p in policy.named_parameters()}
    each = made["action_net.weight"] // 3  # gradient steps of a rollout, of three
    assert made["mlp_extractor.policy_net.2.weight"] == 2 * each
    assert made["mlp_extractor.policy_net.0.weight"] == each


@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_all_layers_may_be_frozen_for_a_time(sources, tmp_path, algo):
    run = train_with(Freeze(frozen=ALL, thaw_every=64, critic_warmup=0), sources[algo], tmp_path / "run", steps=128)
    moved = moved_layers(sources[algo], run.policy, algo)
    assert {name for name, distance in moved.items() if distance > 0.0} == {"output"}
