import numpy as np
import pytest

from sim2real.domains.randomizers import Fixed, Uniform, make_randomizer
from sim2real.domains.space import DomainSpace, Parameter
from sim2real.errors import Sim2RealError

SPACE = DomainSpace(
    {
        "mass": Parameter(nominal=1.0, low=0.5, high=2.0, train=(0.8, 1.2)),
        "delay": Parameter(nominal=0.0, low=0.0, high=3.0),
    }
)


def draws(randomizer, seed=0, count=2000):
    rng = np.random.default_rng(seed)
    return [randomizer.sample(rng) for _ in range(count)]


def test_fixed_gives_the_same_full_domain_and_one_draw_does_not_change_the_next():
    randomizer = Fixed(SPACE, {"delay": 2})
    first, second = draws(randomizer, count=2)
    assert first == second == {"mass": 1.0, "delay": 2.0}
    first["mass"] = 9.0
    assert draws(randomizer, count=1) == [second]
    assert draws(Fixed(SPACE), count=1) == [SPACE.nominal()]


def test_uniform_draws_each_parameter_from_its_training_range():
    values = draws(Uniform(SPACE))
    assert all(SPACE.complete(v) == v for v in values)
    mass, delay = (np.array([v[name] for v in values]) for name in SPACE)
    for drawn, low, high in ((mass, 0.8, 1.2), (delay, 0.0, 3.0)):
        assert low <= drawn.min() < drawn.max() <= high
        error = (high - low) / np.sqrt(12 * len(values))  # standard error of a uniform mean
        assert abs(drawn.mean() - (low + high) / 2) < 4 * error
        assert abs(drawn.std() - (high - low) / np.sqrt(12)) < 4 * error
    assert abs(np.corrcoef(mass, delay)[0, 1]) < 4 / np.sqrt(len(values))


def test_uniform_ranges_replace_the_training_range_of_the_parameters_they_name():
    randomizer = Uniform(SPACE, {"mass": [0.5, 2.0]})
    assert randomizer.ranges == {"mass": (0.5, 2.0), "delay": (0.0, 3.0)}
    assert {v["mass"] for v in draws(Uniform(SPACE, {"mass": [1.5, 1.5]}), count=3)} == {1.5}


def test_the_same_stream_gives_the_same_domains():
    assert draws(Uniform(SPACE), seed=1, count=5) == draws(Uniform(SPACE), seed=1, count=5)
    assert draws(Uniform(SPACE), seed=1, count=5) != draws(Uniform(SPACE), seed=2, count=5)


def test_make_randomizer_takes_names_and_plain_descriptions():
    assert isinstance(make_randomizer("none", SPACE), Fixed)
    assert isinstance(make_randomizer("uniform", SPACE), Uniform)
    fixed = make_randomizer({"name": "none", "domain": {"delay": 1}}, SPACE)
    assert draws(fixed, count=1) == [{"mass": 1.0, "delay": 1.0}]
    assert make_randomizer({"name": "uniform", "ranges": {"delay": [1, 2]}}, SPACE).ranges["delay"] == (1.0, 2.0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "unifrom",
            "unknown randomizer 'unifrom'. Did you mean 'uniform'? Known: active, adr, curriculum, distributions, "
            "doraemon, learnability, none, posterior, uniform.",
        ),
        (
            {"name": "uniform", "range": {}},
            "randomizer 'uniform': unknown key 'range'. Did you mean 'ranges'? Known: name, ranges, schedule.",
        ),
        (
            {"name": "none", "ranges": {}},
            "randomizer 'none': unknown key 'ranges'. Known: name, domain, schedule.",
        ),
        (
            {"name": "uniform", "ranges": {"mas": [1, 1]}},
            "unknown domain parameter 'mas'. Did you mean 'mass'? Known: delay, mass.",
        ),
        (
            {"name": "uniform", "ranges": {"mass": [1.2, 0.8]}},
            "range of mass = [1.2, 0.8] must be [low, high] with low <= high.",
        ),
        (
            {"name": "uniform", "ranges": {"mass": [1, 3]}},
            "domain parameter mass = 3 is outside its bounds [0.5, 2]; choose a value inside them.",
        ),
        (
            {"name": "none", "domain": {"delay": 4}},
            "domain parameter delay = 4 is outside its bounds [0, 3]; choose a value inside them.",
        ),
    ],
)
def test_a_wrong_randomizer_is_refused(spec, message):
    with pytest.raises(Sim2RealError) as error:
        make_randomizer(spec, SPACE)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"name": "uniform", "ranges": {"mass": 1.0}},
        {"name": "uniform", "ranges": {"mass": "12"}},
        {"name": "uniform", "ranges": {"mass": [1, "a"]}},
        {"name": "uniform", "ranges": {"mass": [1, float("nan")]}},
        {"name": "uniform", "ranges": ["mass"]},
        {"name": "none", "domain": "mass"},
    ],
)
def test_a_randomizer_of_the_wrong_form_is_a_mistake_of_the_user(spec):
    with pytest.raises(Sim2RealError):
        make_randomizer(spec, SPACE)
