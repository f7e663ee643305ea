"""Adapters: another body's numbers are found out by what actions do."""

import re
from dataclasses import replace

import numpy as np
import pytest
from point_mass import SMALL
from shapes import JOINTS, TwoJoints, face, fresh_policy, shaped

from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.train import make_config, train
from sim2real.transfer import adapter
from sim2real.transfer.adapter import Adapter, Alignment, observed
from sim2real.transfer.alignment import Steps, align, joined, learnable, trusted
from sim2real.transfer.arms import Arm, arm_config, run_arm
from sim2real.transfer.crossing import crossing
from sim2real.transfer.space_map import map_spaces
from sim2real.transfer.translate import translate

THERE = World.of(JOINTS, kwargs={"turned": True})


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A policy that drives the hand to the origin."""
    out = tmp_path_factory.mktemp("joints") / "run"
    return train(JOINTS, steps=700, hyperparameters=SMALL, eval_every=700, eval_episodes=10, out=out)


def arm(learned, folder, **settings):
    """Return an arm into the other body, to be run in this process."""
    method = Adapter(**{"aligned": 120, "rounds": 2, "collected": 500, "updates": 400, **settings})
    base = make_config(
        THERE,
        algo="sac",
        randomizer="none",
        seed=0,
        hyperparameters=SMALL,
        steps=240,
        eval_every=60,
        eval_episodes=10,
    )
    config = arm_config(base, method, learned.policy.metadata.hyperparameters, "source", {})
    return Arm(method=method, config=config, source=learned.policy, folder=folder, space_map={})


def quiet(_steps):
    pass


def random_steps(world, count, seed):
    env, rows = world.make(), []
    before, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    for step in range(count):
        action = env.action_space.sample()
        after, *_ = env.step(action)
        rows.append((before, action, after))
        before = env.reset()[0] if step % 10 == 9 else after
    return Steps(*(np.array(column, np.float32) for column in zip(*rows, strict=True)))


def test_what_is_of_the_body_is_learned_and_the_rest_is_trusted(learned):
    part = map_spaces(learned.policy.interface, THERE.interface()).observation
    known = trusted(part)
    np.testing.assert_array_equal(known.rows, [0, 1])
    np.testing.assert_array_equal(known.columns, [0, 1])
    np.testing.assert_array_equal(learnable(part), [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])


@pytest.mark.slow
def test_a_turned_body_is_found_out(learned):
    space_map = map_spaces(learned.policy.interface, THERE.interface())
    home = observed(learned.policy, 1000, 0)
    found = align(learned.policy, space_map, home, random_steps(THERE, 200, 1), updates=800, seed=0)
    # The hand is turn · joints in one body, the joints themselves in the other. Targets far from where the source
    # policy stays draw the encoder inwards.
    np.testing.assert_allclose(found.observation.matrix[2:, 2:], TwoJoints.TURN, atol=0.35)
    np.testing.assert_allclose(found.observation.matrix[:2], np.eye(2, 4), atol=0)
    np.testing.assert_allclose(found.action.matrix, TwoJoints.TURN.T, atol=0.25)
    assert [link.what for link in found.observation.links] == ["kept", "learned"]
    assert [link.what for link in found.action.links] == ["learned"]
    again = align(learned.policy, space_map, home, random_steps(THERE, 200, 1), updates=800, seed=0)
    np.testing.assert_array_equal(found.action.matrix, again.action.matrix)
    # The translated policy moves the hand as the policy does at home.
    other = translate(learned.policy, THERE.interface(), found).policy
    hands = np.random.default_rng(0).uniform(-1.0, 1.0, (50, 2))
    at_home = learned.policy.predict(np.concatenate((hands, hands), 1).astype(np.float32))
    there = other.predict(np.concatenate((hands, hands @ TwoJoints.TURN), 1).astype(np.float32))
    assert np.abs(there @ TwoJoints.TURN.T - at_home).mean() < 0.25


def test_the_adapter_carries_a_policy_into_a_turned_body(learned, tmp_path):
    points = run_arm(arm(learned, tmp_path / "run"), quiet)
    by_step = {point["step"]: point["return_mean"] for point in points}
    at_home = learned.curve[-1]["return_mean"]
    assert by_step[0] < at_home - 1.0
    assert by_step[120] > at_home - 0.5  # aligned, and nothing else learned yet


@pytest.mark.slow
def test_an_interrupted_alignment_goes_on_as_if_nothing_had_happened(learned, tmp_path):
    few = {"updates": 60, "collected": 200}  # what it comes to does not matter here
    whole = run_arm(arm(learned, tmp_path / "whole", **few), quiet)
    for stop in (70, 130):

        def listen(steps, stop=stop):
            if steps > stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_arm(arm(learned, tmp_path / "cut", **few), listen)
    assert run_arm(arm(learned, tmp_path / "cut", **few), quiet) == whole


def test_learning_goes_on_along_the_map_that_earned_most(learned, tmp_path, monkeypatch):
    maps, installed = [], []

    def aligned(policy, space_map, *_, **__):
        """Give maps that push the wrong way, as they should and not at all; each begins from the best one so far."""
        assert space_map is [space_map, *maps][len(maps)]
        turn = [-TwoJoints.TURN.T, TwoJoints.TURN.T, 0.01 * np.eye(2)][len(maps)]
        seen = space_map.observation.matrix.copy()
        seen[2:, 2:] = TwoJoints.TURN
        part = replace(space_map.action, matrix=turn)
        maps.append(replace(space_map, observation=replace(space_map.observation, matrix=seen), action=part))
        return maps[-1]

    monkeypatch.setattr(adapter, "align", aligned)
    install = Alignment._install
    monkeypatch.setattr(Alignment, "_install", lambda self: (installed.append(self._map), install(self)))
    run_arm(arm(learned, tmp_path / "run", rounds=3, aligned=200), quiet)
    assert len(maps) == 3
    assert [maps.index(one) for one in installed] == [0, 1, 2, 1]


def test_it_aligns_between_equal_spaces_too(learned):
    assert crossing(Adapter, learned.policy.interface, THERE.interface(), None) == {}


def test_the_last_step_of_an_episode_says_nothing_of_an_action(learned):
    steps = observed(learned.policy, 200, 0)
    moved = steps.after[:, 2:] - steps.observations[:, 2:]
    np.testing.assert_allclose(moved, 0.3 * steps.actions, atol=1e-5)
    assert len(steps.actions) == 180  # nine of ten
    assert len(joined([steps, steps]).after) == 360


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"aligned": 240}, "aligned = 240 leaves nothing of the budget of 240 steps; lower it or raise steps."),
        ({"aligned": 5}, "aligned = 5 must be a whole number of at least 20, or null."),
        ({"rounds": 0}, "rounds = 0 must be a whole number of at least 1 and at most 20."),
    ],
)
def test_settings_that_cannot_be_are_refused(learned, method, message):
    base = make_config(THERE, algo="sac", randomizer="none", steps=240, seed=0)
    with pytest.raises(Sim2RealError, match=f"^{re.escape(message)}$"):
        Adapter(**method).check(base, learned.policy.metadata.hyperparameters)


def test_discrete_actions_and_worlds_without_a_common_channel_are_refused():
    base = make_config(shaped(choices=3), algo="ppo", randomizer="none", steps=4096, seed=0)
    with pytest.raises(Sim2RealError, match="adapter aligns continuous actions, and the target has discrete ones"):
        Adapter().check(base, {})
    policy = fresh_policy("sac", shaped(order=("velocity",)))
    there = face(order=("position",))
    translation = translate(policy, there, map_spaces(policy.interface, there))
    base = make_config(shaped(order=("position",)), algo="sac", randomizer="none", steps=200, seed=0)
    with pytest.raises(Sim2RealError, match="channels that both worlds show in the same terms, and there are none"):
        Adapter().prepare_across(None, policy, translation, base)
