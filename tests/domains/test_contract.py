import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit, TransformReward
from tiny_envs import Plain, Sound

from sim2real.domains.channels import Channel, element_name
from sim2real.domains.contract import (
    action_channels,
    derived_generator,
    domain_space,
    get_domain,
    observation_channels,
    set_domain,
    targets_file,
)
from sim2real.domains.signals import ActionDelay, ObservationNoise
from sim2real.errors import Sim2RealError

ACTION = np.zeros(1, np.float32)


def wrapped(env=None):
    return TransformReward(TimeLimit(ObservationNoise(ActionDelay(env or Sound())), 5), lambda r: r)


def test_the_contract_is_read_through_wrappers():
    env = wrapped()
    assert list(domain_space(env)) == ["gain", "drag", "action_delay", "observation_noise"]
    assert [c.name for c in observation_channels(env)] == ["position", "velocity"]
    assert [c.name for c in action_channels(env)] == ["push"]
    assert targets_file(env) is None
    env.unwrapped.targets_file = "ladder.yaml"
    assert targets_file(env) == "ladder.yaml"


def test_an_env_outside_the_contract_has_an_empty_domain():
    env = gym.make("CartPole-v1")
    env.reset(seed=0)
    assert len(domain_space(env)) == 0
    assert get_domain(env) == {}
    assert observation_channels(env) is None
    assert action_channels(env) is None
    set_domain(env, {})  # no parameters, nothing to set
    with pytest.raises(Sim2RealError) as error:
        set_domain(env, {"length": 1.0})
    assert str(error.value) == "unknown domain parameter 'length'. Known: none are defined."


def test_a_domain_that_is_set_takes_effect_at_the_next_reset_and_stays():
    env = wrapped()
    env.reset(seed=0)
    set_domain(env, {"gain": 2.0, "action_delay": 1.5})
    assert get_domain(env) == {"gain": 1.0, "drag": 0.1, "action_delay": 0.0, "observation_noise": 0.0}
    for _ in range(2):
        env.reset()
        assert get_domain(env) == {"gain": 2.0, "drag": 0.1, "action_delay": 1.5, "observation_noise": 0.0}
        assert env.unwrapped.gain == 2.0
    set_domain(env, {"drag": 0.5})  # what is not named is nominal again
    env.reset()
    assert get_domain(env) == {"gain": 1.0, "drag": 0.5, "action_delay": 0.0, "observation_noise": 0.0}


def test_a_domain_in_options_holds_for_one_episode_and_then_the_one_that_was_set_is_back():
    env = wrapped()
    set_domain(env, {"gain": 0.5, "action_delay": 1.0})
    _, info = env.reset(seed=0, options={"domain": {"drag": 1.0, "observation_noise": 2.0}})
    once = {"gain": 1.0, "drag": 1.0, "action_delay": 0.0, "observation_noise": 2.0}
    assert get_domain(env) == info["domain"] == env.step(ACTION)[4]["domain"] == once
    _, info = env.reset()
    stays = {"gain": 0.5, "drag": 0.1, "action_delay": 1.0, "observation_noise": 0.0}
    assert get_domain(env) == info["domain"] == env.step(ACTION)[4]["domain"] == stays


def test_other_options_pass_and_the_callers_dict_stays_as_it_is():
    class Options(Sound):
        seen = None

        def reset(self, *, seed=None, options=None):
            self.seen = options
            return super().reset(seed=seed, options=options)

    env = ActionDelay(Options())
    given = {"goal": 3, "domain": {"action_delay": 1.0}}
    env.reset(options=given)
    assert env.unwrapped.seen == {"goal": 3, "domain": {"gain": 1.0, "drag": 0.1}}
    assert given == {"goal": 3, "domain": {"action_delay": 1.0}}


def test_a_foreign_env_below_a_wrapper_never_sees_the_domain():
    env = ActionDelay(Plain())  # asserts that there are no options
    _, info = env.reset(seed=0, options={"domain": {"action_delay": 2.0}})
    assert info["domain"] == {"action_delay": 2.0}


