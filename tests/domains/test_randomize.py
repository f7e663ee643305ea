import numpy as np
import pytest
from tiny_envs import Echo, Sound

from sim2real.domains.contract import get_domain, set_domain
from sim2real.domains.randomize import RandomizeDomain
from sim2real.domains.randomizers import Uniform, make_randomizer
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError

ACTION = np.zeros(1, np.float32)


def randomized(env=None):
    env = env or Sound()
    return RandomizeDomain(env, Uniform(env.domain_space))


def domains(env, seed, count=4):
    drawn = [env.reset(seed=seed)[1]["domain"]]
    return drawn + [env.reset()[1]["domain"] for _ in range(count - 1)]


def test_every_episode_has_a_new_domain_in_which_the_simulator_is():
    env = randomized()
    seen = []
    for episode in range(4):
        _, info = env.reset(seed=0 if episode == 0 else None)
        seen.append(info["domain"])
        assert get_domain(env) == info["domain"]
        assert env.step(ACTION)[4]["domain"] == info["domain"]
    assert len({d["gain"] for d in seen}) == 4
    assert all(0.8 <= d["gain"] <= 1.2 for d in seen)


def test_the_seed_of_reset_decides_the_domains():
    assert domains(randomized(), 5) == domains(randomized(), 5)
    env = randomized()
    domains(env, 6)
    assert domains(env, 5) == domains(randomized(), 5)
    assert domains(randomized(), 5) != domains(randomized(), 6)


def test_the_draws_leave_the_stream_of_the_env_alone():
    plain, env = Sound(), randomized()
    for seed in (3, None, None):
        expected = plain.reset(seed=seed)[0]
        np.testing.assert_array_equal(env.reset(seed=seed)[0], expected)


def test_a_domain_that_a_reset_asks_for_holds_for_that_episode_and_costs_no_draw():
    env, other = randomized(), randomized()
    first = domains(env, 0, count=1)
    asked = env.reset(options={"domain": {"gain": 2.0}})[1]["domain"]
    assert asked == {"gain": 2.0, "drag": 0.1}
    assert [*first, env.reset()[1]["domain"]] == domains(other, 0, count=2)


def test_other_options_reach_the_env_beside_the_drawn_domain():
    seen = []

    class Options(Sound):
        def reset(self, *, seed=None, options=None):
            seen.append(options)
            return super().reset(seed=seed, options=options)

    given = {"goal": 1}
    randomized(Options()).reset(seed=0, options=given)
    assert seen[0]["goal"] == 1
    assert set(seen[0]) == {"goal", "domain"}
    assert given == {"goal": 1}


def test_an_env_without_parameters_is_left_as_it_is():
    env = RandomizeDomain(Echo(), Uniform(Sound().domain_space))
    assert "domain" not in env.reset(seed=0)[1]


def test_set_domain_takes_the_place_of_the_draws():
    for randomizer in ("none", "uniform"):
        env = World(env="tiny_envs:Sound-v0").make(randomizer=randomizer)
        env.reset(seed=0)
        set_domain(env, {"gain": 1.5})
        for _ in range(2):
            assert env.reset()[1]["domain"] == {"gain": 1.5, "drag": 0.1}
            assert get_domain(env) == {"gain": 1.5, "drag": 0.1}


def test_a_world_with_a_domain_is_in_it_whatever_the_randomizer():
    world = World(env="tiny_envs:Sound-v0").with_domain({"gain": 0.5, "drag": 1.0}, "mine")
    env = world.make(randomizer="uniform")
    assert [d["gain"] for d in domains(env, 0)] == [0.5] * 4


@pytest.mark.parametrize("n_envs", [1, 3])
def test_automatic_resets_of_a_vector_env_draw_too(n_envs):
    from stable_baselines3.common.vec_env import DummyVecEnv

    world = World(env="tiny_envs:Sound-v0")
    vec = DummyVecEnv([lambda: world.make(randomizer="uniform")] * n_envs)
    vec.seed(0)
    vec.reset()
    gains = set()
    for _ in range(3 * Sound.length):
        _, _, _, infos = vec.step(np.zeros((n_envs, 1), np.float32))
        gains |= {info["domain"]["gain"] for info in infos}
    vec.close()
    assert len(gains) == 3 * n_envs


class Live(Sound):
    live_parameters = ("gain", "drag")

    def change_domain(self, changes):
        self.apply({**self.get_domain(), **changes})


def scheduled(schedule, env=Live):
    return RandomizeDomain(env(), make_randomizer({"name": "uniform", "schedule": schedule}, env().domain_space))


def test_a_parameter_on_the_schedule_is_drawn_again_in_the_episode_and_the_others_stay():
    env = scheduled({"gain": "step", "drag": 10})
    _, info = env.reset(seed=0)
    domains = [info["domain"]] + [env.step(ACTION)[4]["domain"] for _ in range(Sound.length)]
    gains, drags = ([domain[name] for domain in domains] for name in ("gain", "drag"))
    assert gains[0] == gains[1]  # the first step is in what the reset drew
    assert len(set(gains)) == Sound.length
    assert len(set(drags)) == Sound.length // 10
    assert [drags[k] == drags[k + 1] for k in range(1, 10)] == [True] * 9
    assert drags[10] != drags[11]
    assert all(0.8 <= gain <= 1.2 for gain in gains)


def test_what_is_drawn_during_episodes_follows_from_the_seed():
    def play(seed):
        env = scheduled({"gain": 5})
        env.reset(seed=seed)
        found = [env.step(ACTION)[4]["domain"] for _ in range(Sound.length)]
        return [*found, env.reset()[1]["domain"]]

    assert play(1) == play(1)
    assert play(1) != play(2)


def test_a_domain_that_a_reset_asks_for_stays():
    env = scheduled({"gain": "step"})
    env.reset(seed=0, options={"domain": {"gain": 2.0}})
    assert {env.step(ACTION)[4]["domain"]["gain"] for _ in range(5)} == {2.0}


def test_episode_is_what_holds_without_a_schedule():
    assert make_randomizer({"name": "uniform", "schedule": {"gain": "episode"}}, Sound().domain_space).schedule == {}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"name": "uniform", "schedule": {"mass": "step"}},
            "unknown domain parameter 'mass'. Known: drag, gain.",
        ),
        (
            {"name": "uniform", "schedule": {"gain": "often"}},
            "schedule of gain = 'often' must be 'episode', 'step' or a number of steps.",
        ),
        (
            {"name": "uniform", "schedule": {"gain": 0}},
            "schedule of gain = 0 must be 'episode', 'step' or a number of steps.",
        ),
        (
            {"name": "uniform", "schedule": "step"},
            "schedule: expected a mapping of names to 'step' or a number of steps, got 'step'.",
        ),
        (
            {"name": "active", "schedule": {"gain": "step"}},
            "schedule: an adaptive randomizer learns from episodes that have one domain; leave it out.",
        ),
    ],
)
def test_a_wrong_schedule_is_refused(spec, message):
    with pytest.raises(Sim2RealError) as error:
        make_randomizer(spec, Sound().domain_space)
    assert str(error.value) == message


def test_a_parameter_that_cannot_change_during_an_episode_is_refused():
    with pytest.raises(Sim2RealError) as error:
        scheduled({"gain": "step"}, env=Sound)
    assert str(error.value) == ("unknown parameter that can change during an episode: 'gain'. Known: none are defined.")
    world = World(env="tiny_envs:Sound-v0")
    with pytest.raises(Sim2RealError, match="can change during an episode"):
        world.make(randomizer={"name": "uniform", "schedule": {"gain": "step"}})
