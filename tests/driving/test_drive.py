"""What a user of the driving worlds relies on."""

import hashlib
import math
import os
import pickle
import resource
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from driving_plants import ENGINES, throw
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

import sim2real_envs
from sim2real.domains.contract import domain_space, get_domain, set_domain
from sim2real.domains.targets import read_targets
from sim2real.errors import Sim2RealError
from sim2real_envs.driving.drive import RaceCarEnv, SkidSteerEnv, TrafficEnv
from sim2real_envs.driving.lidar import FIELD_OF_VIEW
from sim2real_envs.driving.racecar import STALL_FORCE, TOP_SPEED
from sim2real_envs.driving.textures import CONTRASTS, PATTERNS, make_patterns
from sim2real_envs.driving.track import LENGTH

IDS = [f"sim2real_envs:sim2real/{name}-v0" for name in ("Drive", "DriveTraffic", "SkidDrive")]
WORLDS = [(env_id, engine) for env_id in IDS for engine in ENGINES]
CLASSES = [RaceCarEnv, TrafficEnv, SkidSteerEnv]


@pytest.fixture
def make():
    envs = []

    def _make(env_id=IDS[0], **kwargs):
        envs.append(gym.make(env_id, **{"tracks": 3, **kwargs}))
        return envs[-1]

    yield _make
    for env in envs:
        env.close()


