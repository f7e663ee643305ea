"""The cube and the table against closed forms: its size, how it slides and how it bounces."""

import math

import numpy as np
import pytest

from sim2real_envs.arm.domain import PUSH_DOMAIN
from sim2real_envs.arm.props import Cube, Table
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.simulation import Simulation


@pytest.fixture
def world():
    simulation = Simulation(control_dt=0.04, physics_dt=0.004)
    yield simulation, Table(simulation), Cube(simulation)
    simulation.close()


def setting(**values):
    return {**PUSH_DOMAIN.nominal(), **values}


def run(simulation, cube, seconds):
    for _ in range(round(seconds / simulation.control_dt)):
        simulation.step()
    cube.measure()


@pytest.mark.parametrize("size", [0.036, 0.045, 0.056])
def test_the_cube_rests_on_the_table_at_half_its_size(world, size):
    simulation, table, cube = world
    cube.set_domain(setting(object_size=size))
    table.set_friction(0.7)
    cube.place(0.5, 0.1, 0.3)
    run(simulation, cube, 2.0)
    np.testing.assert_allclose(cube.position, [0.5, 0.1, size / 2], atol=5e-4)
    np.testing.assert_allclose(np.abs(cube.velocity), 0.0, atol=0.01)


@pytest.mark.parametrize("size", [0.036, 0.056])
def test_the_cube_is_as_wide_as_it_says(world, size):
    simulation, _, cube = world
    cube.set_domain(setting(object_size=size))
    wall = p.createCollisionShape(p.GEOM_BOX, halfExtents=[0.01, 0.2, 0.2], physicsClientId=simulation.client)
    body = p.createMultiBody(0.0, wall, basePosition=[0.8, 0.0, 0.0], physicsClientId=simulation.client)
    cube.place(0.5, 0.0, 0.0)
    near = p.getClosestPoints(cube._body, body, 1.0, physicsClientId=simulation.client)
    assert min(point[8] for point in near) == pytest.approx(0.3 - 0.01 - size / 2, abs=1e-3)


@pytest.mark.parametrize(("own", "table_friction"), [(0.7, 0.7), (0.3, 0.8)])
def test_the_cube_slides_as_far_as_coulomb_says(world, own, table_friction):
    simulation, table, cube = world
    cube.set_domain(setting(object_friction=own, object_restitution=0.0, object_size=0.056))
    table.set_friction(table_friction)
    cube.place(0.3, 0.0, 0.0)
    run(simulation, cube, 0.4)
    start = cube.position[0]
    speed = 0.7
    p.resetBaseVelocity(cube._body, [speed, 0.0, 0.0], [0.0] * 3, physicsClientId=simulation.client)
    run(simulation, cube, 1.5)
    assert cube.position[0] - start == pytest.approx(speed**2 / (2 * 9.81 * own * table_friction), rel=0.1)


def test_the_cube_stays_on_a_slope_below_the_angle_of_friction_only(world):
    simulation, table, cube = world
    cube.set_domain(setting(object_friction=0.5))
    table.set_friction(0.5)  # 0.25: 14 degrees
    moved = []
    for tilt in (0.15, 0.35):
        simulation.set_gravity_tilt(tilt)
        cube.place(0.3, 0.0, 0.0)
        run(simulation, cube, 0.6)
        moved.append(cube.position[0] - 0.3)
    assert moved[0] < 0.01
    expected = 0.5 * 9.81 * (math.sin(0.35) - 0.25 * math.cos(0.35)) * 0.6**2
    assert moved[1] == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("restitution", [0.0, 0.3, 0.8])
def test_the_cube_bounces_as_newton_says(world, restitution):
    simulation, table, cube = world
    cube.set_domain(setting(object_restitution=restitution))
    table.set_friction(0.7)
    height = cube.size / 2 + 0.2
    p.resetBasePositionAndOrientation(cube._body, [0.5, 0, height], [0, 0, 0, 1], physicsClientId=simulation.client)
    fastest = 0.0
    for _ in range(100):
        p.stepSimulation(physicsClientId=simulation.client)
        cube.measure()
        fastest = max(fastest, cube.velocity[2])
    assert fastest == pytest.approx(restitution * math.sqrt(2 * 9.81 * 0.2), abs=0.12)


def test_what_is_set_is_read_back(world):
    _, table, cube = world
    rng = np.random.default_rng(0)
    for _ in range(20):
        domain = {name: rng.uniform(q.low, q.high) for name, q in PUSH_DOMAIN.items()}
        cube.set_domain(domain)
        table.set_friction(domain["table_friction"])
        read = cube.get_domain() | {"table_friction": table.read_friction()}
        assert read == pytest.approx({name: domain[name] for name in read}, rel=1e-9)


def test_ten_thousand_sizes_take_no_memory(world):
    _, _, cube = world

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    rng = np.random.default_rng(0)
    before = None
    for episode in range(11_000):
        if episode == 1000:
            before = resident()
        cube.set_domain(setting(object_size=rng.uniform(0.036, 0.056)))
        cube.place(0.5, 0.0, 0.0)
    assert resident() - before < 1_000_000
