"""What holds in every arm world: three robots, three tasks, two controls, two forms of observation."""

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from arm_envs import digest
from bundled_worlds import closed_afterwards, random_domain
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

from sim2real.domains.contract import domain_space, get_domain
from sim2real.domains.targets import read_targets
from sim2real.errors import Sim2RealError
from sim2real_envs.arm.worlds import PushEnv
from sim2real_envs.engines import ENGINES

ROBOTS = {"Panda": 7, "Kuka": 7, "XArm6": 6}
IDS = [f"sim2real_envs:sim2real/{robot}{task}-v0" for robot in ROBOTS for task in ("Reach", "Push", "PickAndPlace")]
FORMS = [{"control": control, "observation": form} for control in ("ee", "joint") for form in ("flat", "goal")]
WITH_CUBE = [name for name in IDS if "Reach" not in name]
in_both_engines = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture
def make():
    with closed_afterwards(gym.make) as make_one:
        yield make_one


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("form", [FORMS[0], FORMS[3]], ids=["ee-flat", "joint-goal"])
@in_both_engines
def test_gymnasiums_checker_has_nothing_to_say(make, name, form, engine):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = make(name, disable_env_checker=True, engine=engine, **form).unwrapped
        env.spec = None
        check_env(env, skip_render_check=True)
        env.close()
        env.close()


@pytest.mark.parametrize("name", IDS)
@in_both_engines
def test_spec_and_pickle_rebuild_the_env(make, name, engine):
    env = make(name, control="joint", engine=engine)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.spec == env.spec
    assert again.action_space == env.action_space
    unpickled = pickle.loads(pickle.dumps(env.unwrapped))
    assert unpickled.robot.model == env.unwrapped.robot.model
    assert type(unpickled.simulation) is type(env.unwrapped.simulation)
    again.close()
    unpickled.close()


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(form.values()))
def test_channels_describe_observation_and_action(make, name, form):
    env = make(name, **form)
    joints = next(count for robot, count in ROBOTS.items() if robot in name)
    fingers = "PickAndPlace" in name
    motion = 3 if form["control"] == "ee" else joints
    assert env.action_space.shape == (motion + fingers,)
    names = [channel.name for channel in env.get_wrapper_attr("observation_channels")]
    cube = [] if "Reach" in name else ["object_offset", "object_velocity", "object_yaw"]
    assert names == [
        "ee_position", "ee_velocity", *(["goal_offset"] if form["observation"] == "flat" else []), *cube,
        *(["gripper_opening"] if fingers else []),
        *(["joint_position", "joint_velocity"] if form["control"] == "joint" else []),
    ]  # fmt: skip
    observation, _ = env.reset(seed=0)
    width = sum(channel.width for channel in env.get_wrapper_attr("observation_channels"))
    assert (observation if form["observation"] == "flat" else observation["observation"]).shape == (width,)


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("control", ["ee", "joint"])
@in_both_engines
def test_same_seed_same_bits_after_other_episodes(make, name, control, engine):
    env, fresh = (make(name, control=control, engine=engine) for _ in range(2))
    rng = np.random.default_rng(0)
    domain = random_domain(env, rng)
    expected = digest(env, 5), digest(env, 6, domain)
    for seed in range(3):
        digest(env, seed, random_domain(env, rng, corners=True), steps=30)
        assert digest(env, 5) == expected[0]
    assert digest(env, 6, domain) == expected[1]
    assert digest(fresh, 6, domain) == expected[1]
    assert digest(fresh, 5) == expected[0]


@pytest.mark.parametrize("name", IDS)
@in_both_engines
def test_the_domain_is_read_back_from_the_simulator(make, name, engine):
    env = make(name, engine=engine)
    rng = np.random.default_rng(0)
    for _ in range(5):
        domain = random_domain(env, rng)
        _, info = env.reset(seed=0, options={"domain": domain})
        assert info["domain"] == pytest.approx(domain)
        assert get_domain(env) == pytest.approx(domain, abs=1e-9)


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("control", ["ee", "joint"])
@in_both_engines
def test_every_domain_inside_the_bounds_is_safe(make, name, control, engine):
    env = make(name, control=control, engine=engine)
    rng = np.random.default_rng(1)
    robot = env.unwrapped.robot
    for episode in range(30):
        env.reset(seed=episode, options={"domain": random_domain(env, rng, corners=True)})
        held = rng.uniform(-1, 1, env.action_space.shape)
        for _ in range(15):
            action = held if episode % 2 else rng.uniform(-1, 1, env.action_space.shape)
            observation, reward, *_ = env.step(action.astype(np.float32))
            assert env.observation_space.contains(observation)
            assert np.isfinite(reward)
            assert np.abs(robot.state.joint_velocity).max() < 25.0
            assert np.linalg.norm(robot.state.position) < 1.4


