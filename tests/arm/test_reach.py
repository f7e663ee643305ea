"""What a user of ``sim2real/PandaReach-v0`` relies on."""

import pickle
import subprocess
import sys
import warnings
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from arm_envs import digest
from bundled_worlds import closed_afterwards, random_domain, user_environment
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

import sim2real_envs
from sim2real.domains.contract import domain_space, get_domain, set_domain
from sim2real.domains.targets import read_targets
from sim2real.errors import Sim2RealError
from sim2real_envs.arm.worlds import ReachEnv

ID = "sim2real_envs:sim2real/PandaReach-v0"
FORMS = [{"control": control, "observation": form} for control in ("ee", "joint") for form in ("flat", "goal")]


@pytest.fixture
def make():
    with closed_afterwards(partial(gym.make, ID)) as make_one:
        yield make_one


def approach(env, seed, domain=None, gain=20.0):
    """Run an episode of a proportional controller; return the last info."""
    observation, info = env.reset(seed=seed, options={"domain": domain or {}})
    for _ in range(50):
        observation, _, _, truncated, info = env.step(np.clip(gain * observation[6:9], -1, 1).astype(np.float32))
    assert truncated
    return info


@pytest.mark.parametrize("form", FORMS)
def test_gymnasiums_checker_has_nothing_to_say(form):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = ReachEnv(**form)
        env.spec = None
        check_env(env, skip_render_check=True)
        env.close()
        env.close()


def test_registration_is_idempotent_and_ends_episodes_after_two_seconds():
    sim2real_envs.arm.register_envs()
    spec = gym.spec("sim2real/PandaReach-v0")
    assert spec.max_episode_steps == 50
    assert [wrapper.name for wrapper in spec.additional_wrappers] == ["ActionDelay", "ObservationNoise"]


def test_importing_the_worlds_is_light():
    heavy = ("torch", "pybullet", "matplotlib", "scipy")
    code = f"import sim2real_envs, sys; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=user_environment()
    )
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("form", FORMS)
def test_spec_and_pickle_rebuild_the_env(make, form):
    env = make(**form)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.spec == env.spec
    assert again.observation_space == env.observation_space
    unpickled = pickle.loads(pickle.dumps(env.unwrapped))
    assert unpickled.control == form["control"]
    again.close()
    unpickled.close()


@pytest.mark.parametrize(("control", "width"), [("ee", 9), ("joint", 23)])
def test_channels_describe_the_observation(make, control, width):
    env = make(control=control)
    channels = env.get_wrapper_attr("observation_channels")
    assert sum(channel.width for channel in channels) == width == env.observation_space.shape[0]
    names = ["ee_position", "ee_velocity", "goal_offset", "joint_position", "joint_velocity"]
    assert [channel.name for channel in channels] == names[: 3 if control == "ee" else 5]
    observation, _ = env.reset(seed=0)
    np.testing.assert_allclose(observation[:3], [0.5, 0.0, 0.3], atol=1e-3)
    goal = env.unwrapped._goal
    np.testing.assert_allclose(observation[6:9], goal - observation[:3], atol=1e-6)


def test_action_moves_the_end_effector_as_it_says(make):
    env = make()
    for axis in range(3):
        start, _ = env.reset(seed=0, options={"domain": {"joint_friction": 0.0}})
        action = np.zeros(3, np.float32)
        action[axis] = 0.5  # 25 mm
        env.step(action)
        for _ in range(5):
            end, *_ = env.step(np.zeros(3, np.float32))
        moved = end[:3] - start[:3]
        assert 0.015 < moved[axis] < 0.026  # the position loop does not get all the way in one step
        assert np.abs(np.delete(moved, axis)).max() < 0.005


def test_joint_action_moves_one_joint(make):
    env = make(control="joint")
    start, _ = env.reset(seed=0, options={"domain": {"joint_friction": 0.0}})
    action = np.zeros(7, np.float32)
    action[0] = 1.0
    env.step(action)
    end, *_ = env.step(np.zeros(7, np.float32))
    # A Panda's first joint turns 2.175 rad/s at most: 87 mrad in 40 ms.
    assert 0.06 < end[9] - start[9] < 0.09


