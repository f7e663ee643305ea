"""Sweeps of a policy whose success is a known function of what is swept."""

import copy
import dataclasses
import json

import gymnasium as gym
import numpy as np
import pytest
from point_mass import ID, PointMass

from sim2real.domains.space import DomainSpace, Parameter
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.evaluate import evaluate
from sim2real.evaluation.robustness import Robustness, Swept, SweptCell, sweep
from sim2real.evaluation.statistics import proportion_interval
from sim2real.studies.robustness_plots import heat_maps_figure, robustness_figure

PLANE = "tests/Plane-v0"


class Plane(PointMass):
    """Succeeds where a + b is below 1, whatever is done; an episode returns minus its initial state."""

    domain_space = DomainSpace(
        {
            "a": Parameter(nominal=0.0, low=0.0, high=1.0, unit="m", train=(0.0, 0.5)),
            "b": Parameter(nominal=0.25, low=0.0, high=1.0),
            "fixed": Parameter(nominal=2.0, low=2.0, high=2.0),
        }
    )

    def get_domain(self):
        return dict(self._domain)

    def reset(self, *, seed=None, options=None):
        gym.Env.reset(self, seed=seed)
        if options and "domain" in options:
            self._domain = self.domain_space.complete(options["domain"])
        self._x, self._v = self.np_random.uniform(0.0, 1.0), 0.0
        return self._observe(), {"domain": self.get_domain()}

    def step(self, action):
        success = self._domain["a"] + self._domain["b"] < 1.0
        return self._observe(), -self._x, True, False, {"is_success": success, "domain": self.get_domain()}


class Dumb(Plane):
    """The same, and does not say whether it succeeds."""

    def step(self, action):
        observation, reward, ended, cut, info = super().step(action)
        del info["is_success"]
        return observation, reward, ended, cut, info


@pytest.fixture(scope="module", autouse=True)
def plane():
    gym.register(PLANE, entry_point=Plane, max_episode_steps=5)
    gym.register("tests/Dumb-v0", entry_point=Dumb, max_episode_steps=5)
    yield
    del gym.registry[PLANE], gym.registry["tests/Dumb-v0"]


def test_both_ends_are_swept_and_all_else_stays(source):
    found = sweep(source.policy, PLANE, parameters=["a"], points=5, episodes=8)
    assert [cell.values for cell in found.cells] == [(0.0,), (0.25,), (0.5,), (0.75,), (1.0,)]
    assert [cell.success_rate for cell in found.cells] == [1.0, 1.0, 1.0, 0.0, 0.0]  # b is nominal, 0.25
    wilson = proportion_interval(8, 8)
    assert found.cells[0].success_ci95 == (wilson.low, wilson.high)
    (a,) = found.parameters
    assert (a.name, a.unit, a.nominal, a.train, a.target) == ("a", "m", 0.0, None, 0.0)
    there = sweep(source.policy, PLANE, parameters=["a"], target={"a": 0.5, "b": 0.6}, points=5, episodes=8)
    assert [cell.success_rate for cell in there.cells] == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert there.parameters[0].target == 0.5


def drew(policy, randomizer, space=Plane.domain_space):
    """Return the policy as if its training had drawn domains so."""
    policy = copy.copy(policy)
    domains = {"randomizer": randomizer, "space": space.to_dict()}
    policy.metadata = dataclasses.replace(policy.metadata, domains=domains)
    return policy


def test_the_range_of_training_is_that_of_the_policy(source):
    def ranges(policy):
        return [swept.train for swept in sweep(policy, PLANE, parameters=["a", "b"], points=2, episodes=1).parameters]

    assert ranges(drew(source.policy, "uniform")) == [(0.0, 0.5), (0.0, 1.0)]
    narrow = {"name": "uniform", "ranges": {"a": [0.1, 0.2], "b": [0.3, 0.3]}}
    assert ranges(drew(source.policy, narrow)) == [(0.1, 0.2), None]  # one value is no range
    assert ranges(drew(source.policy, "none")) == [None, None]
    feet = DomainSpace({"a": Parameter(nominal=0.0, low=0.0, high=1.0, unit="ft")})
    assert ranges(drew(source.policy, "uniform", feet)) == [None, None]


