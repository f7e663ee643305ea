"""A marble on a board against closed forms, and against walls."""

import math
import os
import subprocess
import sys

import numpy as np
import pybullet as p
import pytest

from sim2real_envs.labyrinth.board import DRIVE_STIFFNESS, MAX_TILT, WALL_HEIGHT, Board
from sim2real_envs.labyrinth.domain import LABYRINTH_DOMAIN
from sim2real_envs.labyrinth.layout import WALL_THICKNESS, parse_layout
from sim2real_envs.simulation import GRAVITY, Simulation

DT = 0.04
# Servos that obey at once, and a board that does not bend.
IDEAL = {"servo_lag": 0.0, "servo_backlash": 0.0, "rolling_friction": 0.0}

OPEN = parse_layout(
    {
        "size": [1.0, 0.4],
        "start": [0.0, 0.0],
        "waypoints": [[0.1, 0.0]],
        "walls": [[0.2, -0.2, 0.2, 0.2]],
        "holes": [[0.0, 0.1], [0.0, -0.1]],
    },
    "open",
)


@pytest.fixture
def make():
    simulations = []

    def _make(layout=OPEN, **domain):
        simulations.append(Simulation(control_dt=DT, physics_dt=0.004))
        board = Board(simulations[-1], layout)
        board.set_domain(LABYRINTH_DOMAIN.complete({**IDEAL, **domain}))
        return board

    yield _make
    for simulation in simulations:
        simulation.close()


def bend(mass=0.007):
    return mass * GRAVITY / DRIVE_STIFFNESS


@pytest.mark.parametrize("radius", [0.0045, 0.006, 0.0075])
@pytest.mark.parametrize("mass", [0.001, 0.035])
@pytest.mark.parametrize("tilt", [0.02, -0.1])
def test_a_ball_rolls_down_with_five_sevenths_of_gravity(make, radius, mass, tilt):
    board = make(marble_radius=radius, marble_mass=mass, board_warp=max(-0.3, -bend(mass)))
    board.reset((0.0, 0.0))
    for _ in range(5):
        board.step(tilt, 0.0)
    rest = bend(mass) + max(-0.3, -bend(mass))  # what of the bend the bowl does not cancel
    expected = 5 / 7 * GRAVITY * math.sin(tilt) * 5 * DT
    assert board.velocity[0] == pytest.approx(expected, rel=1e-3 + 0.5 * rest)
    assert board.velocity[1] == pytest.approx(0.0, abs=1e-9)
    spin = p.getBaseVelocity(board._marble, board._client)[1]
    assert spin[1] * radius == pytest.approx(board.velocity[0], rel=0.01)  # it does not slip


def test_without_grip_it_slides_with_less_than_that_left_to_friction(make):
    board = make(sliding_friction=0.02, board_warp=-bend())
    board.reset((0.0, 0.0))
    for _ in range(5):
        board.step(0.1, 0.0)
    # Rolling would need a friction of 2/7 tan(0.1) = 0.029.
    expected = GRAVITY * (math.sin(0.1) - 0.02 * math.cos(0.1)) * 5 * DT
    assert board.velocity[0] == pytest.approx(expected, rel=0.01)


def test_rolling_friction_slows_it_down(make):
    board = make(rolling_friction=0.02, board_warp=-bend())
    board.reset((-0.1, 0.0), (0.2, 0.0))
    for _ in range(10):
        board.step(0.0, 0.0)
    assert 0.2 - board.velocity[0] == pytest.approx(5 / 7 * 0.02 * GRAVITY * 10 * DT, rel=1e-3)


def test_rolling_friction_holds_it_on_a_slope_below(make):
    board = make(rolling_friction=0.02, board_warp=-bend())
    for tilt, moves in ((0.018, False), (0.022, True)):
        board.reset((0.0, 0.0))
        for _ in range(25):
            board.step(tilt, 0.0)
        assert (board.position[0] > 1e-4) is moves


