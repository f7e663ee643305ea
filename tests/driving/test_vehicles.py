"""The vehicles against closed forms and against the models that they stand for."""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pybullet as p
import pybullet_data
import pytest

from sim2real_envs.driving.body import PlanarBody
from sim2real_envs.driving.domain import TRACK_DOMAIN
from sim2real_envs.driving.racecar import MAX_STEERING, STALL_FORCE, TOP_SPEED, WHEELBASE, RaceCar
from sim2real_envs.driving.skid import TRACK_WIDTH, SkidSteer
from sim2real_envs.driving.tyres import cornering_force, sliding_force, within_grip
from sim2real_envs.simulation import GRAVITY, Simulation


@pytest.fixture
def simulation():
    simulation = Simulation(control_dt=0.04, physics_dt=0.008)
    p.setGravity(0.0, 0.0, 0.0, physicsClientId=simulation.client)
    yield simulation
    simulation.close()


def make(simulation, vehicle, *, y=0.0, **domain):
    made = vehicle(simulation)
    made.set_domain((vehicle.domain_space | TRACK_DOMAIN).complete(domain))
    made.reset(0.0, y, 0.0)
    return made


def test_cornering_force_is_linear_in_small_slip_and_saturates():
    assert cornering_force(2.0, 0.02, 10.0, 5.0) == pytest.approx(-10.0 * 5.0 * 0.01, rel=0.01)
    forces = [-cornering_force(1.0, math.tan(a), 10.0, 5.0) for a in np.linspace(0.0, 1.4, 50)]
    assert 9.99 < max(forces) <= 10.0
    assert forces[-1] < max(forces)  # it slides away beyond the peak
    assert cornering_force(-2.0, 0.02, 10.0, 5.0) == cornering_force(2.0, 0.02, 10.0, 5.0)


def test_friction_circle():
    assert within_grip(3.0, 4.0, 6.0) == (3.0, 4.0)
    assert within_grip(3.0, 4.0, 2.5) == pytest.approx((1.5, 2.0))
    along, across = sliding_force(30.0, 40.0, 5.0)
    assert (along, across) == pytest.approx((-3.0, -4.0), rel=1e-3)


@pytest.mark.parametrize("steering", [0.1, 0.25, -0.5])
def test_a_slow_car_drives_the_circle_of_its_steering(simulation, steering):
    car = make(simulation, RaceCar)
    for _ in range(250):
        car.step([steering / MAX_STEERING, 0.08], 1.0)
    places = []
    for _ in range(400):
        car.step([steering / MAX_STEERING, 0.08], 1.0)
        s = car.body.state
        places.append((s.x - s.cos * WHEELBASE / 2, s.y - s.sin * WHEELBASE / 2))  # rear axle
    x, y = np.array(places).T
    # The circle through the points, by least squares: x^2 + y^2 = 2 a x + 2 b y + c.
    a, b, c = np.linalg.lstsq(np.stack((2 * x, 2 * y, np.ones_like(x)), axis=1), x**2 + y**2, rcond=None)[0]
    assert math.sqrt(c + a * a + b * b) == pytest.approx(WHEELBASE / math.tan(abs(steering)), rel=0.03)
    assert np.sign(car.body.state.yaw_rate) == np.sign(steering)


def test_top_speed_and_acceleration_are_the_motors(simulation):
    car = make(simulation, RaceCar, drivetrain_delay=0.0)
    car.step([0.0, 0.5], 1.0)
    assert car.body.state.forward == pytest.approx(0.5 * STALL_FORCE / RaceCar.nominal_mass * 0.04, rel=0.05)
    for _ in range(250):
        car.step([0.0, 0.5], 1.0)
    assert car.body.state.forward == pytest.approx(0.5 * TOP_SPEED, rel=0.01)


@pytest.mark.parametrize("friction", [0.3, 1.0])
def test_no_car_corners_or_brakes_harder_than_its_tyres_hold(simulation, friction):
    car = make(simulation, RaceCar, tyre_friction=friction)
    for _ in range(60):
        car.step([0.0, 1.0], 1.0)
    fastest = 0.0
    for _ in range(100):
        before = p.getBaseVelocity(car.body.id, simulation.client)[0]
        car.step([1.0, -0.5], 1.0)
        after = p.getBaseVelocity(car.body.id, simulation.client)[0]
        fastest = max(fastest, math.dist(before, after) / 0.04)
    assert 0.6 * friction * GRAVITY < fastest < 1.05 * friction * GRAVITY


def test_the_drive_waits_for_its_dead_time(simulation):
    car = make(simulation, RaceCar, drivetrain_delay=0.1)
    speeds = []
    for _ in range(4):
        car.step([0.0, 1.0], 1.0)
        speeds.append(car.body.state.forward)
    assert speeds[:2] == pytest.approx([0.0, 0.0], abs=1e-9)
    prompt = make(simulation, RaceCar, y=5.0, drivetrain_delay=0.0)
    prompt.step([0.0, 1.0], 1.0)
    # 0.12 s after the command there were 0.02 s of driving, half of what a step without delay has.
    assert speeds[2] == pytest.approx(prompt.body.state.forward / 2, rel=0.05)


def test_the_servo_lags_exponentially(simulation):
    car = make(simulation, RaceCar, steering_lag=0.1)
    car.step([1.0, 0.0], 1.0)
    assert car.steering == pytest.approx(MAX_STEERING * (1 - math.exp(-0.04 / 0.1)))
    assert car.wheel_angle == pytest.approx(car.steering)


