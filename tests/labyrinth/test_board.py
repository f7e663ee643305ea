"""A marble on a board, in every engine, against closed forms and against walls."""

import importlib.util
import math
import os
import subprocess
import sys

import numpy as np
import pybullet as p
import pytest

from sim2real.errors import Sim2RealError
from sim2real_envs.engines import ENGINES
from sim2real_envs.labyrinth.board import DRIVE_STIFFNESS, MAX_TILT, WALL_HEIGHT, make_board
from sim2real_envs.labyrinth.domain import LABYRINTH_DOMAIN
from sim2real_envs.labyrinth.layout import WALL_THICKNESS, parse_layout
from sim2real_envs.simulation import GRAVITY

DT = 0.04
# Servos that obey at once, and a marble that rolls for ever.
IDEAL = {"servo_lag": 0.0, "servo_backlash": 0.0, "rolling_friction": 0.0}
# In MuJoCo the board that the marble rolls on gives way and swings a little, and contacts are soft.
TOLERANCE = {"pybullet": 0.01, "mujoco": 0.04}

OPEN = parse_layout(
    {
        "size": [0.5, 0.24],
        "start": [0.0, 0.0],
        "waypoints": [[0.1, 0.0]],
        "walls": [[0.2, -0.12, 0.2, 0.12]],
        "holes": [[0.0, 0.1], [0.0, -0.1]],
    },
    "open",
)


@pytest.fixture
def make():
    boards = []

    def _make(engine, layout=OPEN, **domain):
        boards.append(make_board(engine, layout, control_dt=DT))
        boards[-1].set_domain(LABYRINTH_DOMAIN.complete({**IDEAL, **domain}))
        return boards[-1]

    yield _make
    for board in boards:
        board.simulation.close()


def bend(mass=0.007):
    return mass * GRAVITY / DRIVE_STIFFNESS


def stop_spin(board, speed):
    """Let the marble slide along x without turning."""
    if hasattr(board, "_client"):
        p.resetBaseVelocity(board._marble, (speed, 0.0, 0.0), (0.0, 0.0, 0.0), physicsClientId=board._client)
    else:
        board._velocity[:] = (0.0, 0.0, speed, 0.0, 0.0, 0.0, 0.0, 0.0)


def gather_speed(board, tilt, start=-0.1):
    """Return the gain of speed over two tenths of a second on a board that has come to rest at a tilt."""
    board.reset((start, 0.0))
    for _ in range(10):
        board.step(tilt, 0.0)
    before = board.velocity[0]
    for _ in range(5):
        board.step(tilt, 0.0)
    return board.velocity[0] - before


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("radius", [0.0045, 0.006, 0.0075])
@pytest.mark.parametrize("mass", [0.001, 0.007])
def test_a_ball_rolls_down_with_five_sevenths_of_gravity(make, engine, radius, mass):
    board = make(engine, marble_radius=radius, marble_mass=mass, board_warp=-bend(mass))  # a bowl as deep as the bend
    gained = gather_speed(board, 0.05, start=-0.05)
    assert gained == pytest.approx(5 / 7 * GRAVITY * math.sin(0.05) * 5 * DT, rel=TOLERANCE[engine])
    assert board.velocity[1] == pytest.approx(0.0, abs=1e-9)
    spin = spin_about_y(board)
    assert spin * radius == pytest.approx(board.velocity[0], rel=0.02)  # it does not slip


def spin_about_y(board):
    if hasattr(board, "_client"):
        return p.getBaseVelocity(board._marble, board._client)[1][1]
    # MuJoCo counts the spin in the axes of the ball, which has turned about y alone.
    return board._velocity[6]