@pytest.mark.parametrize("name", IDS)
def test_targets_are_inside_the_bounds_and_the_last_outside_of_training(make, name):
    env = make(name)
    space = domain_space(env)
    targets = read_targets(env.get_wrapper_attr("targets_file"))
    assert next(iter(targets)) == "mild"
    outside = {
        target: sum(
            not space[key].train_range[0] <= value <= space[key].train_range[1] for key, value in at.domain.items()
        )
        for target, at in targets.items()
    }
    for target in targets.values():
        space.complete(target.domain)
    assert outside["mild"] == 0
    assert outside["out-of-range"] >= 5


@pytest.mark.parametrize("name", WITH_CUBE)
@pytest.mark.parametrize("control", ["ee", "joint"])
def test_hindsight_reward_of_the_true_goal_is_the_reward(make, name, control):
    env = make(name, control=control, observation="goal")
    env.reset(seed=0)
    compute = env.get_wrapper_attr("compute_reward")
    steps = [env.step(env.action_space.sample()) for _ in range(5)]
    for observation, reward, _, _, info in steps:
        assert compute(observation["achieved_goal"], observation["desired_goal"], info) == reward
        terms = {key: value for key, value in info.items() if key.startswith("reward/")}
        names = {"reward/distance", "reward/precision", "reward/approach", "reward/smoothness"}
        assert set(terms) == names | ({"reward/grasp"} if "PickAndPlace" in name else set())
        assert reward == pytest.approx(sum(terms.values()))
    achieved, desired = (np.array([step[0][key] for step in steps]) for key in ("achieved_goal", "desired_goal"))
    rewards = compute(achieved, desired, np.array([step[4] for step in steps]))
    np.testing.assert_array_equal(rewards, [step[1] for step in steps])
    assert compute(achieved, achieved, [{}] * 5) == pytest.approx(np.zeros(5))


@pytest.mark.parametrize("name", WITH_CUBE)
def test_cube_and_goal_start_apart_and_in_reach(make, name):
    env = make(name)
    model = env.unwrapped.robot.model
    heights = []
    for seed in range(60):
        _, info = env.reset(seed=seed)
        goal, cube = env.unwrapped._goal, env.unwrapped.task.cube
        assert not info["is_success"]
        assert info["distance"] >= 0.1 - 1e-6
        assert np.abs(goal[:2] - model.workspace[:2]).max() <= model.workspace_size / 2 + 1e-6
        assert np.abs(cube.position[:2] - model.workspace[:2]).max() <= model.workspace_size / 2 + 1e-6
        robot = env.unwrapped.robot
        assert np.linalg.norm(cube.position - robot.state.position) > 0.04
        assert (robot.home > robot.lower + 0.05).all()
        assert (robot.home < robot.upper - 0.05).all()
        heights.append(goal[2] - cube.size / 2)
    if "Push" in name:
        assert np.abs(heights).max() < 1e-6
    else:
        assert 0.3 < np.mean(np.array(heights) > 1e-6) < 0.7
        assert 0.1 < max(heights) <= 0.2


@pytest.mark.parametrize("name", [IDS[4], IDS[8]])
@in_both_engines
def test_pictures_change_nothing(make, name, engine):
    env, blind = make(name, render_mode="rgb_array", engine=engine), make(name, engine=engine)
    env.reset(seed=0)
    blind.reset(seed=0)
    for _ in range(3):
        action = np.full(env.action_space.shape, 0.3, np.float32)
        np.testing.assert_array_equal(env.step(action)[0], blind.step(action)[0])
        assert env.render().shape == (360, 480, 3)


def test_an_unknown_robot_is_named():
    with pytest.raises(Sim2RealError) as error:
        PushEnv(robot="kuca")
    assert str(error.value) == "unknown robot 'kuca'. Did you mean 'kuka'? Known: kuka, panda, xarm6."