def test_every_value_meets_the_same_episodes(source):
    found = sweep(source.policy, PLANE, parameters=["a"], points=3, episodes=6, seed=4)
    assert found.cells[0].returns == found.cells[1].returns == found.cells[2].returns
    assert len(set(found.cells[0].returns)) == 6
    other = sweep(source.policy, PLANE, parameters=["a"], points=3, episodes=6, seed=5)
    assert other.cells[0].returns != found.cells[0].returns


def test_a_cell_is_what_evaluating_there_gives(source):
    found = sweep(source.policy, ID, parameters=["gain"], target={"drift": 0.1}, points=4, episodes=6, seed=2)
    for cell in found.cells:
        alone = evaluate(source.policy, target={"gain": cell.values[0], "drift": 0.1}, episodes=6, seed=2)
        assert (cell.returns, cell.return_ci95) == (alone.returns, alone.return_ci95)
        assert (cell.success_rate, cell.success_ci95) == (alone.success_rate, alone.success_ci95)


def test_two_parameters_are_swept_in_pairs_the_last_fastest(source):
    told = []
    found = sweep(source.policy, PLANE, parameters=["b", "a"], points=3, episodes=2, listener=told.append)
    assert [cell.values for cell in found.cells] == [(b, a) for b in (0.0, 0.5, 1.0) for a in (0.0, 0.5, 1.0)]
    assert [cell.success_rate for cell in found.cells] == [float(a + b < 1) for b in (0, 0.5, 1) for a in (0, 0.5, 1)]
    assert found.mean == pytest.approx(3 / 9)
    assert told == list(range(2, 19, 2))


def test_the_worst_decile_is_the_mean_of_the_worst_tenth():
    parameter = Swept(name="a", unit="", values=tuple(range(20)), nominal=0, train=(0, 1), target=0)
    scores = [0.9, 0.1, 0.3, *[0.8] * 17]
    cells = [
        SweptCell(values=(i,), return_mean=0.0, return_ci95=None, returns=(0.0,), success_rate=s, success_ci95=(0, 1))
        for i, s in enumerate(scores)
    ]
    found = Robustness(env="e", target=None, parameters=(parameter,), episodes=1, seed=0, cells=tuple(cells))
    assert found.worst_decile == pytest.approx((0.1 + 0.3) / 2)
    assert found.worst == 0.1
    few = dataclasses.replace(found, cells=tuple(cells[:3]))
    assert few.worst_decile == 0.1  # of three cells, one


def test_it_survives_json_and_damage_is_named(source):
    found = sweep(source.policy, PLANE, parameters=["a", "b"], points=2, episodes=3)
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Robustness.from_dict(content) == found
    assert content["measure"] == "success"
    assert (content["mean"], content["worst"]) == (found.mean, found.worst)
    for damage in (lambda c: c["cells"].pop(), lambda c: c.pop("cells"), lambda c: c["cells"][0].pop("values")):
        broken = json.loads(json.dumps(content))
        damage(broken)
        with pytest.raises(Sim2RealError, match=r"^no sweep: "):
            Robustness.from_dict(broken)