def test_info_is_a_new_dict_in_every_step_that_callers_may_keep_and_change():
    env = wrapped()
    _, info = env.reset(seed=0)
    info["domain"]["gain"] = 9.0
    step_info = env.step(ACTION)[4]
    assert step_info["domain"]["gain"] == 1.0
    assert step_info["domain"] is not env.step(ACTION)[4]["domain"]


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ({"gian": 1.0}, "unknown domain parameter 'gian'. Did you mean 'gain'? Known: action_delay, drag, gain, "),
        ({"action_delay": 4.0}, "domain parameter action_delay = 4 steps is outside its bounds [0, 3] steps; choose"),
        ({"gain": 9.0}, "domain parameter gain = 9 is outside its bounds [0.5, 2]; choose a value inside them."),
    ],
)
def test_a_wrong_domain_is_refused_and_the_one_that_was_set_stays(domain, message):
    env = wrapped()
    set_domain(env, {"gain": 1.5, "action_delay": 1.0})
    with pytest.raises(Sim2RealError) as error:
        set_domain(env, domain)
    assert str(error.value).startswith(message)
    with pytest.raises(Sim2RealError) as error:
        env.reset(options={"domain": domain})
    assert str(error.value).startswith(message)
    env.reset(seed=0)
    assert get_domain(env) == {"gain": 1.5, "drag": 0.1, "action_delay": 1.0, "observation_noise": 0.0}


def test_a_domain_that_the_env_itself_refuses_changes_nothing_further_out():
    class Picky(Sound):
        def set_domain(self, domain):
            if domain["gain"] > 1.9:
                raise RuntimeError("not today")
            super().set_domain(domain)

    env = ActionDelay(Picky())
    with pytest.raises(RuntimeError):
        set_domain(env, {"gain": 2.0, "action_delay": 2.0})
    env.reset(seed=0)
    assert get_domain(env) == {"gain": 1.0, "drag": 0.1, "action_delay": 0.0}


def test_a_parameter_that_two_layers_own_is_refused():
    with pytest.raises(Sim2RealError) as error:
        ActionDelay(ActionDelay(Sound()))
    assert str(error.value) == "parameter 'action_delay' is owned twice; rename one of them."


def test_a_wrapped_env_can_be_rebuilt_from_its_spec():
    env = ObservationNoise(ActionDelay(gym.make("Pendulum-v1"), high=2.0, train=(0.0, 1.0)), std=0.1)
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert domain_space(again) == domain_space(env)


def test_streams_differ_by_seed_and_by_owner():
    def first(seed, owner):
        return derived_generator(seed, owner).standard_normal(4).tolist()

    assert first(0, "a") == first(0, "a")
    assert len({tuple(first(s, o)) for s in (0, 1) for o in ("a", "b")}) == 4
    assert first(0, "a") != np.random.default_rng(0).standard_normal(4).tolist()


CHANNELS = (
    Channel(name="position", width=3, unit="m", low=-1.0, high=1.0),
    Channel(name="grip", width=1, unit="1", low=0.0, high=1.0),
)


def test_a_number_is_named_by_its_channel():
    assert [element_name(CHANNELS, i) for i in (0, 2, 3, 4)] == [
        "position[0] (channel 0)",
        "position[2] (channel 2)",
        "grip[0] (channel 3)",
        "channel 4",
    ]
    assert element_name(None, 2) == "channel 2"
    assert str(CHANNELS[0]) == "position[3] m"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 0}, "channel 'x': width = 0 must be at least 1."),
        ({"low": 1.0, "high": 1.0}, "channel 'x': low = 1 must be below high = 1."),
        ({"noise": -0.1}, "channel 'x': noise = -0.1 must not be negative."),
        ({"noise": float("nan")}, "channel 'x': noise = nan must not be negative."),
    ],
)
def test_a_wrong_channel_dies_at_construction(fields, message):
    with pytest.raises(Sim2RealError) as error:
        Channel(**{"name": "x", "width": 1, "unit": "m", "low": 0.0, "high": 1.0, **fields})
    assert str(error.value) == message