@pytest.mark.parametrize("engine", ENGINES)
def test_without_grip_it_slides_with_less_than_that_left_to_friction(make, engine):
    board = make(engine, sliding_friction=0.02, board_warp=-bend())
    gained = gather_speed(board, 0.1, start=-0.2)
    # Rolling would need a friction of 2/7 tan(0.1) = 0.029.
    assert gained == pytest.approx(GRAVITY * (math.sin(0.1) - 0.02 * math.cos(0.1)) * 5 * DT, rel=TOLERANCE[engine])
    assert spin_about_y(board) * 0.006 < 0.8 * board.velocity[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_rolling_friction_slows_it_down(make, engine):
    board = make(engine, rolling_friction=0.02, board_warp=-bend())
    board.reset((-0.1, 0.0), (0.2, 0.0))
    for _ in range(10):
        board.step(0.0, 0.0)
    expected = 5 / 7 * 0.02 * GRAVITY * 10 * DT
    assert 0.2 - board.velocity[0] == pytest.approx(expected, rel={"pybullet": 1e-3, "mujoco": 0.1}[engine])


@pytest.mark.parametrize("engine", ENGINES)
def test_rolling_friction_holds_it_on_a_slope_below(make, engine):
    board = make(engine, rolling_friction=0.02, board_warp=-bend())
    for tilt, moves in ((0.015, False), (0.025, True)):
        board.reset((0.0, 0.0))
        for _ in range(25):
            board.step(tilt, 0.0)
        assert (abs(board.position[0]) > 1e-3) is moves


@pytest.mark.parametrize("engine", ENGINES)
def test_the_bias_of_a_servo_is_a_slope(make, engine):
    board = make(engine, servo_bias_y=0.03, board_warp=-bend())
    board.reset((0.0, 0.0))
    assert board.slopes == pytest.approx((0.0, 0.03))
    board.step(0.0, 0.0)
    assert board.velocity[1] == pytest.approx(5 / 7 * GRAVITY * math.sin(0.03) * DT, rel=0.02)
    board.reset((0.0, 0.0))
    for _ in range(10):
        board.step(0.0, -0.03)
    assert board.slopes == pytest.approx((0.0, 0.0), abs=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_positive_slopes_make_it_roll_to_where_the_axes_point(make, engine):
    board = make(engine)
    for command in ((0.03, 0.0), (-0.03, 0.0), (0.0, 0.03), (0.0, -0.03)):
        board.reset((0.0, 0.0))
        for _ in range(8):
            board.step(*command)
        assert np.sign(np.round(board.velocity, 3)).tolist() == np.sign(command).tolist()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("warp", "mass"), [(0.3, 0.001), (-0.3, 0.001), (0.0, 0.035)])
def test_warp_and_weight_bend_the_board_in_proportion_to_the_distance(make, engine, warp, mass):
    board = make(engine, board_warp=warp, marble_mass=mass)
    place = 0.08
    board.reset((0.0, place))
    speeds = []
    for _ in range(6):
        speeds.append(board.velocity[1])
        place = board.position[1]
        board.step(0.0, 0.0)
    gained = board.velocity[1] - speeds[-1]
    slope = (warp + bend(mass)) * 0.5 * (place + board.position[1])
    # The plate of MuJoCo bends with a swing.
    tolerance = {"pybullet": 0.02, "mujoco": 0.15}[engine]
    assert gained == pytest.approx(5 / 7 * GRAVITY * math.sin(slope) * DT, rel=tolerance)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("radius", [0.0045, 0.006, 0.0075])
def test_it_comes_to_rest_a_radius_from_the_wall(make, engine, radius):
    board = make(engine, marble_radius=radius, restitution=0.0)
    board.reset((0.15, 0.0))
    for _ in range(50):
        board.step(0.05, 0.0)
    assert board.position[0] == pytest.approx(0.2 - WALL_THICKNESS / 2 - radius, abs=1e-4)
    assert board.height == pytest.approx(radius, abs=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("restitution", [0.0, 0.4, 0.8])
def test_it_bounces_back_as_restitution_says(make, engine, restitution):
    # Sliding without spin on a board of almost no grip: the wall alone acts. Over several phases of the contact.
    board = make(engine, restitution=restitution, sliding_friction=0.02, board_warp=-bend())
    shares = []
    for start in np.linspace(0.17, 0.171, 6).tolist():
        board.reset((start, 0.0))
        stop_spin(board, 0.4)
        board.step(0.0, 0.0)
        board.step(0.0, 0.0)
        shares.append(-board.velocity[0] / 0.4)
    # A spring that only pushes gives back exp(-2) of the speed even when it is critically damped.
    assert np.mean(shares) == pytest.approx(restitution, abs={"pybullet": 0.05, "mujoco": 0.14}[engine])


def extremes(rng):
    """Return a corner of the domain space, more often than not with the largest tilt."""
    domain = {name: float(rng.choice([q.low, q.high])) for name, q in LABYRINTH_DOMAIN.items()}
    return {**domain, "servo_gain": 1.6} if rng.random() < 0.7 else domain


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["easy-1", "hard-1", "classic"])
def test_no_marble_goes_through_a_wall(engine, name):
    from sim2real_envs.labyrinth.catalogue import find_layout

    layout = find_layout(name)
    boxes = np.array(
        [
            [(a + c) / 2, (b + d) / 2, (c - a + WALL_THICKNESS) / 2, (d - b + WALL_THICKNESS) / 2]
            for a, b, c, d in (*layout.frame, *layout.walls)
        ]
    )
    rng = np.random.default_rng(0)
    board = make_board(engine, layout, control_dt=DT)
    cells = [(x, y) for x in np.arange(-0.11, 0.12, 0.01) for y in np.arange(-0.09, 0.1, 0.01)]
    for _ in range(60):
        domain = LABYRINTH_DOMAIN.complete(extremes(rng))
        board.set_domain(domain)
        radius = domain["marble_radius"]
        free = [c for c in cells if np.all(np.abs(c) < np.array(layout.size) / 2) and gap(boxes, c) > radius]
        # Sliding down the whole board at the largest slope, 0.3 rad, takes a marble to 1.25 m/s.
        speed = 1.5
        for direction in rng.uniform(0.0, 2 * math.pi, 2):
            heading = np.array([math.cos(direction), math.sin(direction)])
            board.reset(free[rng.integers(len(free))], tuple((speed * heading).tolist()))
            for _ in range(12):
                before = board.position
                board.step(*(MAX_TILT * np.sign(heading)).tolist())
                assert gap(boxes, board.position) > -0.3 * WALL_THICKNESS  # short of the middle of the wall
                assert not crosses(layout, before, board.position)
                assert board.height < WALL_HEIGHT
    board.simulation.close()


def gap(boxes, point):
    """Return the distance of a point from the nearest of boxes (x, y, half x, half y), negative inside."""
    out = np.abs(np.array(point) - boxes[:, :2]) - boxes[:, 2:]
    return float(np.min(np.linalg.norm(np.maximum(out, 0.0), axis=1) + np.minimum(out.max(axis=1), 0.0)))


def crosses(layout, a, b):
    """Return whether the straight way from a to b crosses the middle line of a wall."""
    for x0, y0, x1, y1 in (*layout.frame, *layout.walls):
        axis, at, low, high = (0, x0, y0, y1) if x0 == x1 else (1, y0, x0, x1)
        if (a[axis] - at) * (b[axis] - at) < 0.0:
            share = (at - a[axis]) / (b[axis] - a[axis])
            along = a[1 - axis] + share * (b[1 - axis] - a[1 - axis])
            if low <= along <= high:
                return True
    return False


@pytest.mark.parametrize("engine", ENGINES)
def test_ten_thousand_marbles_take_no_memory(engine):
    code = f"""
import resource
from sim2real_envs.labyrinth.env import LabyrinthEnv
env = LabyrinthEnv(engine={engine!r})
def run(n):
    for i in range(n):
        env.reset(options={{"domain": {{"marble_radius": 0.005 + 2e-7 * i, "marble_mass": 0.005 + 1e-6 * i}}}})
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(run(500), run(10000))
"""
    path = os.pathsep.join(path for path in sys.path if path)
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    before, after = map(int, out.stdout.split())
    assert after - before < 1000  # kB


def test_an_engine_is_imported_only_when_it_is_asked_for():
    code = (
        "import sys; from sim2real_envs.labyrinth.env import LabyrinthEnv; LabyrinthEnv(); "
        "assert 'mujoco' not in sys.modules; LabyrinthEnv(engine='mujoco'); assert 'mujoco' in sys.modules"
    )
    path = os.pathsep.join(path for path in sys.path if path)
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})


def test_an_engine_that_is_unknown_or_missing_is_named(monkeypatch):
    with pytest.raises(Sim2RealError) as error:
        make_board("bullet", OPEN, control_dt=DT)
    assert str(error.value) == "unknown engine 'bullet'. Did you mean 'pybullet'? Known: mujoco, pybullet."
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Sim2RealError) as error:
        make_board("mujoco", OPEN, control_dt=DT)
    assert str(error.value) == "engine 'mujoco' is not installed; install it with: pip install 'sim2real[mujoco]'."