def test_where_nobody_knows_success_the_return_is_swept(source):
    found = sweep(source.policy, "tests/Dumb-v0", parameters=["a"], points=2, episodes=4)
    assert not found.knows_success
    assert found.scores == [cell.return_mean for cell in found.cells]
    assert found.to_dict()["measure"] == "return"
    axes = robustness_figure({"policy": found}).axes[0]
    assert axes.get_ylabel() == "return per episode"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": ["aa"]}, "unknown parameter 'aa'. Did you mean 'a'? Known: a, b, fixed."),
        ({"parameters": ["a", "b", "fixed"]}, "parameters = ['a', 'b', 'fixed'] must be one name or two, in a list."),
        ({"parameters": "a"}, "parameters = 'a' must be one name or two, in a list."),
        ({"parameters": ["a", "a"]}, "parameters = ['a', 'a']: a name stands twice."),
        ({"parameters": ["fixed"]}, "parameter 'fixed' can only be 2; there is nothing to sweep."),
        ({"points": 1}, "points = 1 must be a whole number of at least 2."),
        ({"episodes": 0}, "episodes = 0 must be a whole number of at least 1."),
    ],
)
def test_what_cannot_be_swept_is_said(source, changes, message):
    with pytest.raises(Sim2RealError) as caught:
        sweep(source.policy, PLANE, **{"parameters": ["a"], "points": 2, "episodes": 1, **changes})
    assert str(caught.value) == message


def test_the_figure_has_units_the_range_of_training_and_an_interval(source):
    target = World.of(PLANE).with_domain({"a": 0.75}, "far")
    policies = {"finetune": source.policy, "scratch": drew(source.policy, "uniform")}
    found = {arm: sweep(policy, target, parameters=["a"], points=3, episodes=4) for arm, policy in policies.items()}
    figure = robustness_figure(found, narrow=True)
    axes = figure.axes[0]
    assert axes.get_xlabel() == "a [m]"
    assert axes.get_ylabel() == "success"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["range of training", "nominal", "target", "finetune", "scratch"]
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(drawn["scratch"], [[0.0, 1.0], [0.5, 1.0], [1.0, 0.0]])
    assert [x for x, _ in drawn["target"]] == [0.75, 0.75]
    assert len(axes.collections) == 2  # a band for each
    (shaded,) = axes.patches
    assert (shaded.get_x(), shaded.get_width()) == (0.0, 0.5)
    alone = robustness_figure({"finetune": found["finetune"]})
    assert not alone.axes[0].patches
    assert [text.get_text() for text in alone.legends[0].get_texts()] == ["nominal", "target", "finetune"]


def test_the_map_of_two_says_every_number_and_marks_nominal_and_target(source):
    found = sweep(source.policy, PLANE, parameters=["a", "b"], target={"a": 1.0, "b": 1.0}, points=3, episodes=2)
    worse = dataclasses.replace(found, cells=tuple(dataclasses.replace(c, success_rate=0.0) for c in found.cells))
    first, second, _ = heat_maps_figure({"finetune": found, "scratch": worse}).axes
    assert [axes.get_title("left") for axes in (first, second)] == ["finetune", "scratch"]
    assert (first.get_ylabel(), first.get_xlabel()) == ("a [m]", "b")
    shown = {tuple(text.get_position()): text.get_text() for text in first.texts}
    assert (shown[(0, 0)], shown[(2, 2)]) == ("100", "0")
    assert {text.get_text() for text in second.texts} == {"0"}
    above = [tuple(line.get_xydata()[0]) for line in first.lines[::2]]
    beside = [tuple(line.get_xydata()[0]) for line in first.lines[1::2]]
    assert above == [(0.5, 1.05), (2.0, 1.05)]  # b is nominal half way from the first to the second
    assert beside == [(1.03, 0.0), (1.03, 2.0)]
    assert first.images[0].get_clim() == second.images[0].get_clim() == (0.0, 1.0)


def test_maps_of_returns_share_their_colours(source):
    found = sweep(source.policy, "tests/Dumb-v0", parameters=["a", "b"], points=2, episodes=2)
    better = dataclasses.replace(found, cells=tuple(dataclasses.replace(c, return_mean=3.0) for c in found.cells))
    first, second, bar = heat_maps_figure({"finetune": found, "scratch": better}, narrow=True).axes
    for axes in (first, second):
        assert axes.images[0].get_clim() == (min(found.scores), 3.0)
    assert bar.get_ylabel() == "return per episode"
