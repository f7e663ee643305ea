"""Adaptive randomizers on domain spaces where it is known what they should find."""

import json

import numpy as np
import pytest

from sim2real.domains.randomizers import Adaptive, Outcome, make_randomizer
from sim2real.domains.randomizers.doraemon import Update
from sim2real.domains.space import DomainSpace, Parameter
from sim2real.errors import Sim2RealError

SPACE = DomainSpace(
    {
        "friction": Parameter(nominal=0.5, low=0.0, high=1.0),
        "delay": Parameter(nominal=0.0, low=0.0, high=3.0, unit="steps", train=(0.0, 1.0)),
    }
)
ADAPTIVE = {
    "curriculum": {"name": "curriculum", "steps": 1000},
    "adr": {"name": "adr", "buffer": 5},
    "doraemon": {"name": "doraemon", "episodes": 20},
    "active": {"name": "active", "episodes": 20},
    "learnability": {"name": "learnability", "episodes": 20},
}


def outcome(randomizer, domain, success=True, ret=0.0, steps=10):
    return Outcome(domain=domain, generation=randomizer.generation, ret=ret, success=success, steps=steps)


def learn(randomizer, feasible, batches, rng, size=50):
    """Let a policy that succeeds just where it is feasible run in what is drawn."""
    for _ in range(batches):
        domains = [randomizer.sample(rng) for _ in range(size)]
        randomizer.update(
            [outcome(randomizer, domain, feasible(domain), ret=float(feasible(domain))) for domain in domains]
        )


def feasible(domain):
    return 0.2 <= domain["friction"] <= 0.9 and domain["delay"] <= 1.8


def found_share(domains):
    """Return the share of the feasible region, in cells of 5 % each way, that one of the domains lies in."""
    friction = np.array([domain["friction"] for domain in domains if feasible(domain)])
    delay = np.array([domain["delay"] for domain in domains if feasible(domain)])
    seen, *_ = np.histogram2d(friction, delay, bins=20, range=((0.2, 0.9), (0.0, 1.8)))
    return np.mean(seen > 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        {"name": "adr", "step": 0.005, "buffer": 10},
        {"name": "doraemon", "episodes": 200, "kl": 0.2, "success_rate": 0.5},
    ],
    ids=lambda spec: spec["name"],
)
def test_the_feasible_region_is_found(spec):
    rng = np.random.default_rng(0)
    randomizer = make_randomizer(spec, SPACE)
    first = [randomizer.sample(rng) for _ in range(5000)]
    assert found_share(first) < 0.1
    learn(randomizer, feasible, 400, rng)
    domains = [randomizer.sample(rng) for _ in range(20_000)]
    assert found_share(domains) >= 0.95
    # And it does not go far beyond: what is drawn succeeds, but for the ends that ADR tries out.
    least = {"adr": 0.75, "doraemon": 0.45}[spec["name"]]
    assert np.mean([feasible(domain) for domain in domains]) >= least


def test_adr_opens_all_ranges_while_they_are_one_value_and_closes_an_end_that_fails():
    randomizer = make_randomizer({"name": "adr", "buffer": 4, "step": 0.1}, SPACE)
    assert randomizer.ranges == {"friction": (0.5, 0.5), "delay": (0.0, 0.0)}
    nominal = SPACE.nominal()
    assert not randomizer.update([outcome(randomizer, nominal)] * 3)
    assert randomizer.update([outcome(randomizer, nominal)])
    assert randomizer.ranges["friction"] == pytest.approx((0.4, 0.6))
    assert randomizer.ranges["delay"] == pytest.approx((0.0, 0.3))
    # Successes in the middle say nothing of an end.
    assert not randomizer.update([outcome(randomizer, {"friction": 0.5, "delay": 0.1})] * 10)
    high = {"friction": 0.6, "delay": 0.1}
    assert randomizer.update([outcome(randomizer, high)] * 4)
    assert randomizer.ranges["friction"] == pytest.approx((0.4, 0.7))
    assert randomizer.update([outcome(randomizer, {**high, "friction": randomizer.ranges["friction"][1]}, False)] * 4)
    assert randomizer.ranges["friction"] == pytest.approx((0.4, 0.6))
    # Between both thresholds it stays.
    mixed = [outcome(randomizer, {**high, "friction": randomizer.ranges["friction"][1]}, k % 2 == 0) for k in range(4)]
    assert not randomizer.update(mixed)
    assert randomizer.ranges["friction"] == pytest.approx((0.4, 0.6))