def test_gain_and_bias_are_between_servo_and_wheels(simulation):
    car = make(simulation, RaceCar, steering_gain=0.6, steering_bias=0.1, steering_lag=0.0)
    car.step([1.0, 0.0], 1.0)
    assert car.steering == pytest.approx(MAX_STEERING)
    assert car.wheel_angle == pytest.approx(0.6 * MAX_STEERING + 0.1)
    assert car.measure()[2] == pytest.approx(MAX_STEERING)


def test_a_car_with_its_mass_behind_slides_with_its_tail(simulation):
    def slide(centre):
        car = make(simulation, RaceCar, y=1000.0 * centre, centre_of_mass=centre)
        for _ in range(50):
            car.step([0.0, 0.6], 1.0)
        for _ in range(25):
            car.step([0.5, 0.6], 1.0)
        return car.body.state.yaw_rate / car.body.state.forward  # how tight the bend is that one steering gives

    assert slide(-0.04) > slide(0.0) > slide(0.04)  # from oversteer to understeer


def test_a_shifted_centre_of_mass_moves_as_newton_says(simulation):
    # Thrown with a spin and left alone, the centre of mass goes straight, and what is in front of it circles round it.
    body = PlanarBody(simulation, half_extents=(0.2, 0.1, 0.05), mass=5.0, yaw_inertia=0.2)
    body.centre = 0.05
    body.place(0.0, 0.0, 0.0)
    p.resetBaseVelocity(body.id, [1.0, -0.05 * 3.0, 0.0], [0.0, 0.0, 3.0], physicsClientId=simulation.client)
    body.measure()
    for _ in range(125):
        body.push(0.0, 0.0, 0.0)
        p.stepSimulation(physicsClientId=simulation.client)
        body.measure()
    s = body.state
    centre = s.x + 0.05 * s.cos, s.y + 0.05 * s.sin
    assert centre == pytest.approx((1.05, 0.0), abs=2e-3)
    assert s.yaw_rate == pytest.approx(3.0, abs=1e-6)


def test_a_push_off_the_centre_turns_the_body(simulation):
    body = PlanarBody(simulation, half_extents=(0.2, 0.1, 0.05), mass=5.0, yaw_inertia=0.2)
    body.centre = 0.05
    body.place(0.0, 0.0, 0.0)
    body.push(0.0, 10.0, 0.0)  # to the left in the middle, 0.05 m behind the centre of mass
    p.stepSimulation(physicsClientId=simulation.client)
    s = body.measure()
    dt = simulation.physics_dt
    assert s.yaw_rate == pytest.approx(-10.0 * 0.05 / 0.2 * dt)
    assert s.left + 0.05 * s.yaw_rate == pytest.approx(10.0 / 5.0 * dt)  # of the centre of mass


def test_mass_and_inertia_are_those_of_the_stock_car():
    # Along the tree of the URDF; turned links have their inertia about the vertical where the joint turns it to.
    root = ET.parse(Path(pybullet_data.getDataPath()) / "racecar" / "racecar.urdf").getroot()
    bodies = []
    for link in root.findall("link"):
        inertial = link.find("inertial")
        if inertial is None:
            continue
        x, y = joint_offset(root, link.get("name"))
        x += float(inertial.find("origin").get("xyz").split()[0]) if link.get("name") == "chassis_inertia" else 0.0
        vertical = "iyy" if "wheel" in link.get("name") else "izz"
        bodies.append((float(inertial.find("mass").get("value")), x, y, float(inertial.find("inertia").get(vertical))))
    mass, x, y, inertia = np.array(bodies).T
    centre = (mass * x).sum() / mass.sum()
    assert mass.sum() == pytest.approx(RaceCar.nominal_mass, rel=1e-3)
    assert centre - WHEELBASE / 2 == pytest.approx(-0.0078, abs=5e-4)
    total = (inertia + mass * ((x - centre) ** 2 + y**2)).sum()
    assert total == pytest.approx(RaceCar.yaw_inertia, rel=0.03)


def joint_offset(root, link):
    joint = next((j for j in root.findall("joint") if j.find("child").get("link") == link), None)
    if joint is None:
        return 0.0, 0.0
    x, y, _ = map(float, joint.find("origin").get("xyz").split())
    above = joint_offset(root, joint.find("parent").get("link"))
    return above[0] + x, above[1] + y


def test_skid_steering_turns_by_the_difference_of_its_wheels(simulation):
    rover = make(simulation, SkidSteer)
    for _ in range(100):
        rover.step([0.4, 0.4], 1.0)
    assert rover.body.state.forward == pytest.approx(1.0, rel=0.02)
    assert abs(rover.body.state.yaw_rate) < 1e-6
    for _ in range(50):
        rover.step([0.3, 0.5], 1.0)
    # Wheels that have to slide sideways turn it less than wheels on a point would: 0.5 m/s over the track width.
    assert 0.1 < rover.body.state.yaw_rate / (0.5 / TRACK_WIDTH) < 0.9
    for _ in range(100):
        rover.step([-0.4, 0.4], 1.0)
    assert abs(rover.body.state.forward) < 0.1
    assert rover.body.state.yaw_rate > 1.0


@pytest.mark.parametrize("vehicle", [RaceCar, SkidSteer])
def test_smaller_physics_steps_change_little(vehicle):
    ends = []
    for dt in (0.008, 0.001):
        simulation = Simulation(control_dt=0.04, physics_dt=dt)
        p.setGravity(0.0, 0.0, 0.0, physicsClientId=simulation.client)
        car = make(simulation, vehicle)
        for i in range(50):
            car.step([0.5 * math.sin(0.2 * i), 0.6], 1.0)
        ends.append((car.body.state.x, car.body.state.y))
        simulation.close()
    assert math.dist(*ends) < 0.05  # [m] after about 4 m
