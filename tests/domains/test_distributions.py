"""Distributions from a file, against scipy's."""

import numpy as np
import pytest
from scipy import stats

from sim2real.domains.randomizers import make_randomizer
from sim2real.domains.space import DomainSpace, Parameter
from sim2real.errors import Sim2RealError

SPACE = DomainSpace(
    {
        "mass": Parameter(nominal=1.0, low=0.1, high=10.0, unit="kg", train=(0.8, 1.2)),
        "friction": Parameter(nominal=0.5, low=0.0, high=1.0),
        "delay": Parameter(nominal=0.0, low=0.0, high=3.0, unit="steps", train=(0.0, 1.0)),
    }
)
COUNT = 4000


def described(parameters=None, **settings):
    return make_randomizer({"name": "distributions", "parameters": parameters or {}, **settings}, SPACE)


def draws(randomizer, name, seed=0):
    rng = np.random.default_rng(seed)
    return np.array([randomizer.sample(rng)[name] for _ in range(COUNT)])


@pytest.mark.parametrize(
    ("name", "entry", "expected"),
    [
        ("mass", {"distribution": "uniform", "low": 0.5, "high": 2}, stats.uniform(0.5, 1.5)),
        ("mass", {"distribution": "log-uniform", "low": 0.1, "high": 10}, stats.loguniform(0.1, 10)),
        (
            "mass",
            {"distribution": "normal", "mean": 1, "std": 0.5, "low": 0.5, "high": 3},
            stats.truncnorm(-1, 4, loc=1, scale=0.5),
        ),
        ("friction", {"distribution": "normal", "mean": 0.9, "std": 0.3}, stats.truncnorm(-3, 1 / 3, 0.9, 0.3)),
        ("friction", {"distribution": "beta", "a": 2, "b": 5}, stats.beta(2, 5)),
        ("delay", {"distribution": "beta", "a": 1, "b": 3, "low": 1, "high": 2}, stats.beta(1, 3, loc=1)),
    ],
)
def test_draws_are_distributed_as_scipy_says(name, entry, expected):
    randomizer = described({name: entry})
    assert stats.kstest(draws(randomizer, name), expected.cdf).pvalue > 0.01
    low, high = expected.support()
    assert randomizer.ranges[name] == pytest.approx((low, high))


def test_categories_come_as_often_as_their_probabilities():
    entry = {"distribution": "categorical", "values": [2, 0, 1], "probabilities": [0.2, 0.7, 0.1]}
    found = draws(described({"delay": entry}), "delay")
    for value, chance in ((0.0, 0.7), (1.0, 0.1), (2.0, 0.2)):
        assert np.mean(found == value) == pytest.approx(chance, abs=4 * np.sqrt(0.25 / COUNT))
    even = draws(described({"delay": {"distribution": "categorical", "values": [0, 3]}}), "delay")
    assert np.mean(even == 3.0) == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / COUNT))


def test_a_number_is_that_value_and_what_is_not_named_is_uniform_in_its_training_range():
    randomizer = described({"friction": 0.25})
    assert set(draws(randomizer, "friction")) == {0.25}
    assert stats.kstest(draws(randomizer, "mass"), stats.uniform(0.8, 0.4).cdf).pvalue > 0.01
    assert randomizer.ranges == {"mass": (0.8, 1.2), "friction": (0.25, 0.25), "delay": (0.0, 1.0)}


@pytest.mark.parametrize("correlation", [0.8, -0.6, [[1, 0.8], [0.8, 1]]])
def test_correlated_parameters_keep_their_own_distributions(correlation):
    entry = {"distribution": "log-uniform", "low": 0.1, "high": 10}
    group = {"parameters": ["mass", "friction"], "correlation": correlation}
    randomizer = described({"mass": entry}, correlated=[group])
    rng = np.random.default_rng(0)
    domains = [randomizer.sample(rng) for _ in range(COUNT)]
    mass, friction, delay = (np.array([domain[name] for domain in domains]) for name in SPACE)
    assert stats.kstest(mass, stats.loguniform(0.1, 10).cdf).pvalue > 0.01
    assert stats.kstest(friction, stats.uniform(0.0, 1.0).cdf).pvalue > 0.01
    # Of a Gaussian copula Spearman's rank correlation is 6/π asin(ρ/2).
    rho = correlation if isinstance(correlation, float) else correlation[0][1]
    assert stats.spearmanr(mass, friction).statistic == pytest.approx(6 / np.pi * np.arcsin(rho / 2), abs=0.04)
    assert abs(stats.spearmanr(mass, delay).statistic) < 4 / np.sqrt(COUNT)