def test_adr_stays_between_nominal_value_and_limit():
    randomizer = make_randomizer({"name": "adr", "buffer": 1, "step": 0.4}, SPACE)
    rng = np.random.default_rng(0)
    learn(randomizer, lambda domain: True, 30, rng)
    assert randomizer.ranges == {"friction": (0.0, 1.0), "delay": (0.0, 3.0)}
    assert randomizer.figures()["entropy"] == 0.0
    learn(randomizer, lambda domain: False, 30, rng)
    assert randomizer.ranges == {"friction": (0.5, 0.5), "delay": (0.0, 0.0)}


def test_adr_draws_boundaries_as_often_as_it_says():
    randomizer = make_randomizer({"name": "adr", "buffer": 1, "step": 0.25, "boundary_probability": 0.6}, SPACE)
    randomizer.update([outcome(randomizer, SPACE.nominal())])
    rng = np.random.default_rng(0)
    domains = [randomizer.sample(rng) for _ in range(6000)]
    # Three ends can move; that of no delay cannot.
    shares = {
        ("friction", 0.25): 0.2,
        ("friction", 0.75): 0.2,
        ("delay", 0.75): 0.2,
        ("delay", 0.0): 0.0,
    }
    for (name, value), share in shares.items():
        found = np.mean([domain[name] == pytest.approx(value, abs=1e-12) for domain in domains])
        assert found == pytest.approx(share, abs=4 * np.sqrt(0.2 * 0.8 / 6000))


def test_adr_entropy_is_the_mean_logarithm_of_the_widths():
    randomizer = make_randomizer({"name": "adr", "buffer": 1, "step": 0.1}, SPACE)
    randomizer.update([outcome(randomizer, SPACE.nominal())])
    assert randomizer.figures()["entropy"] == pytest.approx((np.log(0.2) + np.log(0.1)) / 2)


def test_the_importance_sampling_estimate_of_success_agrees_with_brute_force():
    rng = np.random.default_rng(0)
    a, b = np.array([4.0, 2.0]), np.array([4.0, 3.0])
    new = np.array([3.0, 2.5]), np.array([3.5, 2.5])

    def succeeds(x):
        return ((x[:, 0] < 0.6) & (x[:, 1] > 0.2)).astype(float)

    samples = rng.beta(a, b, (200_000, 2))
    update = Update(a, b, samples, succeeds(samples), success_rate=0.5, kl=0.5, most=200.0)
    brute = succeeds(rng.beta(*new, (200_000, 2)))
    error = np.std(update.weights(*new) * succeeds(samples)) / np.sqrt(len(samples)) + brute.std() / np.sqrt(len(brute))
    assert update.success(*new) == pytest.approx(brute.mean(), abs=4 * error)
    assert update.weights(*new).mean() == pytest.approx(1.0, abs=0.01)
    by_a, by_b = update.success_gradient(*new)
    h = 1e-5
    for i in range(2):
        step = np.eye(2)[i] * h
        slope = (update.success(new[0] + step, new[1]) - update.success(new[0] - step, new[1])) / (2 * h)
        assert by_a[i] == pytest.approx(slope, abs=1e-6)
        slope = (update.success(new[0], new[1] + step) - update.success(new[0], new[1] - step)) / (2 * h)
        assert by_b[i] == pytest.approx(slope, abs=1e-6)