def digest(env, seed, domain=None, steps=60):
    """Return a hash of all that an episode of random actions shows, bit by bit."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed, options={"domain": domain or {}})
    result = hashlib.sha256(observation.tobytes())
    for _ in range(steps):
        action = rng.uniform(-0.3, 1, env.action_space.shape).astype(np.float32)
        observation, reward, terminated, *_ = env.step(action)
        result.update(observation.tobytes() + np.float64(reward).tobytes())
        if terminated:
            observation, _ = env.reset()
    return result.hexdigest()


def random_domain(env, rng, *, corners=False):
    space = domain_space(env)
    draws = {name: rng.uniform(p.low, p.high) for name, p in space.items()}
    if corners:
        draws = {name: float(rng.choice([p.low, p.high, draws[name]])) for name, p in space.items()}
    return draws


def user_environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


class Pilot:
    """Follow the centre line, which the lidar does not show: what a perfect eye makes possible."""

    def __init__(self, env, speed=1.5, direction=1):
        self.env, self.speed, self.direction = env.unwrapped, speed, direction

    def __call__(self):
        env = self.env
        state, course = env.vehicle.state, env.course
        ahead = course.locate(state.x, state.y) + self.direction * 0.6
        x, y, _ = course.pose(ahead, 0.0)
        bearing = math.atan2(y - state.y, x - state.x) - state.yaw
        bearing = math.atan2(math.sin(bearing), math.cos(bearing))
        steering = math.atan(2 * 0.325 * math.sin(bearing) / 0.6) / 0.5
        return np.array([np.clip(steering, -1, 1), self.speed / 5.0], np.float32)


def turn_round(env):
    """Put the vehicle where it is, facing the other way."""
    state = env.unwrapped.vehicle.state
    env.unwrapped.vehicle.reset(state.x, state.y, state.yaw + math.pi)


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


@pytest.mark.parametrize("engine", ENGINES)
def test_a_lap_is_a_success(make, engine):
    env = make(engine=engine)
    for seed in range(4):
        _, info = env.reset(seed=seed)
        pilot, steps, total = Pilot(env), 0, 0.0
        terminated = truncated = False
        while not (terminated or truncated):
            assert not info["is_success"]
            _, _, terminated, truncated, info = env.step(pilot())
            steps += 1
            total += info["reward/progress"]
        assert terminated
        assert info["is_success"]
        assert info["contacts"] == 0
        assert 1.0 <= info["progress"] < 1.01
        assert total == pytest.approx(info["progress"] * LENGTH)
        assert info["mean_speed"] == pytest.approx(info["progress"] * LENGTH / (0.04 * steps))
        assert 1.2 < info["mean_speed"] < 1.6


@pytest.mark.parametrize("engine", ENGINES)
def test_touching_a_wall_ends_the_episode_without_success(make, engine):
    env = make(engine=engine)
    env.reset(seed=0)
    terminated, info = False, {}
    while not terminated:
        _, _, terminated, truncated, info = env.step(np.array([1.0, 0.5], np.float32))
        assert not truncated
    assert info["contacts"] == 1
    assert info["reward/contact"] == -10.0
    assert not info["is_success"]


def test_a_lap_backwards_is_no_lap(make):
    env = make(tracks=1, difficulty=0.0)
    env.reset(seed=0)
    turn_round(env)
    pilot = Pilot(env, direction=-1)
    for _ in range(749):
        _, _, terminated, _, info = env.step(pilot())
        assert not terminated
        assert not info["is_success"]
    assert info["progress"] < -1.5


def test_to_and_fro_over_the_line_counts_for_nothing(make):
    env = make(tracks=1, difficulty=0.0)
    env.reset(seed=0)
    course = env.unwrapped.course
    at_start = course.locate(env.unwrapped.vehicle.state.x, env.unwrapped.vehicle.state.y)
    for i in range(700):
        _, _, terminated, _, info = env.step(np.array([0.0, 0.4 if i % 20 < 10 else -0.4], np.float32))
        assert abs(info["progress"]) < 0.2
        if terminated:
            break
    gone = (env.unwrapped._along - at_start + 12.0) % 24.0 - 12.0
    assert info["progress"] * LENGTH == pytest.approx(gone, abs=1e-6)


def test_jumping_to_another_stretch_of_the_track_gives_no_lap(make):
    # Progress is counted from where the car was; a car that could jump the wall would gain half a lap at most.
    env = make(tracks=1, difficulty=0.0)
    env.reset(seed=0)
    course, length = env.unwrapped.course, LENGTH
    along = env.unwrapped._along
    x, y, yaw = course.pose(along + 0.6 * length, 0.0)
    env.unwrapped.vehicle.reset(x, y, yaw)
    *_, info = env.step(np.zeros(2, np.float32))
    assert info["progress"] == pytest.approx(-0.4, abs=0.01)


@pytest.mark.parametrize("engine", ENGINES)
def test_lidar_tells_the_distance_of_the_walls_of_a_circle(make, engine):
    env = make(tracks=1, difficulty=0.0, engine=engine)
    env.reset(seed=0)
    core = env.unwrapped
    radius = LENGTH / (2 * math.pi)
    x, y, yaw = core.course.pose(3.0, 0.2)
    core.vehicle.reset(x, y, yaw)
    found = core.sensor.distances(core.vehicle.state)
    state = core.vehicle.state
    ox, oy = (
        x - core.course.origin + core.vehicle.lidar_position * state.cos,
        y + core.vehicle.lidar_position * state.sin,
    )
    for angle, distance in zip(core.sensor.angles + yaw, found, strict=True):
        dx, dy = math.cos(angle), math.sin(angle)
        along, offset = ox * dx + oy * dy, ox * ox + oy * oy
        hits = []
        for wall in (radius - 0.6, radius + 0.6):
            square = along * along - offset + wall * wall
            if square >= 0.0:
                hits += [t for t in (-along - math.sqrt(square), -along + math.sqrt(square)) if t > 0.0]
        nearest = min(hits)
        # The wall is a polygon, within a millimetre of the circle; a grazing beam hits it elsewhere.
        assert distance == pytest.approx(nearest, abs=0.1)
        hit_radius = math.hypot(ox + distance * dx, oy + distance * dy)
        assert min(abs(hit_radius - radius + 0.6), abs(hit_radius - radius - 0.6)) < 2e-3
    assert core.sensor.angles[0] == -FIELD_OF_VIEW / 2  # from right to left


def test_lidar_noise_dropout_and_range(make):
    env = make()
    clean, _ = env.reset(seed=0, options={"domain": {"lidar_noise": 0.0}})
    noisy, _ = env.reset(seed=0, options={"domain": {"lidar_noise": 0.1}})
    assert 0.05 < np.std((noisy - clean)[:32]) < 0.2
    short, _ = env.reset(seed=0, options={"domain": {"lidar_noise": 0.0, "lidar_range": 2.0}})
    np.testing.assert_allclose(short[:32], np.minimum(clean[:32], 2.0), atol=1e-5)
    empty = [env.reset(seed=s, options={"domain": {"lidar_dropout": 0.3}})[0][:32] == 10.0 for s in range(30)]
    assert 0.25 < np.mean(empty) < 0.4
    few = make(rays=16).reset(seed=0, options={"domain": {"lidar_noise": 0.0}})[0]
    np.testing.assert_allclose(few[[0, 15]], clean[[0, 31]], atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_wall_is_touched_where_it_is(make, engine):
    env = make(tracks=1, difficulty=0.0, engine=engine)
    core = env.unwrapped
    env.reset(seed=0)
    for aside, touches in ((0.6 - 0.125 - 0.03, False), (0.6 - 0.125 + 0.01, True)):
        core.vehicle.reset(*core.course.pose(3.0, aside))
        assert core.vehicle.step([0.0, 0.0], 1.0) is touches


def test_less_grip_on_patches_only(make):
    env = make(tracks=1)
    env.reset(seed=0, options={"domain": {"grip_patches": 0.5}})
    course = env.unwrapped.course
    grips = np.array([course.grip(s) for s in np.arange(0.0, LENGTH, 0.01)])
    assert set(grips) == {0.5, 1.0}
    assert np.mean(grips == 0.5) == pytest.approx(0.2, abs=0.01)
    assert len(course.patches()) == 4
    env.reset(seed=0)
    assert course.grip(course._patch_starts[0]) == 1.0
    assert course.patches() == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_car_rolls_down_the_slope(make, engine):
    env = make(engine=engine)
    env.reset(seed=0, options={"domain": {"slope": 0.1}})
    core = env.unwrapped
    core.vehicle.reset(core.course.pose(0.0, 0.0)[0], core.course.pose(0.0, 0.0)[1], 0.0)
    for _ in range(5):
        core.vehicle.step([0.0, 0.0], 1.0)
    # Against the back voltage of its motor; wheels that are simulated have to be spun up, too.
    axles, mass = core.vehicle.axles, core.vehicle.nominal_mass
    inertia = mass + (4 * axles.spin_inertia / axles.radius**2 if engine == "mujoco" else 0.0)
    lag = inertia * TOP_SPEED / STALL_FORCE
    expected = mass * 9.81 * math.sin(0.1) * TOP_SPEED / STALL_FORCE * -math.expm1(-0.2 / lag)
    assert core.vehicle.state.forward == pytest.approx(expected, rel=0.03)


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
        "import gymnasium as gym, runpy; names = runpy.run_path(%r); env = gym.make(names['IDS'][1], tracks=3); "
        "print(names['digest'](env, 5, {'mass': 1.3}))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code % __file__], capture_output=True, text=True, check=True, env=user_environment()
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


@pytest.mark.parametrize(("env_id", "engine"), WORLDS)
def test_nobody_gets_through_a_wall(make, env_id, engine):
    env = make(env_id, difficulty=1.0, engine=engine)
    core = env.unwrapped
    half = core.course.track.width / 2
    rng = np.random.default_rng(0)
    for seed in range(40):
        env.reset(seed=seed)
        core.vehicle.reset(*core.course.pose(core._along, 0.0)[:2], rng.uniform(-math.pi, math.pi))
        throw(core.plant, 5.0)
        terminated = False
        while not terminated:
            *_, terminated, _, _ = env.step(np.full(2, 0.5 + rng.uniform(0.0, 0.5), np.float32))
        state = core.vehicle.state
        gaps = np.linalg.norm(core.course.track.points - [state.x - core.course.origin, state.y], axis=1)
        assert gaps.min() < half - 0.08


@pytest.mark.parametrize("engine", ENGINES)
def test_resets_leave_the_memory_as_it_was(make, engine):
    env = make(IDS[1], engine=engine)
    for seed in range(300):
        env.reset(seed=seed, options={"domain": {"mass": 1.0 + 0.001 * (seed % 100)}})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1500):
        env.reset(options={"domain": {"mass": 1.0 + 0.001 * (seed % 100)}})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2000  # [kB]


def test_traffic_leaves_room_and_moves_on(make):
    env = make(IDS[1], cars=3, obstacles=2)
    for seed in range(5):
        env.reset(seed=seed, options={"domain": {"traffic_speed": 1.0}})
        core = env.unwrapped
        before = np.array(core.traffic.poses)
        state = core.vehicle.state
        assert np.linalg.norm(before[:, :2] - [state.x, state.y], axis=1).min() > 1.0
        for _ in range(5):
            env.step(np.zeros(2, np.float32))
        moved = np.linalg.norm((np.array(core.traffic.poses) - before)[:, :2], axis=1)
        assert (moved[:3] > 0.1).all()
        assert (moved[:3] < 0.35).all()  # 0.2 s at 1 m/s on the centre line
        assert (moved[3:] == 0.0).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_running_into_a_box_ends_the_episode(make, engine):
    env = make(IDS[1], cars=0, obstacles=1, engine=engine)
    env.reset(seed=0)
    core = env.unwrapped
    x, y, yaw = core.traffic.poses[0]
    core.vehicle.reset(x - 0.5 * math.cos(yaw), y - 0.5 * math.sin(yaw), yaw)
    scan = core.sensor.distances(core.vehicle.state)
    assert scan[15:17].max() == pytest.approx(0.5 - 0.1025 - 0.1, abs=0.02)
    info, terminated = {}, False
    while not terminated:
        _, _, terminated, _, info = env.step(np.array([0.0, 0.3], np.float32))
    assert info["contacts"] == 1


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


@pytest.mark.parametrize("env_id", IDS)
def test_picture_shows_the_track_and_changes_nothing(make, env_id):
    env, blind = make(env_id, render_mode="rgb_array"), make(env_id)
    env.reset(seed=0, options={"domain": {"grip_patches": 0.5}})
    picture = env.render()
    assert picture.shape == (360, 480, 3)
    assert picture.dtype == np.uint8
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    grey = (abs(red - green) < 12) & (abs(green - blue) < 12) & (red < 120)
    assert grey.mean() > 0.1  # the road
    assert ((red > 1.8 * green) & (red > 1.8 * blue)).mean() > 0.01  # the walls
    blind.reset(seed=0, options={"domain": {"grip_patches": 0.5}})
    for _ in range(3):
        action = np.full(2, 0.3, np.float32)
        np.testing.assert_array_equal(env.step(action)[0], blind.step(action)[0])
        env.render()
    env.close()
    env.close()


@pytest.mark.parametrize("env_id", IDS)
def test_camera_sees_the_track(make, env_id):
    env = make(env_id, observation="camera")
    assert env.observation_space["image"].shape == (84, 84, 3)
    usual, _ = env.reset(seed=0)
    again, _ = env.reset(seed=0)
    np.testing.assert_array_equal(usual["image"], again["image"])
    red, green, blue = usual["image"].astype(int).transpose(2, 0, 1)
    assert ((abs(red - green) < 12) & (abs(green - blue) < 12) & (red < 120)).mean() > 0.15  # the road
    assert ((red > 1.8 * green) & (red > 1.8 * blue)).mean() > 0.005  # the walls
    assert "lidar_noise" not in domain_space(env)
    names = [channel.name for channel in env.get_wrapper_attr("observation_channels")]
    assert names[0] == "speed"
    env.step(np.zeros(2, np.float32))
    env.close()
    env.close()


def test_the_pose_of_the_camera_shifts_the_picture(make):
    env = make(observation="camera")
    usual = env.reset(seed=0)[0]["image"].astype(int)

    def sky(picture):
        return (picture.min(axis=2) == 255).mean(axis=0)  # how much of every column it fills

    down = env.reset(seed=0, options={"domain": {"camera_pitch": 0.4}})[0]["image"]
    assert (sky(down) < sky(usual) - 0.05).all()
    low, high = (env.reset(seed=0, options={"domain": {"camera_height": h}})[0]["image"] for h in (0.15, 0.4))
    assert (low != high).any(axis=2).mean() > 0.1
    # Half a field of view is 42 columns; what is straight ahead of a camera turned left lies to the right.
    left = env.reset(seed=0, options={"domain": {"camera_yaw": 0.2, "camera_pitch": 0.0}})[0]["image"].astype(int)
    straight = env.reset(seed=0, options={"domain": {"camera_pitch": 0.0}})[0]["image"].astype(int)
    shift = round(42 * math.tan(0.2))
    assert abs(left[:, 42 + shift] - straight[:, 42]).mean() < abs(left[:, 42] - straight[:, 42]).mean()


def test_looks_vary_in_colour_pattern_and_light(make):
    env = make(observation="camera", tracks=1)

    def look(seed, variation):
        return env.reset(seed=seed, options={"domain": {"look_variation": variation}})[0]["image"]

    np.testing.assert_array_equal(look(3, 1.0), look(3, 1.0))
    for seed in range(5):
        assert (look(seed, 0.0) != look(seed, 1.0)).any(axis=2).mean() > 0.4
    usual = {tuple(pixel) for seed in range(8) for pixel in look(seed, 0.0)[70]}
    varied = {tuple(pixel) for seed in range(8) for pixel in look(seed, 1.0)[70]}
    assert len(usual) < 12  # a plain road
    assert len(varied) > 24  # roads of many colours, some of them with patterns


def test_a_picture_shows_only_the_track_of_the_episode(make):
    one = make(observation="camera", tracks=3)
    other = make(observation="camera", tracks=3)
    for seed in range(10):  # until all tracks have been seen
        one.reset(seed=seed)
    np.testing.assert_array_equal(one.reset(seed=4)[0]["image"], other.reset(seed=4)[0]["image"])


def test_textures_go_from_plain_to_strong():
    patterns = make_patterns()
    assert patterns.shape[0] == PATTERNS
    assert CONTRASTS[0] == 0.0
    assert 0.0 <= patterns.min() <= patterns.max() <= 1.0
    assert all(abs(pattern.mean() - 0.5) < 0.15 for pattern in patterns)


def test_a_camera_sees_what_is_in_front(make):
    env = make(IDS[1], observation="camera", cars=0, obstacles=1)
    env.reset(seed=0)
    core = env.unwrapped
    x, y, yaw = core.traffic.poses[0]
    core.vehicle.reset(x - 0.6 * math.cos(yaw), y - 0.6 * math.sin(yaw), yaw)
    picture = core.sensor.picture(core.vehicle.state).astype(int)
    orange = (picture[..., 0] > 1.3 * picture[..., 1]) & (picture[..., 1] > 2 * picture[..., 2])
    rows, columns = np.nonzero(orange)
    assert orange.sum() > 50
    assert abs(columns.mean() - 41.5) < 3  # straight ahead
    assert rows.mean() > 42 - 20
