"""What holds for every signal, alone, in pairs and all together."""

import itertools
import pickle
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from tiny_envs import Camera, Echo

from sim2real.domains.adapter import DomainFile
from sim2real.domains.check_env import check_env
from sim2real.domains.contract import change_domain, domain_space, get_domain, live_parameters, set_domain
from sim2real.domains.randomize import RandomizeDomain
from sim2real.domains.randomizers import Uniform
from sim2real.domains.signals import SIGNALS, ActionSignal, signal_options
from sim2real.domains.trajectories import action_sequences, play
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError

PAGE = Path(__file__).parents[2] / "docs/randomization.md"
# Every option by which a signal gets one more parameter.
OPTIONS = {
    "action_delay": {"jitter": 0.7},
    "action_noise": {"bias": 0.1, "gain": 0.1},
    "actuator_gain": {"bias": 0.2},
    "action_lag": {},
    "action_backlash": {},
    "action_saturation": {},
    "observation_delay": {"jitter": 0.7},
    "observation_noise": {"bias": 1.0},
    "observation_quantisation": {},
    "sensor_dropout": {},
    "stuck_sensor": {"within": 10},
    "image_augmentation": {
        "key": "camera",
        "brightness": 0.3,
        "contrast": 0.3,
        "noise": 0.1,
        "shift": 3,
        "cutout": 0.4,
    },
    "pushes": {"every": 2},
    "missed_steps": {},
}
PHYSICS = ["gain", "drag"]
PARAMETERS = [
    *("action_delay", "action_delay_jitter"),
    *("action_noise", "action_noise_bias", "action_noise_gain"),
    *("actuator_gain", "actuator_bias"),
    "action_lag",
    "action_backlash",
    "action_saturation",
    *("observation_delay", "observation_delay_jitter"),
    *("observation_noise", "observation_bias"),
    "observation_quantisation",
    "sensor_dropout",
    "stuck_sensor",
    *("image_brightness", "image_contrast", "image_noise", "image_shift", "image_cutout"),
    "push",
    "missed_steps",
]
WHOLE_EPISODE = {
    *("action_delay", "action_delay_jitter", "action_noise_bias", "action_noise_gain"),
    *("observation_delay", "observation_delay_jitter", "observation_bias", "stuck_sensor"),
    *("image_brightness", "image_contrast", "image_shift", "image_cutout"),
}


def through(*names, env=None):
    env = env or Camera()
    for name in names:
        env = SIGNALS[name](env, **OPTIONS[name])
    return env


def own(env):
    return {name: parameter for name, parameter in domain_space(env).items() if name not in PHYSICS}


def off_nominal(env):
    return {name: p.low + 0.8 * (p.high - p.low) for name, p in own(env).items()}


def actions(env, steps=15):
    return action_sequences(env.action_space, 3, steps)["random"]


def test_every_signal_is_tested_here_with_every_option_that_adds_a_parameter():
    assert list(OPTIONS) == list(SIGNALS)
    others = {option for name in SIGNALS for option in signal_options(name) if option not in OPTIONS[name]}
    assert others == {"low", "high", "train", "std", "resolution"}


@pytest.mark.parametrize("name", SIGNALS)
def test_a_nominal_signal_hands_through_the_very_objects_and_draws_nothing(name):
    class Keeps(Camera):
        def observe(self):
            self.shown = super().observe()
            return self.shown

        def step(self, action):
            self.last = action
            return super().step(action)

    env = through(name, env=Keeps())
    assert get_domain(env) == domain_space(env).nominal()
    observation, _ = env.reset(seed=0)
    stream = env._rng.bit_generator.state
    assert observation is env.unwrapped.shown
    action = np.array([0.5], np.float32)
    assert env.step(action)[0] is env.unwrapped.shown
    assert env.unwrapped.last is action
    assert env._rng.bit_generator.state == stream


@pytest.mark.parametrize("name", SIGNALS)
def test_each_parameter_of_a_signal_moves_the_trajectory_at_either_end(name):
    env = through(name)
    plain = play(env, {}, actions(env), seed=1)
    for parameter_name, parameter in own(env).items():
        for value in {parameter.low, parameter.high} - {parameter.nominal}:
            moved = play(env, {parameter_name: value}, actions(env), seed=1)
            assert moved != plain, (parameter_name, value)
            assert get_domain(env)[parameter_name] == value
    assert play(env, {}, actions(env), seed=1) == plain