@pytest.mark.parametrize("control", ["ee", "joint"])
def test_same_seed_same_bits(make, control):
    env, fresh = make(control=control), make(control=control, render_mode="rgb_array")
    expected = digest(env, 5)
    rng = np.random.default_rng(0)
    for seed in range(5):
        digest(env, seed, random_domain(env, rng))
        assert digest(env, 5) == expected
    assert digest(fresh, 5) == expected
    domain = random_domain(env, rng)
    assert digest(env, 6, domain) == digest(fresh, 6, domain)


def test_same_seed_same_bits_in_another_process(make):
    code = (
        "import gymnasium as gym, runpy; names = runpy.run_path(%r); env = gym.make(names['ID']); "
        "print(names['digest'](env, 5, {'payload': 1.0}))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code % __file__], capture_output=True, text=True, check=True, env=user_environment()
    )
    assert out.stdout.split()[-1] == digest(make(), 5, {"payload": 1.0})


def test_domain_is_read_back_from_the_simulator(make):
    env = make()
    rng = np.random.default_rng(0)
    for _ in range(5):
        domain = random_domain(env, rng)
        set_domain(env, domain)
        _, info = env.reset(seed=0)
        assert info["domain"] == pytest.approx(domain)
        assert get_domain(env) == pytest.approx(domain, abs=1e-9)
    _, info = env.reset(options={"domain": {"payload": 1.0}})
    assert get_domain(env) == pytest.approx({**domain_space(env).nominal(), "payload": 1.0}, abs=1e-9)
    env.reset()
    assert get_domain(env) == pytest.approx(domain, abs=1e-9)


def test_set_domain_waits_for_the_next_reset(make):
    env = make()
    env.reset(seed=0)
    set_domain(env, {"payload": 2.0})
    assert get_domain(env)["payload"] == 0.0
    env.reset()
    assert get_domain(env)["payload"] == 2.0


@pytest.mark.parametrize("control", ["ee", "joint"])
def test_every_domain_inside_the_bounds_is_safe(make, control):
    env = make(control=control)
    rng = np.random.default_rng(0)
    robot = env.unwrapped.robot
    for episode in range(150):
        env.reset(seed=episode, options={"domain": random_domain(env, rng, corners=True)})
        held = rng.uniform(-1, 1, env.action_space.shape)
        for _ in range(15):
            action = held if episode % 2 else rng.uniform(-1, 1, env.action_space.shape)
            observation, reward, *_ = env.step(action.astype(np.float32))
            assert env.observation_space.contains(observation)
            assert np.isfinite(reward)
            position = robot.state.joint_position
            assert (position > robot.lower - 0.02).all()
            assert (position < robot.upper + 0.02).all()
            assert np.abs(robot.state.joint_velocity).max() < 20.0


def test_a_proportional_controller_reaches_nominally_but_not_on_sagging(make):
    env = make()
    sagging = read_targets(env.get_wrapper_attr("targets_file"))["sagging"].domain
    assert all(approach(env, seed)["is_success"] for seed in range(8))
    infos = [approach(env, seed, sagging) for seed in range(8)]
    assert not any(info["is_success"] for info in infos)
    assert 0.025 < np.mean([info["distance"] for info in infos]) < 0.1


def test_targets_are_inside_the_bounds_and_the_last_outside_of_training(make):
    env = make()
    space = domain_space(env)
    targets = read_targets(env.get_wrapper_attr("targets_file"))
    assert list(targets) == ["mild", "medium", "worn", "sagging", "hard", "out-of-range", "mujoco"]
    outside = {
        name: sum(
            not p.train_range[0] <= value <= p.train_range[1] for n, value in t.domain.items() for p in [space[n]]
        )
        for name, t in targets.items()
    }
    for target in targets.values():
        space.complete(target.domain)
    assert outside["mild"] == 0
    assert outside["out-of-range"] >= 5


