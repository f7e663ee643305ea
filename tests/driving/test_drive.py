"""Driving on a track: laps, walls, lidar, grip and slopes, and what else is on the road."""

import math

import numpy as np
import pytest
from driving_envs import IDS, WORLDS
from driving_plants import ENGINES, throw

from sim2real_envs.driving.lidar import FIELD_OF_VIEW
from sim2real_envs.driving.racecar import STALL_FORCE, TOP_SPEED
from sim2real_envs.driving.track import LENGTH


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
