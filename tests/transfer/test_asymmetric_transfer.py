"""Transfer of policies whose critics read what the simulator knows."""

from dataclasses import replace

import numpy as np
import point_mass
import pytest
import spot
import torch
import watched
from stable_baselines3.common.logger import configure
from watched import ASYMMETRIC

from sim2real.deployment.asymmetric import privileged_scale
from sim2real.domains.contract import Interface, interface
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.learner import make_learner, make_training_env
from sim2real.training.train import make_config, train
from sim2real.transfer.arms import arm_config
from sim2real.transfer.base import METHODS, find_method
from sim2real.transfer.crossing import crossing, translated
from sim2real.transfer.distill import Distill
from sim2real.transfer.finetune import FineTune
from sim2real.transfer.freeze import Freeze
from sim2real.transfer.graft import Graft
from sim2real.transfer.kickstart import Kickstart
from sim2real.transfer.probes import probe
from sim2real.transfer.replay_mix import ReplayMix
from sim2real.transfer.scratch import Scratch
from sim2real.transfer.zero_shot import ZeroShot

SEEN = {**spot.SMALL_SOFT, "asymmetric_critic": True}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run with an asymmetric critic."""
    return train(
        watched.ID,
        steps=300,
        hyperparameters=ASYMMETRIC,
        eval_every=300,
        out=tmp_path_factory.mktemp("s") / "run",
    )


@pytest.fixture(scope="module")
def knowing(tmp_path_factory):
    """A run in which a policy has learned to name the side that it is told."""
    numbers = {name: value for name, value in spot.SMALL_SOFT.items() if name != "features_dim"}
    return train(
        World.of(spot.ID, kwargs={"form": "state"}),
        steps=600,
        hyperparameters={**numbers, "normalize_reward": True},
        eval_every=600,
        randomizer="uniform",
        out=tmp_path_factory.mktemp("s") / "run",
    )


def begun(method, policy, world, hyperparameters, translation=None):
    """Return the learner of an arm before its first step, and its callbacks."""
    base = make_config(
        world, algo="sac", randomizer="none", seed=0, hyperparameters=hyperparameters, steps=100, eval_every=50
    )
    known = policy.metadata.hyperparameters
    method.check(base, known)
    config = arm_config(base, method, known, "source", None if translation is None else {})
    vec_env = make_training_env(world, "none", config.hyperparameters, 1)
    learner = make_learner("sac", vec_env, config.hyperparameters, seed=0, steps=100)
    if translation is None:
        return learner, method.prepare(learner, policy, config)
    return learner, method.prepare_across(learner, policy, translation, config)


def teach(lessons, learner):
    learner.set_logger(configure(None, []))
    lessons.init_callback(learner)
    lessons.on_training_start({}, {})


@pytest.mark.parametrize(("normalizer", "count"), [("carry", 300), ("blend", 360), ("refit", 60)])
def test_the_critics_and_what_scales_them_are_carried(source, normalizer, count):
    there = World.of(watched.ID).with_domain({"gain": 0.8}, "weak")
    method = FineTune(normalizer=normalizer, critic_warmup=90)
    learner, callbacks = begun(method, source.policy, there, ASYMMETRIC)
    own, carried = learner.critic.state_dict(), source.policy.module.critic.state_dict()
    assert all(torch.equal(own[name], carried[name]) for name in own if name.startswith("qf"))
    learner.learn(60, callback=callbacks)
    assert privileged_scale(learner.policy).count == count


def test_fine_tuning_follows_the_source_in_what_its_critics_read(source):
    learner, _ = begun(FineTune(), source.policy, World.of(watched.ID), point_mass.SMALL)
    assert privileged_scale(learner.policy).count == 300


def test_a_student_gets_the_critics_of_its_teacher(knowing):
    there = World.of(spot.ID, kwargs={"form": "picture"})
    face = interface(there.make())
    translation = translated(knowing.policy, face.as_teacher(), {}, 0)
    method = Distill(collected=64, updates=20, hidden=[8], critic_warmup=50)
    learner, (lessons, *others) = begun(method, knowing.policy, there, SEEN, translation)
    assert others
    before = {name: tensor.clone() for name, tensor in learner.actor.state_dict().items()}
    teach(lessons, learner)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in learner.actor.state_dict().items())
    assert learner.actor.latent_pi[0].out_features == 8
    sides, actions = torch.tensor([[-1.0], [1.0], [1.0]]), torch.tensor([[0.3], [-0.9], [0.9]])
    for critics in (learner.critic, learner.critic_target):
        said = torch.cat(critics(sides, actions), 1)
        teacher = knowing.policy
        read = torch.from_numpy(teacher.normalizer(sides.numpy()))
        torch.testing.assert_close(said, torch.cat(teacher.module.critic(read, actions), 1))
    # In units of the rewards that these values are of.
    scale = learner.get_vec_normalize_env().ret_rms
    np.testing.assert_array_equal(scale.var, knowing.policy.normalizer.returns.var)


def test_a_copy_of_a_policy_is_taught_by_it(source):
    method = Distill(collected=64, updates=20, critic_warmup=50)
    learner, (lessons, *_) = begun(method, source.policy, World.of(watched.ID), ASYMMETRIC)
    teach(lessons, learner)
    assert learner.actor.latent_pi[0].out_features == 16
    taught, own = source.policy.module.critic.state_dict(), learner.critic.state_dict()
    assert all(torch.equal(own[name], taught[name]) for name in own)


def test_methods_whose_critics_must_read_what_the_actor_does_refuse(source):
    config = make_config(
        World.of(watched.ID), algo="sac", randomizer="none", seed=0, hyperparameters=ASYMMETRIC, steps=100
    )
    able = "distill, finetune, freeze, kickstart, scratch"
    for name in METHODS:
        method = find_method(name)
        if method.asymmetric or not method.learns:
            continue
        with pytest.raises(Sim2RealError) as raised:
            method().check(config, source.policy.metadata.hyperparameters)
        assert str(raised.value) == (
            f"{name} with these settings is for critics that read what the actor does, and the source policy has an "
            f"asymmetric_critic; use {able}."
        )
    with pytest.raises(Sim2RealError, match=r"^finetune with these settings is for critics"):
        FineTune(source_share=0.5).check(config, source.policy.metadata.hyperparameters)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (World.of(point_mass.ID), "nothing"),
        (World.of(watched.ID, kwargs={"told": "seen"}), "x[2] m"),
        (World.of(watched.ID, kwargs={"told": "turned"}), "gain[1] 1, x[2] m"),
    ],
)
def test_a_target_that_tells_the_state_otherwise_is_refused(source, there, told):
    face = source.policy.interface
    for method in (FineTune, Freeze, Distill):
        with pytest.raises(Sim2RealError) as raised:
            crossing(method, face, there.interface(), None)
        assert str(raised.value) == (
            f"{method.name} goes on with the source's asymmetric critics, which read x[2] m, gain[1] 1 in this order, "
            f"and the target tells {told}; use kickstart."
        )
    for method in (Kickstart, Scratch, ZeroShot):
        assert crossing(method, face, there.interface(), None) is None
    assert crossing(FineTune, face, World.of(watched.ID).interface(), None) is None


def test_what_learns_with_symmetric_critics_may_where_asymmetric_ones_are_tuned(knowing):
    there = World.of(watched.ID)
    config = make_config(there, algo="sac", randomizer="none", seed=0, hyperparameters=ASYMMETRIC, steps=100)
    Graft().check(config, point_mass.SMALL)
    with pytest.raises(Sim2RealError, match=r"has an asymmetric_critic; set it to false, or use distill, finetune,"):
        ReplayMix().check(config, point_mass.SMALL)


def test_critics_of_other_layers_cannot_be_copied(knowing):
    there = World.of(spot.ID, kwargs={"form": "picture"})
    translation = translated(knowing.policy, interface(there.make()).as_teacher(), {}, 0)
    method = Distill(collected=64, updates=20, critic_warmup=50)
    known = knowing.policy.described(replace(knowing.policy.metadata, hyperparameters={}))
    learner, (lessons, *_) = begun(method, known, there, {**SEEN, "net_arch": [24]}, translation)
    with pytest.raises(Sim2RealError, match=r"^distill copies the teacher's critics, and the student's have other lay"):
        teach(lessons, learner)


def test_probes_say_that_they_cannot_ask_such_critics(source):
    with pytest.raises(Sim2RealError, match=r"^probes ask the source's critics, and asymmetric ones read what probes"):
        probe(source.policy, World.of(watched.ID), 2000)


def test_a_policy_with_such_a_critic_cannot_be_translated(source):
    face = source.policy.interface
    assert isinstance(face, Interface)
    with pytest.raises(Sim2RealError) as raised:
        translated(source.policy, face, {}, 0)
    assert str(raised.value) == (
        "a policy with an asymmetric critic, which reads privileged numbers, cannot be translated."
    )


def test_only_one_of_both_cannot_have_such_a_critic(knowing):
    there = World.of(watched.ID)
    symmetric = train(watched.ID, steps=60, hyperparameters=point_mass.SMALL, eval_every=60, out=knowing.folder / "s")
    with pytest.raises(Sim2RealError) as raised:
        begun(Distill(), symmetric.policy, there, ASYMMETRIC)
    assert str(raised.value) == (
        "distill teaches the source's critics, which do not read privileged observations; set asymmetric_critic to "
        "false."
    )