def step_of(successes_where, kl=0.3, a=(20.0, 5.0), b=(20.0, 5.0), success_rate=0.5):
    from sim2real.domains.randomizers import beta

    rng = np.random.default_rng(1)
    a, b = np.array(a), np.array(b)
    samples = rng.beta(a, b, (500, 2))
    update = Update(a, b, samples, successes_where(samples).astype(float), success_rate=success_rate, kl=kl, most=200.0)
    new = update.solve()
    return update, new, beta.kl_divergence(*new, a, b), [beta.entropy(*pair).sum() for pair in (new, (a, b))]


def test_an_update_of_doraemon_goes_as_far_as_it_may_where_all_succeed():
    _, _, kl, (after, before) = step_of(lambda x: np.ones(len(x)))
    assert kl == pytest.approx(0.3, abs=1e-4)
    assert after > before
    # Uniform is the widest there is, and with room enough it is reached.
    _, _new, _, (after, _) = step_of(lambda x: np.ones(len(x)), kl=50.0, success_rate=0.0)
    assert after == pytest.approx(0.0, abs=1e-3)


def test_an_update_of_doraemon_keeps_the_success_rate():
    update, new, kl, (after, before) = step_of(lambda x: np.abs(x[:, 1] - 0.5) < 0.25, kl=5.0)
    assert update.success(*new) - update.optimism(*new) == pytest.approx(0.5, abs=1e-3)
    assert kl <= 5.0 + 1e-6
    assert after > before


def test_an_update_of_doraemon_goes_to_where_more_succeed_when_too_few_do():
    update, new, kl, _ = step_of(lambda x: x[:, 0] > 0.6, kl=0.1)
    before = update.success(np.array([20.0, 5.0]), np.array([20.0, 5.0]))
    assert before < 0.2
    assert update.success(*new) > 1.5 * before
    assert kl == pytest.approx(0.1, abs=1e-4)
    assert new[0][0] / (new[0][0] + new[1][0]) > 0.52


def test_doraemon_stays_where_nothing_succeeds_and_says_so():
    randomizer = make_randomizer(ADAPTIVE["doraemon"], SPACE)
    before = randomizer.distribution
    learn(randomizer, lambda domain: False, 12, np.random.default_rng(0), size=20)
    np.testing.assert_array_equal(randomizer.distribution, before)
    assert randomizer.idle == 12
    assert randomizer.stuck
    learn(randomizer, lambda domain: True, 1, np.random.default_rng(0), size=20)
    assert not randomizer.stuck


def test_doraemon_begins_at_the_nominal_values_and_learns_from_its_present_distribution_only():
    randomizer = make_randomizer(ADAPTIVE["doraemon"], SPACE)
    rng = np.random.default_rng(0)
    first = [randomizer.sample(rng) for _ in range(500)]
    assert np.mean([domain["friction"] for domain in first]) == pytest.approx(0.5, abs=0.01)
    assert np.std([domain["friction"] for domain in first]) == pytest.approx(0.0353, rel=0.1)  # √(1/4 / 201)
    assert max(domain["delay"] for domain in first) < 0.15
    stale = [Outcome(domain=domain, generation=-1, ret=0.0, success=True, steps=1) for domain in first]
    assert not randomizer.update(stale)
    assert randomizer.update([outcome(randomizer, domain) for domain in first[:20]])


@pytest.mark.parametrize("dimensions", [2, 8, 16])
def test_doraemon_keeps_the_success_rate_with_few_episodes_and_many_parameters(dimensions):
    parameter = Parameter(nominal=0.5, low=0.0, high=1.0)
    randomizer = make_randomizer("doraemon", DomainSpace({f"x{i}": parameter for i in range(dimensions)}))
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(40):
        domains = [randomizer.sample(rng) for _ in range(100)]
        away = np.sqrt(np.mean([(np.array(list(domain.values())) - 0.5) ** 2 for domain in domains], axis=1))
        successes = rng.random(100) < 1.0 / (1.0 + np.exp(32.0 * (away - 0.18)))
        rates.append(successes.mean())
        randomizer.update(
            [outcome(randomizer, domain, bool(success)) for domain, success in zip(domains, successes, strict=True)]
        )
    assert np.mean(rates[20:]) >= 0.42  # asked for is 0.5
    assert randomizer.figures()["entropy"] > -0.6


