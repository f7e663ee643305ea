"""An evaluation is a function of policy, world and seed, and says what it measured."""

import json

import pytest
from point_mass import ID

from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.evaluate import evaluate
from sim2real.evaluation.rollouts import Evaluator, Score


class Recorder:
    """A policy that always pushes the same way and counts how often it is asked."""

    def __init__(self, action):
        self.action, self.batches = action, []

    def __call__(self, observations):
        self.batches.append(len(observations))
        return [[self.action]] * len(observations)


def run(action=0.0, *, seed=0, episodes=7, lanes=3, world=None, randomizer="none"):
    with Evaluator(
        world or World.of(ID), seed=seed, episodes=episodes, lanes=lanes, randomizer=randomizer
    ) as evaluator:
        return evaluator.run(Recorder(action))


def test_a_resting_point_earns_what_the_closed_form_says():
    with Evaluator(World.of(ID), seed=5, episodes=4) as evaluator:
        episodes = evaluator.run(Recorder(0.0))
        for episode in episodes:
            start = abs(evaluator.env.reset(seed=episode.seed)[0][0])
            assert episode.ret == pytest.approx(-20 * start, rel=1e-6)
            assert episode.length == 20
            assert episode.success == (start < 0.25)


def test_the_episodes_depend_on_the_seed_and_on_nothing_else():
    assert run(randomizer="uniform") == run(randomizer="uniform")
    assert run(lanes=1) == run(lanes=7)
    assert run(episodes=3) == run(episodes=7)[:3]
    assert run(seed=1) != run(seed=0)
    # Another policy meets the same starts in the same domains.
    one, other = run(0.0, randomizer="uniform"), run(1.0, randomizer="uniform")
    assert [(e.seed, e.domain) for e in one] == [(e.seed, e.domain) for e in other]
    assert [e.ret for e in one] != [e.ret for e in other]


def test_the_policy_always_sees_batches_of_one_size():
    policy = Recorder(0.0)
    with Evaluator(World.of(ID), seed=0, episodes=7, lanes=3) as evaluator:
        evaluator.run(policy)
    assert set(policy.batches) == {3}


def test_a_target_fixes_the_domain_and_a_randomizer_draws_it():
    fixed = World.of(ID).with_domain({"gain": 0.5}, "weak")
    assert {tuple(e.domain.items()) for e in run(world=fixed)} == {(("gain", 0.5), ("drift", 0.0))}
    assert len({e.domain["gain"] for e in run(randomizer="uniform")}) == 7
    assert all(0.8 <= e.domain["gain"] <= 1.2 for e in run(randomizer="uniform"))


def test_a_score_averages():
    score = Score.of(run(0.0, episodes=5))
    assert score.episodes == 5
    assert score.return_mean == pytest.approx(sum(e.ret for e in run(0.0, episodes=5)) / 5)


@pytest.mark.slow
def test_an_evaluation_says_at_least_what_is_promised(source, tmp_path):
    result = evaluate(source.folder, target={"drift": 0.2}, episodes=30, seed=3).to_dict()
    promised = {
        "env",
        "target",
        "domain",
        "episodes",
        "seed",
        "return_mean",
        "return_ci95",
        "success_rate",
        "success_ci95",
        "steps_per_second",
    }
    assert promised <= result.keys()
    assert result["domain"] == {"gain": 1.0, "drift": 0.2}
    assert result["return_ci95"][0] <= result["return_mean"] <= result["return_ci95"][1]
    assert result["success_ci95"][0] <= result["success_rate"] <= result["success_ci95"][1]
    json.dumps(result, allow_nan=False)


def test_the_learned_policy_solves_its_randomized_source(source):
    assert evaluate(source.policy, randomizer="uniform", episodes=50, seed=9).success_rate >= 0.9


def test_what_cannot_be_evaluated_is_refused(source):
    def message(**arguments):
        with pytest.raises(Sim2RealError) as error:
            evaluate(source.policy, **arguments)
        return str(error.value)

    assert message(episodes=0) == "episodes = 0 must be at least 1."
    assert message(target="hrad").startswith("unknown target 'hrad'.")
    assert message(target={"drift": 0.1}, randomizer="uniform").endswith("leave out the randomizer 'uniform'.")
    assert message(env="Pendulum-v1").startswith("the policy does not fit the env: observation shape is (2,)")
    assert "nan in channel 0 at step 3 of episode 1" in message(kwargs={"nan_at": 3})


def test_a_randomizer_that_learns_is_refused():
    with pytest.raises(Sim2RealError) as error:
        run(randomizer={"name": "adr", "buffer": 5})
    assert str(error.value) == (
        "a randomizer that learns is for training; evaluate where domains stay as they are, as in "
        "{name: uniform, ranges: bounds}."
    )
    assert len(run(randomizer={"name": "uniform", "ranges": "bounds"})) == 7
