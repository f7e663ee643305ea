import gymnasium as gym
import numpy as np
import pytest
from tiny_envs import Echo, GoalDict, Sound

from sim2real.domains.contract import get_domain
from sim2real.domains.guard import GuardFinite
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError

NAN = float("nan")


def failing(base, at_step, *, index=0, key=None, value=NAN, reward=False):
    class Fails(base):
        def spoil(self, observation):
            (observation if key is None else observation[key])[index] = value
            return observation

        def reset(self, **kwargs):
            observation, info = super().reset(**kwargs)
            return (self.spoil(observation) if at_step == 0 else observation), info

        def step(self, action):
            observation, worth, *rest = super().step(action)
            if self.steps == at_step:
                worth, observation = (value, observation) if reward else (worth, self.spoil(observation))
            return observation, worth, *rest

    return GuardFinite(Fails())


def run(env, steps, episodes=1, action=0.5):
    for _ in range(episodes):
        env.reset(seed=0)
        for _ in range(steps):
            env.step(np.full(1, action, np.float32))


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            failing(Sound, 3, index=1),
            "observation is nan in velocity[0] (channel 1) at step 3 of episode 1 of Fails "
            "(domain: gain=1, drag=0.1); the env is at fault.",
        ),
        (
            failing(Sound, 0, value=-np.inf),
            "observation is -inf in position[0] (channel 0) at step 0 of episode 1 of Fails "
            "(domain: gain=1, drag=0.1); the env is at fault.",
        ),
        (
            failing(Sound, 2, reward=True, value=np.inf),
            "reward is inf at step 2 of episode 1 of Fails (domain: gain=1, drag=0.1); the env is at fault.",
        ),
        (
            failing(GoalDict, 1, key="observation", index=1),
            "observation is nan in velocity[0] (channel 1) at step 1 of episode 1 of Fails "
            "(domain: gain=1, drag=0.1); the env is at fault.",
        ),
        (
            failing(GoalDict, 1, key="achieved_goal", index=1),
            "observation 'achieved_goal' is nan in channel 1 at step 1 of episode 1 of Fails "
            "(domain: gain=1, drag=0.1); the env is at fault.",
        ),
    ],
)
def test_the_first_number_that_is_not_finite_is_named(env, message):
    with pytest.raises(Sim2RealError) as error:
        run(env, 5)
    assert str(error.value) == message


def test_an_action_that_is_not_finite_is_the_policys_fault_and_never_reaches_the_env():
    env = GuardFinite(Sound())
    with pytest.raises(Sim2RealError) as error:
        run(env, 1, action=NAN)
    assert str(error.value) == (
        "action is nan in push[0] (channel 0) at step 1 of episode 1 of Sound (domain: gain=1, drag=0.1); "
        "the policy has diverged."
    )
    assert env.unwrapped.steps == 0


def test_steps_count_from_the_reset_and_episodes_from_the_construction():
    env = failing(Sound, 4)
    run(env, 3, episodes=2)
    with pytest.raises(Sim2RealError, match="at step 4 of episode 3 of Fails"):
        run(env, 4)


def test_the_env_is_named_by_its_id_and_a_domain_of_one_episode_is_told():
    env = World(env="tiny_envs:NoNumber-v0").make()
    env.reset(options={"domain": {"gain": 2.0}})
    env.step(np.zeros(1, np.float32))
    env.step(np.zeros(1, np.float32))
    with pytest.raises(Sim2RealError) as error:
        env.step(np.zeros(1, np.float32))
    assert str(error.value) == (
        "reward is nan at step 3 of episode 1 of NoNumber-v0 (domain: gain=2, drag=0.1); the env is at fault."
    )


def test_an_env_without_channels_or_domain_is_told_by_index():
    class Far(Echo):
        def reset(self, **kwargs):
            super().reset(**kwargs)
            return np.array([0.0, NAN]), {}

    with pytest.raises(Sim2RealError) as error:
        GuardFinite(Far()).reset()
    assert str(error.value) == ("observation is nan in channel 1 at step 0 of episode 1 of Far; the env is at fault.")


def test_what_is_finite_passes_unchanged():
    guarded, plain = GuardFinite(Sound()), Sound()
    np.testing.assert_array_equal(guarded.reset(seed=1)[0], plain.reset(seed=1)[0])
    for _ in range(5):
        action = np.array([0.3], np.float32)
        left, right = guarded.step(action), plain.step(action)
        np.testing.assert_array_equal(left[0], right[0])
        assert left[1:] == right[1:]
    assert get_domain(guarded) == {"gain": 1.0, "drag": 0.1}


@pytest.mark.parametrize("name", ["CartPole-v1", "FrozenLake-v1", "Blackjack-v1"])
def test_discrete_and_tuple_spaces_pass(name):
    env = GuardFinite(gym.make(name))
    env.reset(seed=0)
    env.step(env.action_space.sample())


def test_the_parts_of_a_tuple_observation_are_checked_too():
    class Parts(Echo):
        def reset(self, **kwargs):
            super().reset(**kwargs)
            return (np.zeros(2), np.array([0.0, 0.0, NAN])), {}

    with pytest.raises(Sim2RealError, match="is nan in channel 2 at step 0 of episode 1 of Parts"):
        GuardFinite(Parts()).reset()


def test_a_guarded_env_can_be_rebuilt_from_its_spec():
    env = GuardFinite(gym.make("Pendulum-v1"))
    assert isinstance(gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json())), GuardFinite)


def test_what_the_env_raises_goes_through_with_a_note_on_when_it_did():
    class Breaks(Sound):
        def reset(self, **kwargs):
            if self.steps == 4:
                raise KeyError("gone")
            return super().reset(**kwargs)

        def step(self, action):
            if self.steps == 3:
                self.steps = 4
                raise ZeroDivisionError("float division by zero")
            return super().step(action)

    env = GuardFinite(Breaks())
    with pytest.raises(ZeroDivisionError) as error:
        run(env, 5)
    assert error.value.__notes__ == ["in step 4 of episode 1 of Breaks (domain: gain=1, drag=0.1)"]
    for options, domain in (
        (None, ""),
        ({"domain": {"gain": 2.0}}, " (domain: gain=2)"),
        ({"domain": {"gain": "x"}}, " (domain: gain=x)"),
        ({"domain": 5}, ""),
    ):
        env = GuardFinite(Breaks())
        env.unwrapped.steps = 4
        with pytest.raises(KeyError) as error:
            env.reset(options=options)
        assert error.value.__notes__ == [f"in the reset of episode 1 of Breaks{domain}"]


def test_a_mistake_that_has_its_message_gets_no_note():
    env = GuardFinite(Sound())
    with pytest.raises(Sim2RealError) as error:
        env.reset(options={"domain": {"gian": 1.0}})
    assert not hasattr(error.value, "__notes__")