@pytest.mark.parametrize("dimensions", [1, 6])
def test_active_stays_where_it_is_while_all_returns_are_the_same(dimensions):
    parameter = Parameter(nominal=0.5, low=0.0, high=1.0)
    randomizer = make_randomizer(ADAPTIVE["active"], DomainSpace({f"x{i}": parameter for i in range(dimensions)}))
    rng = np.random.default_rng(0)
    for _ in range(30):
        randomizer.update([outcome(randomizer, randomizer.sample(rng), ret=-50.0) for _ in range(20)])
    assert np.mean([randomizer.sample(rng)["x0"] for _ in range(500)]) == pytest.approx(0.5, abs=0.2)


def test_active_goes_to_where_the_returns_are_lowest_and_still_sees_the_rest():
    randomizer = make_randomizer({**ADAPTIVE["active"], "uniform_share": 0.25}, SPACE)
    rng = np.random.default_rng(0)
    for _ in range(20):
        domains = [randomizer.sample(rng) for _ in range(20)]
        randomizer.update([outcome(randomizer, domain, ret=-domain["delay"]) for domain in domains])
    delays = np.array([randomizer.sample(rng)["delay"] for _ in range(4000)])
    assert np.mean(delays > 2.0) > 0.75
    assert np.mean(delays < 1.0) == pytest.approx(0.25 / 3, abs=0.03)
    assert randomizer.ranges == {"friction": (0.0, 1.0), "delay": (0.0, 3.0)}
    assert randomizer.figures()["elite_return"] < randomizer.figures()["mean_return"]


def test_learnability_goes_to_the_edge_of_what_succeeds():
    randomizer = make_randomizer({**ADAPTIVE["learnability"], "any_share": 0.0}, SPACE)
    rng = np.random.default_rng(0)
    chance = {}

    def lucky(domain):  # a chance that falls with the delay, from 1 to 0 around 1
        chance[domain["delay"]] = 1.0 / (1.0 + np.exp(6.0 * (domain["delay"] - 1.0)))
        return rng.random() < chance[domain["delay"]]

    learn(randomizer, lucky, 20, rng)
    # What it takes for the chance of success is that which it is.
    delays = np.linspace(0.0, 3.0, 7)
    fitted = randomizer.chance(np.column_stack([np.full(7, 0.5), delays / 3.0]))
    np.testing.assert_allclose(fitted, 1.0 / (1.0 + np.exp(6.0 * (delays - 1.0))), atol=0.12)
    drawn = np.array([randomizer.sample(rng)["delay"] for _ in range(2000)])
    assert np.mean(np.abs(drawn - 1.0) < 0.6) > 0.8
    assert np.mean(drawn > 2.0) < 0.05
    # The friction does not matter, and is drawn from both sides of the nominal one.
    frictions = np.array([randomizer.sample(rng)["friction"] for _ in range(2000)])
    assert np.mean(frictions) == pytest.approx(0.5, abs=0.02)
    assert np.ptp(frictions) > 0.8


@pytest.mark.parametrize("success", [True, False])
def test_learnability_knows_no_better_where_all_outcomes_are_alike(success):
    randomizer = make_randomizer(ADAPTIVE["learnability"], SPACE)
    rng = np.random.default_rng(0)
    learn(randomizer, lambda domain: success, 5, rng)
    drawn = [randomizer.sample(rng) for _ in range(2000)]
    # Of r u, both uniform from 0 to 1, the variance is 1/9 - 1/16.
    assert np.std([domain["delay"] for domain in drawn]) == pytest.approx(3.0 * np.sqrt(1 / 9 - 1 / 16), rel=0.1)


def test_a_boundary_episode_can_have_several_parameters_at_ends():
    randomizer = make_randomizer({"name": "adr", "buffer": 1, "step": 0.25, "boundaries": 20}, SPACE)
    randomizer.update([outcome(randomizer, SPACE.nominal())])
    rng = np.random.default_rng(0)
    domains = [randomizer.sample(rng) for _ in range(1000)]
    at_ends = [domain["friction"] in (0.25, 0.75) and domain["delay"] == 0.75 for domain in domains]
    assert np.mean(at_ends) == pytest.approx(0.5, abs=0.06)


