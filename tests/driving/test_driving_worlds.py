"""What all driving worlds keep to: Gymnasium's rules, seeds, domains, engines, and words about what is wrong."""

import math
import pickle
import resource
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from bundled_worlds import random_domain, user_environment
from driving_envs import IDS, WORLDS, digest
from driving_plants import ENGINES
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

import sim2real_envs
from sim2real.domains.contract import domain_space, get_domain, set_domain
from sim2real.domains.targets import read_targets
from sim2real.errors import Sim2RealError
from sim2real_envs.driving.drive import RaceCarEnv, SkidSteerEnv, TrafficEnv

CLASSES = [RaceCarEnv, TrafficEnv, SkidSteerEnv]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("env_class", CLASSES)
def test_gymnasiums_checker_has_nothing_to_say(env_class, engine):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = env_class(tracks=2, engine=engine)
        env.spec = None
        check_env(env, skip_render_check=True)
        env.close()
        env.close()


def test_registration_is_idempotent():
    sim2real_envs.driving.register_envs()
    spec = gym.spec("sim2real/Drive-v0")
    assert spec.max_episode_steps == 750
    assert [wrapper.name for wrapper in spec.additional_wrappers] == ["ActionDelay", "ObservationNoise"]


@pytest.mark.parametrize(("env_id", "engine"), WORLDS)
def test_spec_and_pickle_rebuild_the_env(make, env_id, engine):
    env = make(env_id, rays=16, difficulty=0.3, engine=engine)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.spec == env.spec
    assert again.observation_space == env.observation_space
    unpickled = pickle.loads(pickle.dumps(env.unwrapped))
    assert len(unpickled.course.tracks) == 3
    assert len(unpickled.sensor.angles) == 16
    assert type(unpickled.plant) is type(env.unwrapped.plant)
    again.close()
    unpickled.close()


def test_channels_describe_the_observation(make):
    names = {
        0: ["lidar", "speed", "yaw_rate", "steering"],
        1: ["lidar", "speed", "yaw_rate", "steering"],
        2: ["lidar", "speed", "yaw_rate", "wheel_speed"],
    }
    for number, env_id in enumerate(IDS):
        env = make(env_id)
        channels = env.get_wrapper_attr("observation_channels")
        assert [channel.name for channel in channels] == names[number]
        assert sum(channel.width for channel in channels) == env.observation_space.shape[0]
        assert sum(channel.width for channel in env.get_wrapper_attr("action_channels")) == 2


@pytest.mark.parametrize(("env_id", "engine"), WORLDS)
def test_same_seed_same_bits(make, env_id, engine):
    env, fresh = make(env_id, engine=engine), make(env_id, engine=engine, render_mode="rgb_array")
    expected = digest(env, 5)
    rng = np.random.default_rng(0)
    for seed in range(4):
        digest(env, seed, random_domain(env, rng))
        assert digest(env, 5) == expected
    assert digest(fresh, 5) == expected
    domain = random_domain(env, rng)
    assert digest(env, 6, domain) == digest(fresh, 6, domain)


def test_same_seed_same_bits_in_another_process(make):
    code = (
        "import gymnasium as gym; from driving_envs import IDS, digest; env = gym.make(IDS[1], tracks=3); "
        "print(digest(env, 5, {'mass': 1.3}))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=user_environment()
    )
    assert out.stdout.split()[-1] == digest(make(IDS[1]), 5, {"mass": 1.3})


@pytest.mark.parametrize(("env_id", "engine"), WORLDS)
def test_domain_is_read_back_from_the_simulator(make, env_id, engine):
    env = make(env_id, engine=engine)
    rng = np.random.default_rng(0)
    for _ in range(5):
        domain = random_domain(env, rng)
        set_domain(env, domain)
        _, info = env.reset(seed=0)
        assert info["domain"] == pytest.approx(domain)
        assert get_domain(env) == pytest.approx(domain, abs=1e-9)
    set_domain(env, {})
    assert get_domain(env) == pytest.approx(domain, abs=1e-9)
    env.reset()
    assert get_domain(env) == pytest.approx(domain_space(env).nominal(), abs=1e-9)


@pytest.mark.parametrize(("env_id", "engine"), WORLDS)
def test_every_domain_inside_the_bounds_is_safe(make, env_id, engine):
    env = make(env_id, engine=engine)
    rng = np.random.default_rng(0)
    for episode in range(60):
        env.reset(seed=episode, options={"domain": random_domain(env, rng, corners=True)})
        held = rng.uniform(-1, 1, env.action_space.shape)
        for _ in range(25):
            action = held if episode % 2 else rng.uniform(-1, 1, env.action_space.shape)
            observation, reward, terminated, _, info = env.step(action.astype(np.float32))
            assert env.observation_space.contains(observation)
            assert np.isfinite(reward)
            assert abs(env.unwrapped.vehicle.state.forward) < 8.0
            assert abs(env.unwrapped.vehicle.state.yaw_rate) < 40.0
            if terminated:
                assert info["contacts"] == 1
                break


