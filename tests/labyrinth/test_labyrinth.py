"""What a user of ``sim2real/Labyrinth-v0`` relies on."""

import hashlib
import pickle
import subprocess
import sys
import warnings
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from bundled_worlds import closed_afterwards, random_domain, user_environment
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

import sim2real_envs
from sim2real.domains.contract import domain_space, get_domain, set_domain
from sim2real.domains.targets import read_targets
from sim2real.errors import Sim2RealError
from sim2real_envs.engines import ENGINES
from sim2real_envs.labyrinth.env import LabyrinthEnv
from sim2real_envs.labyrinth.layout import HOLE_RADIUS

ID = "sim2real_envs:sim2real/Labyrinth-v0"
CALM = {"servo_lag": 0.0, "servo_backlash": 0.0, "rolling_friction": 0.0}


@pytest.fixture
def make():
    with closed_afterwards(partial(gym.make, ID)) as make_one:
        yield make_one


def steer(env, seed, domain=None):
    """Run an episode of a controller that goes for the next waypoint; return its return and the last info."""
    observation, info = env.reset(seed=seed, options={"domain": domain or {}})
    total, done = 0.0, False
    while not done:
        wanted = observation[4:6] / max(0.02, np.linalg.norm(observation[4:6])) * 0.08
        action = np.clip(12.0 * (wanted - observation[:2]), -1, 1).astype(np.float32)
        observation, reward, terminated, truncated, info = env.step(action)
        total += reward
        done = terminated or truncated
    return total, info