@pytest.mark.parametrize(("inner", "outer"), list(itertools.permutations(SIGNALS, 2)))
def test_any_two_signals_go_together_in_any_order(inner, outer):
    env, again = through(inner, outer), through(inner, outer)
    assert list(domain_space(env)) == [*PHYSICS, *own(through(inner)), *own(through(outer))]
    domain = off_nominal(env)
    assert play(env, domain, actions(env), seed=5) == play(again, domain, actions(env), seed=5)
    assert play(env, domain, actions(env), seed=6) != play(again, domain, actions(env), seed=7)
    for action in actions(env):
        observation, reward, *_, info = env.step(action)
        assert observation in env.observation_space
        assert np.isfinite(observation["observation"]).all()
        assert np.isfinite(reward)
        assert {name: info["domain"][name] for name in domain} == domain


def test_all_signals_together_have_the_same_parameters_in_any_order():
    names = list(SIGNALS)
    one, other = through(*names), through(*reversed(names))
    assert dict(domain_space(one)) == dict(domain_space(other))
    assert list(own(one)) == PARAMETERS


def test_the_documents_list_every_parameter_with_its_unit_and_its_bounds():
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]]
        for line in PAGE.read_text(encoding="utf-8").partition("## Signals")[2].partition("\n## ")[0].splitlines()
        if line.startswith("|")
    ][2:]
    assert [row[0] for row in rows if row[0]] == list(SIGNALS)
    assert [row[1].strip("[]`") for row in rows] == PARAMETERS
    space = domain_space(through(*SIGNALS))
    for _, name, _, unit, nominal, bounds in rows:
        parameter = space[name.strip("[]`")]
        assert (parameter.unit.replace("1", ""), f"{parameter.nominal:g}") == (unit, nominal)
        if not name.startswith("["):
            assert bounds == f"{parameter.low:g} to {parameter.high:g}"


def test_all_signals_together_repeat_an_episode_after_others_in_drawn_domains():
    stack = through(*SIGNALS)
    env = RandomizeDomain(stack, Uniform(domain_space(stack)))
    fresh = through(*SIGNALS)
    for seed in range(3):
        env.reset(seed=seed)
        assert get_domain(env) == env.step(env.action_space.sample())[4]["domain"]
    domain = off_nominal(fresh)
    assert play(stack, domain, actions(env), seed=2) == play(fresh, domain, actions(env), seed=2)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_can_be_pickled_in_the_middle_of_an_episode(name):
    env = through(name)
    env.reset(seed=4, options={"domain": off_nominal(env)})
    for action in actions(env)[:5]:
        env.step(action)
    copy = pickle.loads(pickle.dumps(env))
    for action in actions(env)[5:]:
        one, other = env.step(action)[0], copy.step(action)[0]
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_can_be_rebuilt_from_the_spec_of_its_env(name):
    env = through(name, env=gym.make("tiny_envs:Camera-v0"))
    spec = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
    assert spec.additional_wrappers[-1].name == type(env).__name__
    again = gym.make(spec, disable_env_checker=True)
    assert domain_space(again) == domain_space(env)
    domain = off_nominal(env)
    assert play(again, domain, actions(env), seed=2) == play(env, domain, actions(env), seed=2)


@pytest.mark.parametrize("name", SIGNALS)
def test_two_signals_of_a_kind_are_refused(name):
    with pytest.raises(Sim2RealError, match="is owned twice; rename one of them"):
        through(name, name)


@pytest.mark.parametrize("name", [n for n in SIGNALS if n not in ("image_augmentation", "pushes", "missed_steps")])
def test_a_signal_needs_box_spaces(name):
    side = "action" if issubclass(SIGNALS[name], ActionSignal) else "observation"
    env = gym.make("FrozenLake-v1")
    with pytest.raises(Sim2RealError) as error:
        SIGNALS[name](env)
    space = env.action_space if side == "action" else env.observation_space
    assert str(error.value) == f"{name} needs a Box {side} space, the env has {space}; leave the signal out."