@pytest.mark.parametrize("engine", ENGINES)
def test_resets_leave_the_memory_as_it_was(make, engine):
    env = make(IDS[1], engine=engine)
    for seed in range(300):
        env.reset(seed=seed, options={"domain": {"mass": 1.0 + 0.001 * (seed % 100)}})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1500):
        env.reset(options={"domain": {"mass": 1.0 + 0.001 * (seed % 100)}})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2000  # [kB]


@pytest.mark.parametrize("observation", ["lidar", "camera"])
@pytest.mark.parametrize("env_id", IDS)
def test_targets_are_inside_the_bounds_and_the_last_outside_of_training(make, env_id, observation):
    env = make(env_id, observation=observation)
    space = domain_space(env)
    targets = read_targets(env.get_wrapper_attr("targets_file"))
    assert {"mild", "medium", "hard", "out-of-range"} < set(targets)
    assert len(targets) == 7
    assert targets["mujoco"].kwargs == {"engine": "mujoco"}
    for target in targets.values():
        space.complete(target.domain)
    low_high = {name: space[name].train_range for name in targets["out-of-range"].domain}
    outside = [not low_high[n][0] <= v <= low_high[n][1] for n, v in targets["out-of-range"].domain.items()]
    assert sum(outside) >= 6
    assert all(space[n].train_range[0] <= v <= space[n].train_range[1] for n, v in targets["mild"].domain.items())


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"rays": 20}, "rays = 20 must be 16 or 32."),
        ({"rays": 32.0}, "rays = 32.0 must be 16 or 32."),
        ({"difficulty": "a"}, "difficulty = 'a' must be between 0 (a circle) and 1."),
        ({"track_width": None}, "width = None must be between 0.8 and 1.5 metres."),
        ({"physics_dt": 0.04}, "physics_dt = 0.04 s is too coarse for this world in pybullet; at most 0.02 s."),
        (
            {"physics_dt": 0.01, "engine": "mujoco"},
            "physics_dt = 0.01 s is too coarse for this world in mujoco; at most 0.008 s.",
        ),
        ({"control_dt": "a"}, "control_dt = 'a' must be a positive time in seconds."),
        ({"tracks": 0}, "tracks = 0 must be a whole number from 1 to 64."),
        ({"difficulty": 2.0}, "difficulty = 2.0 must be between 0 (a circle) and 1."),
        ({"cars": 9}, "cars = 9 must be a whole number from 0 to 4."),
        ({"engine": "ode"}, "unknown engine 'ode'. Known: mujoco, pybullet."),
        ({"render_mode": "ascii"}, "unknown render_mode 'ascii'. Known: human, rgb_array."),
        (
            {"physics_dt": 0.003},
            "physics_dt = 0.003 s does not divide control_dt = 0.04 s; the nearest that does is 0.00307692 s.",
        ),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(Sim2RealError) as error:
        TrafficEnv(**kwargs)
    assert str(error.value) == message


def test_both_engines_are_the_same_world_to_an_agent(make):
    for env_id in IDS:
        one, other = (make(env_id, engine=engine) for engine in ENGINES)
        assert one.observation_space == other.observation_space
        assert one.action_space == other.action_space
        assert domain_space(one) == domain_space(other)
        for name in ("observation_channels", "action_channels"):
            assert one.get_wrapper_attr(name) == other.get_wrapper_attr(name)
        seen, _ = one.reset(seed=3)
        np.testing.assert_allclose(other.reset(seed=3)[0], seen, atol=1e-5)  # the same start on the same track
    pictures = [make(engine=engine, observation="camera").reset(seed=3)[0]["image"] for engine in ENGINES]
    assert (pictures[0] != pictures[1]).mean() < 0.01


def test_mujoco_is_imported_only_when_it_is_asked_for():
    code = (
        "import sys; from sim2real_envs.driving.drive import RaceCarEnv; env = RaceCarEnv(tracks=1); env.reset(seed=0);"
        "print('mujoco' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=user_environment()
    )
    assert out.stdout.split()[-1] == "False"


def test_an_engine_that_is_not_installed_says_what_to_do(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Sim2RealError) as error:
        RaceCarEnv(tracks=1, engine="mujoco")
    assert str(error.value) == ("engine 'mujoco' is not installed; install it with: pip install 'sim2real[mujoco]'.")


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ([0.0], "action has shape (1,); RaceCar needs (2,)."),
        ([0.0, math.nan], "action throttle[0] (channel 1) = nan must be a finite number."),
        (["a", 0], "action ['a', 0] is not a vector of numbers."),
    ],
)
def test_bad_actions_are_named(action, message):
    env = RaceCarEnv(tracks=1)
    env.reset(seed=0)
    with pytest.raises(Sim2RealError) as error:
        env.step(action)
    assert str(error.value) == message
    env.close()