def digest(env, seed, domain=None, steps=60):
    """Return a hash of all that random actions show, bit by bit, over as many episodes as they last."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed, options={"domain": domain or {}})
    result = hashlib.sha256(observation.tobytes())
    for _ in range(steps):
        action = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        observation, reward, terminated, *_ = env.step(action)
        result.update(observation.tobytes() + np.float64(reward).tobytes())
        if terminated:
            observation, _ = env.reset(options={"domain": domain or {}})
    return result.hexdigest()


def test_gymnasiums_checker_has_nothing_to_say():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = LabyrinthEnv()
        env.spec = None
        check_env(env, skip_render_check=True)
        env.close()
        env.close()


def test_registration_is_idempotent_and_ends_episodes_after_twenty_seconds():
    sim2real_envs.labyrinth.register_envs()
    spec = gym.spec("sim2real/Labyrinth-v0")
    assert spec.max_episode_steps == 500
    assert [wrapper.name for wrapper in spec.additional_wrappers] == ["ActionDelay", "ObservationNoise"]


def test_spec_and_pickle_rebuild_the_env(make):
    env = make(layout="medium-2", engine="mujoco")
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.spec == env.spec
    assert again.unwrapped.layout == env.unwrapped.layout
    unpickled = pickle.loads(pickle.dumps(env.unwrapped))
    assert unpickled.layout.name == "medium-2"
    assert type(unpickled.board) is type(env.unwrapped.board)
    again.close()
    unpickled.close()


def test_channels_describe_the_observation(make):
    env = make()
    names = [(channel.name, channel.width) for channel in env.get_wrapper_attr("observation_channels")]
    assert names == [
        ("marble_velocity", 2),
        ("servo_angle", 2),
        ("waypoint_offset", 6),
        ("hole_offset", 4),
    ]
    observation, _ = env.reset(seed=0)
    layout = env.unwrapped.layout
    position = np.array(env.unwrapped.board.position)
    np.testing.assert_allclose(position, layout.start, atol=0.0041)
    np.testing.assert_array_equal(observation[:4], 0.0)
    np.testing.assert_allclose(observation[4:10], np.subtract(layout.waypoints[:3], position).ravel(), atol=1e-6)
    nearest = sorted(layout.holes, key=lambda hole: np.linalg.norm(hole - position))
    np.testing.assert_allclose(observation[10:], np.subtract(nearest[:2], position).ravel(), atol=1e-6)
    observation, *_ = env.step(np.array([0.5, -1.0], np.float32))
    lag = domain_space(env)["servo_lag"].nominal
    np.testing.assert_allclose(observation[2:4], np.array([0.05, -0.1]) * (1 - np.exp(-0.04 / lag)), rtol=1e-5)
    moved = np.subtract(env.unwrapped.board.position, position)
    np.testing.assert_allclose(observation[:2], 2 * moved / 0.04, atol=0.01)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layout", ["easy-1", "medium-1", "hard-1"])
def test_the_finish_is_reached_by_following_the_route(make, layout, engine):
    env = make(layout=layout, engine=engine)
    route = env.unwrapped.route
    results = [steer(env, seed, CALM) for seed in range(6)]
    finished = [(total, info) for total, info in results if info["is_success"]]
    assert finished  # the simple controller does not know of the holes
    total, info = finished[0]
    assert info["progress"] == 1.0
    assert not info["fallen"]
    assert 1.0 < info["time"] < 20.0
    # Whatever the way, less the time and the smoothness.
    assert total == pytest.approx(50.0 * route.length + 10.0 - 0.1 * info["time"] / 0.04, abs=1.5)


def test_a_marble_over_a_hole_has_fallen(make):
    env = make().unwrapped
    for hole in env.layout.holes:
        env.reset(seed=0)
        env.board.reset((hole[0] + 0.5 * HOLE_RADIUS, hole[1]))
        _, reward, terminated, _, info = env.step(np.zeros(2, np.float32))
        assert terminated
        assert info["fallen"]
        assert not info["is_success"]
        assert info["reward/fall"] == -2.0
        assert reward < -1.0


def test_a_fast_marble_does_not_slip_over_a_hole_between_two_steps(make):
    env = make(layout="hard-1").unwrapped
    hole = (0.0, 0.0)
    env.board.position = (0.02, 0.001)
    assert env._is_fallen((-0.02, 0.001), [(0.02, hole)])
    assert not env._is_fallen((-0.02, 0.02), [(0.02, hole)])


def test_a_short_cut_past_waypoints_is_no_success(make):
    for layout in ("easy-1", "hard-1", "classic"):
        env = make(layout=layout).unwrapped
        env.reset(seed=0)
        # Cheat: someone lifts the marble to the finish, and holds it there.
        env.board.reset(env.layout.waypoints[-1])
        gained = 0.0
        for _ in range(5):
            _, _, terminated, _, info = env.step(np.zeros(2, np.float32))
            gained += info["reward/progress"]
        assert not info["is_success"]
        assert not terminated
        assert info["progress"] < 0.5
        assert env.route.passed == 0
        # And leaving out a single waypoint is no better.
        env.reset(seed=0)
        skipped = len(env.layout.waypoints) // 2
        for index, waypoint in enumerate(env.layout.waypoints):
            if index != skipped:
                env.board.reset(waypoint)
                _, _, terminated, _, info = env.step(np.zeros(2, np.float32))
        assert env.route.passed == skipped
        assert not info["is_success"]


def test_reward_is_the_sum_of_its_terms(make):
    env = make()
    env.reset(seed=0)
    _, reward, _, _, info = env.step(np.array([1.0, 0.0], np.float32))
    terms = {name: value for name, value in info.items() if name.startswith("reward/")}
    assert set(terms) == {"reward/progress", "reward/finish", "reward/fall", "reward/time", "reward/smoothness"}
    assert reward == pytest.approx(sum(terms.values()))
    assert terms["reward/smoothness"] == pytest.approx(-0.01)
    assert terms["reward/time"] == -0.1
    assert info["time"] == 0.04


@pytest.mark.parametrize("engine", ENGINES)
def test_same_seed_same_bits(make, engine):
    env, fresh = (make(layout="hard-1", engine=engine, render_mode=mode) for mode in (None, "rgb_array"))
    expected = digest(env, 5)
    rng = np.random.default_rng(0)
    for seed in range(10):
        digest(env, seed, random_domain(env, rng))
        assert digest(env, 5) == expected
    assert digest(fresh, 5) == expected
    domain = random_domain(env, rng)
    assert digest(env, 6, domain) == digest(fresh, 6, domain)


@pytest.mark.parametrize("engine", ENGINES)
def test_same_seed_same_bits_in_another_process(make, engine):
    code = (
        "import gymnasium as gym, runpy; names = runpy.run_path(%r); env = gym.make(names['ID'], engine=%r); "
        "print(names['digest'](env, 5, {'marble_radius': 0.007}))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code % (__file__, engine)],
        capture_output=True,
        text=True,
        check=True,
        env=user_environment(),
    )
    assert out.stdout.split()[-1] == digest(make(engine=engine), 5, {"marble_radius": 0.007})


@pytest.mark.parametrize("engine", ENGINES)
def test_domain_is_read_back_from_the_simulator(make, engine):
    env = make(engine=engine)
    rng = np.random.default_rng(0)
    for _ in range(5):
        domain = random_domain(env, rng)
        set_domain(env, domain)
        _, info = env.reset(seed=0)
        assert info["domain"] == pytest.approx(domain)
        assert get_domain(env) == pytest.approx(domain, abs=1e-9)
    env.reset(options={"domain": {"marble_mass": 0.02}})
    assert get_domain(env) == pytest.approx({**domain_space(env).nominal(), "marble_mass": 0.02}, abs=1e-9)
    env.reset()
    assert get_domain(env) == pytest.approx(domain, abs=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_domain_inside_the_bounds_is_safe(make, engine):
    rng = np.random.default_rng(0)
    for layout in ("easy-1", "hard-2"):
        env = make(layout=layout, engine=engine)
        frame = np.array(env.unwrapped.layout.size) / 2
        for episode in range(50):
            env.reset(seed=episode, options={"domain": random_domain(env, rng, corners=True)})
            held = rng.uniform(-1, 1, 2)
            for _ in range(25):
                action = held if episode % 2 else rng.choice([-1.0, 1.0], 2)
                observation, reward, terminated, *_ = env.step(action.astype(np.float32))
                assert env.observation_space.contains(observation)
                assert np.isfinite(reward)
                assert np.all(np.abs(env.unwrapped.board.position) < frame)
                if terminated:
                    break


def test_targets_are_inside_the_bounds_and_the_ladder_leaves_the_range_of_training(make):
    env = make()
    space = domain_space(env)
    targets = read_targets(env.get_wrapper_attr("targets_file"))
    ladder = ["mild", "medium", "hard", "out-of-range", "mujoco"]
    assert list(targets) == [*ladder, "heavy-marble-new-layout", "sticky-servos"]
    outside = {
        name: sum(
            not p.train_range[0] <= value <= p.train_range[1] for n, value in t.domain.items() for p in [space[n]]
        )
        for name, t in targets.items()
    }
    for target in targets.values():
        space.complete(target.domain)
        gym.make(ID, **target.kwargs).close()
    assert outside["mild"] == 0
    assert outside["out-of-range"] >= 5


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"layout": "easy"},
            "unknown layout 'easy'. Known: classic, easy-<number>, hard-<number>, medium-<number>.",
        ),
        ({"observation": "stat"}, "unknown observation 'stat'. Did you mean 'state'? Known: camera, state."),
        (
            {"render_mode": "rgb_arrays"},
            "unknown render_mode 'rgb_arrays'. Did you mean 'rgb_array'? Known: human, rgb_array.",
        ),
        ({"engine": "mujoko"}, "unknown engine 'mujoko'. Did you mean 'mujoco'? Known: mujoco, pybullet."),
        (
            {"layout": "easy-01"},
            "unknown layout 'easy-01'. Known: classic, easy-<number>, hard-<number>, medium-<number>.",
        ),
        (
            {"layout": ["easy-1"]},
            "unknown layout \"['easy-1']\". Known: classic, easy-<number>, hard-<number>, medium-<number>.",
        ),
        ({"physics_dt": 0.008}, "physics_dt = 0.008 s is too coarse for this world in pybullet; at most 0.005 s."),
        (
            {"physics_dt": 0.004, "engine": "mujoco"},
            "physics_dt = 0.004 s is too coarse for this world in mujoco; at most 0.0025 s.",
        ),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(Sim2RealError) as error:
        LabyrinthEnv(**kwargs)
    assert str(error.value) == message


@pytest.mark.skipif(sys.platform != "linux", reason="only X needs DISPLAY")
def test_a_window_without_a_display_is_refused(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    env = LabyrinthEnv(render_mode="human")
    with pytest.raises(Sim2RealError, match="needs a display and there is none; use render_mode 'rgb_array'"):
        env.reset()
    env.close()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros(3), "action has shape (3,); the board needs (2,)."),
        (np.array([0.0, np.nan]), "action board_tilt[1] (channel 1) = nan must be a finite number."),
        (["a", 0], "action ['a', 0] is not a vector of numbers."),
    ],
)
def test_bad_actions_are_named(action, message):
    env = LabyrinthEnv()
    env.reset(seed=0)
    with pytest.raises(Sim2RealError) as error:
        env.step(action)
    assert str(error.value) == message
    env.close()


def test_engines_differ_in_the_plant_alone(make):
    here, there = make(), make(engine="mujoco")
    assert here.observation_space == there.observation_space
    assert here.action_space == there.action_space
    assert domain_space(here) == domain_space(there)
    for name in ("observation_channels", "action_channels"):
        assert here.get_wrapper_attr(name) == there.get_wrapper_attr(name)
    observations = [env.reset(seed=3)[0] for env in (here, there)]
    np.testing.assert_allclose(*observations, atol=1e-7)
    for _ in range(10):
        observations = [env.step(np.array([0.2, -0.3], np.float32))[0] for env in (here, there)]
    assert (observations[0] != observations[1]).any()
    np.testing.assert_allclose(*observations, atol=0.1)


def test_picture_shows_the_finish_and_changes_nothing(make):
    env, blind = make(render_mode="rgb_array"), make()
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (360, 480, 3)
    assert picture.dtype == np.uint8
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    assert 200 < ((green > 1.5 * red) & (green > 1.5 * blue)).sum() < 20000
    blind.reset(seed=0)
    for _ in range(3):
        action = np.full(2, 0.3, np.float32)
        np.testing.assert_array_equal(env.step(action)[0], blind.step(action)[0])
        env.render()
    assert (env.render() != picture).any()  # the board has tilted
    env.close()
    env.close()