@pytest.mark.parametrize("name", SIGNALS)
def test_a_domain_file_reaches_every_signal(name, tmp_path):
    path = tmp_path / "domain.yaml"
    path.write_text(f"signals: {{{name}: {OPTIONS[name]}}}\n".replace("'", ""))
    env = World.of("tiny_envs:Camera-v0", domain_file=path).make()
    assert domain_space(env) == domain_space(through(name))


def test_a_world_with_all_signals_keeps_the_whole_contract():
    world = World.of("tiny_envs:Camera-v0", domain_file=DomainFile(signals=OPTIONS))
    report = check_env(world, steps=60)
    assert [(check.name, check.detail) for check in report.checks if check.status == "error"] == []
    assert [row.name for row in report.parameters if row.effect[0] != "ok"] == []
    assert [row.name for row in report.parameters] == [*PHYSICS, *PARAMETERS]


def test_what_can_change_during_an_episode_does_and_the_rest_is_refused():
    env = through(*SIGNALS)
    assert set(own(env)) - set(live_parameters(env)) == WHOLE_EPISODE
    with pytest.raises(Sim2RealError, match="unknown parameter that can change during an episode: 'action_delay'"):
        change_domain(env, {"action_delay": 1.0})


@pytest.mark.parametrize("name", [name for name in PARAMETERS if name not in WHOLE_EPISODE])
def test_a_parameter_that_changes_during_an_episode_acts_from_then_on(name):
    env = through(*SIGNALS)

    def seen(value):
        env.reset(seed=1)
        found = []
        for step, action in enumerate(actions(env)):
            if step == 6:
                change_domain(env, {name: value})
                assert get_domain(env)[name] == value
            found.append(env.step(action))
        assert found[-1][4]["domain"][name] == value
        return [np.concatenate([np.ravel(part).astype(float) for part in step[0].values()]) for step in found]

    space = domain_space(env)[name]
    far = max(space.low, space.high, key=lambda end: abs(end - space.nominal))
    plain, changed = seen(space.nominal), seen(far)
    np.testing.assert_array_equal(plain[:6], changed[:6])
    assert not np.array_equal(plain[6:], changed[6:])
    assert env.reset(seed=1)[1]["domain"] == domain_space(env).nominal()


def test_a_change_costs_about_the_same_in_each_layer_of_a_stack():
    # Counted, not timed: how often the innermost env is asked what it can change.
    class Counts(Camera):
        asked = 0

        @property
        def live_parameters(self):
            type(self).asked += 1
            return ()

    env = through(*SIGNALS, env=Counts())
    env.reset(seed=0)
    Counts.asked = 0
    change_domain(env, {"action_noise": 0.1, "missed_steps": 0.1})
    assert Counts.asked <= 1


@pytest.mark.parametrize(("name", "value"), [("action_lag", 2.0), ("action_backlash", 0.2)])
def test_an_actuator_that_wakes_goes_on_from_where_it_is(name, value):
    env = through(name, env=Echo())
    env.reset(seed=0)
    action = np.ones(1, np.float32)
    for step in range(6):
        if step == 3:
            change_domain(env, {name: value})
        env.step(action)
    np.testing.assert_array_equal(np.ravel(env.unwrapped.applied), np.ones(6))


def test_a_wrong_option_in_a_domain_file_is_told_with_the_env():
    file = DomainFile(signals={"image_augmentation": {"key": "kamera", "noise": 0.1}})
    with pytest.raises(Sim2RealError) as error:
        World.of("tiny_envs:Camera-v0", domain_file=file).make()
    assert str(error.value) == (
        "domain file for tiny_envs:Camera-v0: image_augmentation: key = 'kamera' must name pictures of the env; it has "
        "camera."
    )


def test_a_domain_that_was_set_reaches_every_signal():
    env = through(*SIGNALS)
    domain = {**domain_space(env).nominal(), **off_nominal(env)}
    set_domain(env, domain)
    assert get_domain(env) == domain_space(env).nominal()
    env.reset(seed=0)
    assert get_domain(env) == domain


def test_signals_are_light_to_import():
    code = "import sys, sim2real.domains.adapter; print(*{'torch', 'matplotlib', 'scipy', 'pybullet'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