def test_a_posterior_draws_its_samples_by_their_weights():
    samples = [{"mass": 0.5, "delay": 0}, {"mass": 2, "delay": 1}, {"mass": 4, "delay": 2}]
    randomizer = make_randomizer({"name": "posterior", "samples": samples, "weights": [1, 3, 0]}, SPACE)
    rng = np.random.default_rng(0)
    domains = [randomizer.sample(rng) for _ in range(COUNT)]
    assert {domain["mass"] for domain in domains} == {0.5, 2.0}
    assert np.mean([domain["mass"] == 2.0 for domain in domains]) == pytest.approx(0.75, abs=0.03)
    assert all(domain["friction"] == 0.5 and domain["delay"] == (domain["mass"] == 2.0) for domain in domains)
    assert randomizer.ranges["mass"] == (0.5, 4.0)
    domains[0]["mass"] = 9.0
    assert 9.0 not in {randomizer.sample(rng)["mass"] for _ in range(20)}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"parameters": {"mas": 1}},
            "unknown domain parameter 'mas'. Did you mean 'mass'? Known: delay, friction, mass.",
        ),
        (
            {"parameters": {"mass": {"distribution": "gauss"}}},
            "unknown distribution of mass: 'gauss'. Known: beta, categorical, log-uniform, normal, uniform.",
        ),
        (
            {"parameters": {"mass": {"distribution": "normal", "mean": 1, "sd": 1}}},
            "distribution of mass: unknown key 'sd'. Did you mean 'std'? Known: distribution, mean, std, low, high.",
        ),
        ({"parameters": {"mass": {"distribution": "normal", "mean": 1}}}, "distribution of mass: std is missing."),
        (
            {"parameters": {"mass": {"distribution": "normal", "mean": 1, "std": 0}}},
            "distribution of mass: std = 0 must be above 0.",
        ),
        (
            {"parameters": {"mass": {"distribution": "normal", "mean": 1, "std": 1, "low": 2, "high": 3}}},
            "distribution of mass: mean = 1 must be between 2 and 3.",
        ),
        (
            {"parameters": {"mass": {"distribution": "uniform", "low": 0.1, "high": 20}}},
            "distribution of mass: high = 20 must be between 0.1 and 10.",
        ),
        (
            {"parameters": {"mass": {"distribution": "uniform", "low": 3, "high": 2}}},
            "distribution of mass: low = 3 is above high = 2; swap them.",
        ),
        (
            {"parameters": {"friction": {"distribution": "log-uniform", "low": 0, "high": 1}}},
            "distribution of friction: low = 0 must be above 0 for a log-uniform one.",
        ),
        (
            {"parameters": {"delay": {"distribution": "categorical", "values": [0, 1], "probabilities": [1, 1]}}},
            "distribution of delay: probabilities = [1, 1] must add up to 1.",
        ),
        (
            {"parameters": {"delay": {"distribution": "categorical", "values": [0, 0]}}},
            "distribution of delay: values = [0, 0]: one stands twice.",
        ),
        ({"parameters": {"mass": 100}}, "distribution of mass: low = 100 must be between 0.1 and 10."),
        ({"parameters": ["mass"]}, "parameters: expected a mapping of names to distributions, got ['mass']."),
        (
            {"correlated": [{"parameters": ["mass", "mass"], "correlation": 0.5}]},
            "correlated: 'mass' stands in two places; put what belongs together in one group.",
        ),
        (
            {"correlated": [{"parameters": ["mass", "delay"], "correlation": 1.0}]},
            "correlation of mass, delay = 1.0 is that of no distribution: it must be positive definite.",
        ),
        (
            {"correlated": [{"parameters": ["mass", "delay"], "correlation": [[1, 0.5], [0.4, 1]]}]},
            "correlation of mass, delay: a matrix must be symmetric, with ones on its diagonal.",
        ),
        (
            {"correlated": [{"parameters": ["mass", ["delay"]], "correlation": 0.1}]},
            "unknown domain parameter \"['delay']\". Did you mean 'delay'? Known: delay, friction, mass.",
        ),
        (
            {"correlated": [{"parameters": ["mass"], "correlation": 0.1}]},
            "correlated: parameters = ['mass'] must be a list of at least two names.",
        ),
    ],
)
def test_a_wrong_description_is_refused(spec, message):
    with pytest.raises(Sim2RealError) as error:
        make_randomizer({"name": "distributions", **spec}, SPACE)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {},
            "randomizer 'posterior' needs samples, a list of domains, as in {name: posterior, samples: [{NAME: 1.0}]}.",
        ),
        (
            {"samples": [{"mass": 1}, {"weight": 1}]},
            "sample 1: unknown domain parameter 'weight'. Known: delay, friction, mass.",
        ),
        (
            {"samples": [{"mass": 1}, {"mass": 1, "delay": 1}]},
            "sample 1 has other parameters than the first: mass, delay.",
        ),
        (
            {"samples": [{"mass": 0}]},
            "sample 0: domain parameter mass = 0 kg is outside its bounds [0.1, 10] kg; choose a value inside them.",
        ),
        ({"samples": [{"mass": 1}], "weights": [1, 2]}, "weights must be as many as samples, 1."),
        ({"samples": [{"mass": 1}], "weights": [0]}, "weights are all 0."),
        ({"samples": [{"mass": 1}], "weights": [-1]}, "weights = -1 must be at least 0."),
    ],
)
def test_a_posterior_for_another_world_is_refused(spec, message):
    with pytest.raises(Sim2RealError) as error:
        make_randomizer({"name": "posterior", **spec}, SPACE)
    assert str(error.value) == message