def test_reward_is_the_sum_of_its_terms(make):
    env = make()
    env.reset(seed=0)
    _, reward, _, _, info = env.step(np.ones(3, np.float32))
    terms = {name: value for name, value in info.items() if name.startswith("reward/")}
    assert set(terms) == {"reward/distance", "reward/precision", "reward/smoothness"}
    assert reward == pytest.approx(sum(terms.values()))
    assert terms["reward/distance"] == pytest.approx(-10.0 * info["distance"])
    assert terms["reward/smoothness"] == pytest.approx(-0.5)


@pytest.mark.parametrize("control", ["ee", "joint"])
def test_hindsight_reward_of_the_true_goal_is_the_reward(make, control):
    env = make(control=control, observation="goal")
    env.reset(seed=0)
    compute = env.get_wrapper_attr("compute_reward")
    steps = [env.step(env.action_space.sample()) for _ in range(5)]
    for observation, reward, _, _, info in steps:
        assert compute(observation["achieved_goal"], observation["desired_goal"], info) == reward
    achieved, desired = (np.array([step[0][key] for step in steps]) for key in ("achieved_goal", "desired_goal"))
    rewards = compute(achieved, desired, np.array([step[4] for step in steps]))
    np.testing.assert_array_equal(rewards, [step[1] for step in steps])
    assert compute(achieved, achieved, [{}] * 5) == pytest.approx(np.zeros(5))


def test_the_flat_form_does_not_pose_as_a_goal_env(make):
    assert not make().has_wrapper_attr("compute_reward")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"control": "joints"}, "unknown control 'joints'. Did you mean 'joint'? Known: ee, joint."),
        ({"observation": "goals"}, "unknown observation 'goals'. Did you mean 'goal'? Known: flat, goal."),
        (
            {"render_mode": "rgb_arrays"},
            "unknown render_mode 'rgb_arrays'. Did you mean 'rgb_array'? Known: human, rgb_array.",
        ),
        ({"success_distance": "a"}, "success_distance = 'a' must be a positive length in metres."),
        ({"robot": ["panda"]}, "unknown robot \"['panda']\". Did you mean 'panda'? Known: kuka, panda, xarm6."),
        ({"physics_dt": "0.004"}, "physics_dt = '0.004' must be a positive time in seconds."),
        ({"physics_dt": 0.02}, "physics_dt = 0.02 s is too coarse for this world in pybullet; at most 0.01 s."),
        (
            {"physics_dt": 0.004, "engine": "mujoco"},
            "physics_dt = 0.004 s is too coarse for this world in mujoco; at most 0.002 s.",
        ),
        ({"success_distance": -1.0}, "success_distance = -1.0 must be a positive length in metres."),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(Sim2RealError) as error:
        ReachEnv(**kwargs)
    assert str(error.value) == message


@pytest.mark.skipif(sys.platform != "linux", reason="only X needs DISPLAY")
def test_a_window_without_a_display_is_refused(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    env = ReachEnv(render_mode="human")
    with pytest.raises(Sim2RealError, match="needs a display and there is none; use render_mode 'rgb_array'"):
        env.reset()
    env.close()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros(4), "action has shape (4,); control 'ee' needs (3,)."),
        (np.array([0.0, np.nan, 0.0]), "action ee_displacement[1] (channel 1) = nan must be a finite number."),
        (["a", 0, 0], "action ['a', 0, 0] is not a vector of numbers."),
    ],
)
def test_bad_actions_are_named(action, message):
    env = ReachEnv()
    env.reset(seed=0)
    with pytest.raises(Sim2RealError) as error:
        env.step(action)
    assert str(error.value) == message
    env.close()


def test_picture_shows_the_goal_and_changes_nothing(make):
    env, blind = make(render_mode="rgb_array"), make()
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (360, 480, 3)
    assert picture.dtype == np.uint8
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    assert 30 < ((green > 2 * red) & (green > 2 * blue)).sum() < 3000
    blind.reset(seed=0)
    for _ in range(3):
        action = np.full(3, 0.3, np.float32)
        np.testing.assert_array_equal(env.step(action)[0], blind.step(action)[0])
        env.render()
    env.close()
    env.close()


def test_render_fps_is_that_of_the_control():
    env = ReachEnv(control_dt=0.05, physics_dt=0.005)
    assert env.metadata["render_fps"] == 20
    assert ReachEnv.metadata["render_fps"] == 25
    env.close()