def test_the_bias_of_a_servo_is_a_slope(make):
    board = make(servo_bias_y=0.03, board_warp=-bend())
    board.reset((0.0, 0.0))
    for _ in range(5):
        board.step(0.0, -0.03)
    assert board.velocity == pytest.approx((0.0, 0.0), abs=1e-6)
    board.step(0.0, 0.0)
    assert board.velocity[1] == pytest.approx(5 / 7 * GRAVITY * math.sin(0.03) * DT, rel=5e-3)


@pytest.mark.parametrize(("warp", "mass"), [(0.3, 0.001), (-0.3, 0.001), (0.0, 0.035)])
def test_warp_and_weight_bend_the_board_in_proportion_to_the_distance(make, warp, mass):
    board = make(board_warp=warp, marble_mass=mass)
    board.reset((0.0, 0.1))
    board.step(0.0, 0.0)
    slope = (warp + bend(mass)) * 0.1
    assert board.velocity[1] == pytest.approx(5 / 7 * GRAVITY * math.sin(slope) * DT, rel=2e-3)


@pytest.mark.parametrize("radius", [0.0045, 0.006, 0.0075])
def test_it_comes_to_rest_a_radius_from_the_wall(make, radius):
    board = make(marble_radius=radius, restitution=0.0)
    board.reset((0.15, 0.0))
    for _ in range(50):
        board.step(0.05, 0.0)
    assert board.position[0] == pytest.approx(0.2 - WALL_THICKNESS / 2 - radius, abs=1e-4)
    assert board.height == pytest.approx(radius, abs=1e-4)


@pytest.mark.parametrize("restitution", [0.0, 0.4, 0.8])
def test_it_bounces_back_as_restitution_says(make, restitution):
    # Sliding without spin on a board of almost no grip: the wall alone acts.
    board = make(restitution=restitution, sliding_friction=0.02, board_warp=-bend())
    board.reset((0.17, 0.0), (0.3, 0.0))
    p.resetBaseVelocity(board._marble, (0.3, 0.0, 0.0), (0.0, 0.0, 0.0), physicsClientId=board._client)
    board.step(0.0, 0.0)
    board.step(0.0, 0.0)
    assert -board.velocity[0] == pytest.approx(0.3 * restitution, abs=0.03)


def extremes(rng):
    """Return a corner of the domain space, more often than not with the largest tilt."""
    domain = {name: float(rng.choice([q.low, q.high])) for name, q in LABYRINTH_DOMAIN.items()}
    return {**domain, "servo_gain": 1.6} if rng.random() < 0.7 else domain


@pytest.mark.parametrize("name", ["easy-1", "hard-1", "classic"])
def test_no_marble_goes_through_a_wall(name):
    from sim2real_envs.labyrinth.catalogue import find_layout

    layout = find_layout(name)
    boxes = np.array(
        [
            [(a + c) / 2, (b + d) / 2, (c - a + WALL_THICKNESS) / 2, (d - b + WALL_THICKNESS) / 2]
            for a, b, c, d in (*layout.frame, *layout.walls)
        ]
    )
    rng = np.random.default_rng(0)
    simulation = Simulation(control_dt=DT, physics_dt=0.004)
    board = Board(simulation, layout)
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
                assert board.height < 0.7 * WALL_HEIGHT
    simulation.close()


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


def test_ten_thousand_marbles_take_no_memory():
    code = """
import resource
from sim2real_envs.labyrinth.env import LabyrinthEnv
env = LabyrinthEnv()
def run(n):
    for i in range(n):
        env.reset(options={"domain": {"marble_radius": 0.005 + 2e-7 * i, "marble_mass": 0.005 + 1e-6 * i}})
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(run(500), run(10000))
"""
    path = os.pathsep.join(path for path in sys.path if path)
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    before, after = map(int, out.stdout.split())
    assert after - before < 1000  # kB
