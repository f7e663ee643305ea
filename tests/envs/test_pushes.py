"""Pushes: what moves is pushed by an impulse, alike in both engines."""

from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest

import sim2real_envs  # noqa: F401 - registers the worlds
from sim2real_envs.engines import ENGINES

IDS = sorted(env_id for env_id in gym.registry if env_id.startswith("sim2real/"))


def place(env):
    """Return where what is pushed stands."""
    world = env.unwrapped
    if hasattr(world, "robot"):
        return world.robot.state.position.copy()
    if hasattr(world, "board"):
        return np.array(world.board.position)
    return np.array([world.plant.state.x, world.plant.state.y])


def way(env_id, engine, impulse, steps=6):
    """Return by how much the way of what is pushed before the third step differs from that of what is not."""
    ways = []
    for pushed in (False, True):
        with closing(gym.make(env_id, engine=engine)) as env:
            env.reset(seed=0)
            found = []
            for step in range(steps):
                if pushed and step == 2:
                    env.unwrapped.push(np.asarray(impulse) * env.unwrapped.push_space.high)
                env.step(np.zeros(env.action_space.shape, np.float32))
                found.append(place(env))
            ways.append(np.array(found))
    return ways[1] - ways[0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("env_id", IDS)
def test_what_is_pushed_goes_where_it_is_pushed_to(env_id, engine):
    with closing(gym.make(env_id, engine=engine)) as env:
        size = env.unwrapped.push_space.shape[0]
    direction = np.eye(size)[0]
    moved = way(env_id, engine, direction)
    assert (moved[:2] == 0.0).all()
    assert moved[3] @ direction > 1e-3
    np.testing.assert_array_equal(way(env_id, engine, np.zeros(size)), np.zeros_like(moved))
    assert np.isfinite(way(env_id, engine, -np.ones(size))).all()


@pytest.mark.parametrize("env_id", ["sim2real/PandaReach-v0", "sim2real/Drive-v0", "sim2real/Labyrinth-v0"])
def test_both_engines_are_pushed_alike(env_id):
    for side in (1.0, -1.0):
        direction = side * np.eye(3 if "Panda" in env_id else 2)[0]
        one, other = (way(env_id, engine, direction)[3] @ direction for engine in ENGINES)
        assert one == pytest.approx(other, rel=0.3)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_vehicle_and_a_marble_get_the_impulse_over_their_mass(engine):
    with closing(gym.make("sim2real/Drive-v0", engine=engine)) as env:
        env.reset(seed=0, options={"domain": {"mass": 1.5}})
        world = env.unwrapped
        before = np.array([world.plant.state.forward, world.plant.state.left])
        world.push(np.array([3.0, 0.0]))
        state = world.plant.state
        gained = np.array([state.forward, state.left]) - before
        mass = 1.5 * world.vehicle.nominal_mass
        np.testing.assert_allclose(gained, [3.0 / mass * state.cos, -3.0 / mass * state.sin], rtol=1e-6)
    with closing(gym.make("sim2real/Labyrinth-v0", engine=engine)) as env:
        env.reset(seed=0, options={"domain": {"marble_mass": 0.01}})
        board = env.unwrapped.board
        before = np.array(board.velocity)
        env.unwrapped.push(np.array([0.001, -0.002]))
        np.testing.assert_allclose(np.array(board.velocity) - before, [0.1, -0.2], rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_arm_gives_way_by_its_stiffness_for_one_step(engine):
    def moved(stiffness):
        with closing(gym.make("sim2real/PandaReach-v0", engine=engine)) as env:
            env.reset(seed=0, options={"domain": {"servo_stiffness": stiffness, "joint_friction": 0.0}})
            joints = env.unwrapped.robot.state.joint_position
            env.unwrapped.push(np.array([0.5, 0.0, 0.0]))
            env.step(np.zeros(3, np.float32))
            return env.unwrapped.robot.state.joint_position - joints

    soft, stiff = moved(0.5), moved(2.0)
    assert np.abs(soft).max() == pytest.approx(4.0 * np.abs(stiff).max(), rel=0.2)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_reset_forgets_a_push(engine):
    with closing(gym.make("sim2real/PandaReach-v0", engine=engine)) as env:
        first = env.reset(seed=0)[0]
        expected = env.step(np.zeros(3, np.float32))[0]
        env.unwrapped.push(np.array([2.0, 0.0, 0.0]))
        np.testing.assert_array_equal(env.reset(seed=0)[0], first)
        np.testing.assert_array_equal(env.step(np.zeros(3, np.float32))[0], expected)