def test_a_curriculum_widens_with_the_steps_that_were_made():
    randomizer = make_randomizer(ADAPTIVE["curriculum"], SPACE)
    rng = np.random.default_rng(0)
    assert randomizer.sample(rng) == SPACE.nominal()
    assert randomizer.update([outcome(randomizer, SPACE.nominal(), success=None, steps=50)] * 10)
    assert randomizer.ranges == {"friction": (0.25, 0.75), "delay": (0.0, 1.5)}
    randomizer.update([outcome(randomizer, SPACE.nominal(), success=None, steps=50)] * 10)
    assert randomizer.ranges == {"friction": (0.0, 1.0), "delay": (0.0, 3.0)}
    assert not randomizer.update([outcome(randomizer, SPACE.nominal(), success=None, steps=50)] * 10)
    assert not randomizer.stuck


@pytest.mark.parametrize("spec", ADAPTIVE.values(), ids=ADAPTIVE)
def test_a_state_is_plain_and_goes_on_as_the_randomizer_itself_would(spec):
    randomizer = make_randomizer(spec, SPACE)
    learn(randomizer, feasible, 7, np.random.default_rng(0), size=13)
    twin = make_randomizer(spec, SPACE)
    twin.load(json.loads(json.dumps(randomizer.state())))
    for each in (randomizer, twin):
        learn(each, feasible, 7, np.random.default_rng(1), size=13)
    assert twin.state() == randomizer.state()
    assert twin.ranges == randomizer.ranges
    assert randomizer.generation > 0


@pytest.mark.parametrize("spec", ADAPTIVE.values(), ids=ADAPTIVE)
def test_every_draw_is_a_full_domain_inside_the_limits(spec):
    randomizer = make_randomizer({**spec, "ranges": {"friction": [0.3, 0.8]}}, SPACE)
    assert isinstance(randomizer, Adaptive)
    rng = np.random.default_rng(0)
    for _ in range(10):
        for _ in range(100):
            domain = randomizer.sample(rng)
            assert list(domain) == list(SPACE)
            assert SPACE.complete(domain) == domain
            assert 0.3 <= domain["friction"] <= 0.8
        learn(randomizer, lambda domain: True, 1, rng)


@pytest.mark.parametrize("spec", ADAPTIVE.values(), ids=ADAPTIVE)
def test_a_range_of_one_value_keeps_the_parameter_there(spec):
    randomizer = make_randomizer({**spec, "ranges": {"delay": [1, 1]}}, SPACE)
    learn(randomizer, lambda domain: True, 10, np.random.default_rng(0))
    assert randomizer.sample(np.random.default_rng(0))["delay"] == 1.0
    assert randomizer.ranges["delay"] == (1.0, 1.0)


