"""The cube and the table against closed forms, in each engine: its size, how it slides and how it bounces."""

import math

import numpy as np
import pytest

from sim2real_envs.arm.cell import build_cell
from sim2real_envs.arm.domain import PUSH_DOMAIN
from sim2real_envs.arm.robots.panda import PANDA
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.engines import ENGINES

HOME = np.array(PANDA.home)  # the hand is far from where the cube is tried out


@pytest.fixture(params=ENGINES)
def cell(request):
    cell = build_cell(request.param, PANDA, hand="closed", with_cube=True, control_dt=0.004)
    yield cell
    cell.simulation.close()


@pytest.fixture
def bullet():
    cell = build_cell("pybullet", PANDA, hand="closed", with_cube=True, control_dt=0.004)
    yield cell
    cell.simulation.close()


def place(cell, x=0.3, y=0.25, yaw=0.0, lift=0.0, **domain):
    """Put a cube with a domain somewhere, the arm at home."""
    cell.cube.set_domain({**PUSH_DOMAIN.nominal(), **domain})
    cell.arm.reset(HOME)
    cell.arm.drive(HOME)
    cell.cube.place(x, y, yaw)
    if lift:
        cell.cube._place((x, y, cell.cube.size / 2 + lift), (0.0, 0.0, 0.0, 1.0))


def run(cell, seconds):
    """Let time pass; return the largest upward velocity of the cube [m/s]."""
    fastest = 0.0
    for _ in range(round(seconds / cell.simulation.control_dt)):
        cell.simulation.step()
        cell.cube.measure()
        fastest = max(fastest, cell.cube.velocity[2])
    return fastest


@pytest.mark.parametrize("size", [0.036, 0.045, 0.056])
def test_the_cube_rests_on_the_table_at_half_its_size(cell, size):
    place(cell, 0.3, 0.25, 0.3, object_size=size)
    run(cell, 2.0)
    np.testing.assert_allclose(cell.cube.position, [0.3, 0.25, size / 2], atol=5e-4)
    np.testing.assert_allclose(np.abs(cell.cube.velocity), 0.0, atol=0.01)


@pytest.mark.parametrize("size", [0.036, 0.056])
def test_the_cube_is_as_wide_as_it_says(bullet, size):
    client, cube = bullet.simulation.client, bullet.cube
    place(bullet, 0.5, 0.0, object_size=size)
    wall = p.createCollisionShape(p.GEOM_BOX, halfExtents=[0.01, 0.2, 0.2], physicsClientId=client)
    body = p.createMultiBody(0.0, wall, basePosition=[0.8, 0.0, 0.0], physicsClientId=client)
    near = p.getClosestPoints(cube._body, body, 1.0, physicsClientId=client)
    assert min(point[8] for point in near) == pytest.approx(0.3 - 0.01 - size / 2, abs=1e-3)


@pytest.mark.parametrize(("own", "table"), [(0.7, 0.7), (0.3, 0.8), (1.2, 0.4)])
def test_the_cube_slides_as_far_as_coulomb_says(cell, own, table):
    place(cell, object_friction=own, table_friction=table, object_restitution=0.0, object_size=0.056)
    run(cell, 0.4)
    start = cell.cube.position[0]
    cell.cube.push((0.7, 0.0, 0.0))
    run(cell, 1.5)
    # The friction of the contact is the product, whatever the engine makes of two frictions by itself.
    assert cell.cube.position[0] - start == pytest.approx(0.7**2 / (2 * 9.81 * own * table), rel=0.1)
    assert np.abs(cell.cube.velocity).max() < 2e-3


def test_the_cube_stays_on_a_slope_below_the_angle_of_friction_only(cell):
    moved = []
    for tilt in (0.15, 0.35):
        cell.simulation.set_gravity_tilt(tilt)
        place(cell, object_friction=0.5, table_friction=0.5)  # 0.25: 14 degrees
        run(cell, 0.6)
        moved.append(cell.cube.position[0] - 0.3)
    assert moved[0] < 0.01
    expected = 0.5 * 9.81 * (math.sin(0.35) - 0.25 * math.cos(0.35)) * 0.6**2
    assert moved[1] == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("restitution", [0.0, 0.1, 0.3, 0.5, 0.8])
def test_the_cube_bounces_as_newton_says(cell, restitution):
    place(cell, lift=0.2, object_restitution=restitution)
    fastest = run(cell, 0.4)
    assert fastest == pytest.approx(restitution * math.sqrt(2 * 9.81 * 0.2), abs=0.14)


def test_what_is_set_is_read_back(cell):
    rng = np.random.default_rng(0)
    for _ in range(20):
        domain = {name: rng.uniform(q.low, q.high) for name, q in PUSH_DOMAIN.items()}
        cell.cube.set_domain(domain)
        read = cell.cube.get_domain()
        assert read == pytest.approx({name: domain[name] for name in read}, rel=1e-9)
        assert set(read) == {"object_mass", "object_size", "object_friction", "object_restitution", "table_friction"}


def test_ten_thousand_sizes_take_no_memory(bullet):
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    rng = np.random.default_rng(0)
    before = None
    for episode in range(11_000):
        if episode == 1000:
            before = resident()
        bullet.cube.set_domain({**PUSH_DOMAIN.nominal(), "object_size": rng.uniform(0.036, 0.056)})
        bullet.cube.place(0.5, 0.0, 0.0)
    assert resident() - before < 1_000_000