def test_success_can_be_a_return():
    randomizer = make_randomizer({"name": "adr", "buffer": 1, "success_return": -2.0}, SPACE)
    assert not randomizer.update([outcome(randomizer, SPACE.nominal(), success=None, ret=-3.0)])
    assert randomizer.update([outcome(randomizer, SPACE.nominal(), success=None, ret=-1.0)])
    unknowing = make_randomizer("adr", SPACE)
    with pytest.raises(Sim2RealError, match="needs to know which episodes succeed"):
        unknowing.update([outcome(unknowing, SPACE.nominal(), success=None)])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "adr", "ranges": {"delay": [2, 1]}}, "range of delay = [2, 1] must be [low, high] with low <= high."),
        (
            {"name": "adr", "ranges": {"delay": [0, 4]}},
            "domain parameter delay = 4 steps is outside its bounds [0, 3] steps; choose a value inside them.",
        ),
        (
            {"name": "doraemon", "ranges": {"frction": [0, 1]}},
            "unknown domain parameter 'frction'. Did you mean 'friction'? Known: delay, friction.",
        ),
        ({"name": "adr", "buffer": 0}, "buffer = 0 must be a whole number of at least 1."),
        ({"name": "adr", "step": 2}, "step = 2 must be between 1e-06 and 1."),
        (
            {"name": "adr", "raise_from": 0.3, "lower_from": 0.3},
            "lower_from = 0.3 must be below raise_from = 0.3.",
        ),
        ({"name": "doraemon", "success_rate": 1.5}, "success_rate = 1.5 must be between 0 and 1."),
        ({"name": "doraemon", "kl": "much"}, "kl = 'much' must be a finite number."),
        ({"name": "doraemon", "kl": 0}, "kl = 0 must be at least 1e-06."),
        ({"name": "doraemon", "concentration": 1e300}, "concentration = 1e+300 must be between 2 and 10000."),
        (
            {"name": "adr", "ranges": 0},
            "ranges: expected a mapping of names to [low, high], or 'bounds', got 0.",
        ),
        (5, "randomizer = 5 must be a name, or a mapping with a name and its settings."),
        (None, "randomizer = None must be a name, or a mapping with a name and its settings."),
        (
            "curriculum",
            "randomizer 'curriculum' needs steps: after how many env steps the ranges are as wide as they get, as in "
            "{name: curriculum, steps: 50000}.",
        ),
        (
            {"name": "active", "elites": 0.1},
            "randomizer 'active': unknown key 'elites'. Did you mean 'elite'? "
            "Known: name, ranges, episodes, elite, rate, uniform_share, schedule.",
        ),
        (
            {"name": "active", "ranges": {"delay": [0, 0], "friction": [1, 1]}},
            "there is no parameter to randomize: each has one value only.",
        ),
    ],
)
def test_a_wrong_description_is_refused(spec, message):
    with pytest.raises(Sim2RealError) as error:
        make_randomizer(spec, SPACE)
    assert str(error.value) == message


@pytest.mark.parametrize("name", ADAPTIVE)
def test_an_env_without_parameters_has_nothing_to_adapt(name):
    with pytest.raises(Sim2RealError, match="there is no parameter to randomize"):
        make_randomizer(ADAPTIVE[name], DomainSpace())


def damaged(state):
    """Return copies of a state with one entry missing or wrong each."""
    for key, value in state.items():
        yield {name: entry for name, entry in state.items() if name != key}
        wrong = ["x", None, float("nan"), float("inf"), -1, [value, value], {"a": value}]
        if isinstance(value, list):
            wrong += [[*value, *value, 5.0], [["x"]], 0.5]
        for entry in wrong:
            yield {**state, key: entry}


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_damaged_state_is_refused(name):
    randomizer = make_randomizer(ADAPTIVE[name], SPACE)
    learn(randomizer, feasible, 7, np.random.default_rng(0), size=13)
    good = json.loads(json.dumps(randomizer.state()))
    twin = make_randomizer(ADAPTIVE[name], SPACE)
    twin.load(good)
    for state in [{}, *damaged(good)]:
        with pytest.raises(Sim2RealError, match="no state of"):
            twin.load(state)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("adr", {"ends": [[0.6, 0.0], [0.7, 0.5]]}),  # a range without its nominal value
        ("adr", {"buffers": []}),
        ("adr", {"buffers": [[0, 9, []]]}),
        ("doraemon", {"a": [0.0, 0.0]}),
        ("doraemon", {"b": [1e9, 1.0]}),
        ("doraemon", {"figures": {"kl": "x"}}),
        ("active", {"std": [0.0, 0.1]}),
        ("learnability", {"seen": [[0.5, 0.5]], "successes": []}),
        ("curriculum", {"generation": 21}),
    ],
)
def test_a_state_that_no_randomizer_of_the_description_comes_to_is_refused(name, change):
    randomizer = make_randomizer(ADAPTIVE[name], SPACE)
    with pytest.raises(Sim2RealError, match="no state of"):
        randomizer.load({**randomizer.state(), **change})
