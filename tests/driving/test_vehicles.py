"""The vehicles against closed forms and against the models that they stand for."""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pybullet as p
import pybullet_data
import pytest
from driving_plants import ENGINES, acceleration, make_vehicle

from sim2real_envs.driving import skid
from sim2real_envs.driving.body import PlanarBody
from sim2real_envs.driving.racecar import MAX_STEERING, STALL_FORCE, TOP_SPEED, WHEELBASE, RaceCar
from sim2real_envs.driving.skid import TRACK_WIDTH, SkidSteer
from sim2real_envs.driving.tyres import cornering_force, sliding_force, within_grip
from sim2real_envs.simulation import GRAVITY, Simulation


@pytest.mark.parametrize("friction", [0.75, 1.0, 1.25])
@pytest.mark.parametrize("vehicle", [RaceCar, SkidSteer])
def test_full_throttle_and_full_brake_turn_nothing_over(vehicle, friction):
    made = make_vehicle(vehicle, "mujoco", tyre_friction=friction)
    forwards = [0.0, 1.0] if vehicle is RaceCar else [1.0, 1.0]
    for action in (forwards, [-number for number in forwards]):
        for _ in range(50):
            assert not made.step(action, 1.0)
    assert made.state.forward < -0.75 * (TOP_SPEED if vehicle is RaceCar else skid.TOP_SPEED)


@pytest.fixture
def simulation():
    simulation = Simulation(control_dt=0.04, physics_dt=0.008, steps_a_call=1)
    p.setGravity(0.0, 0.0, 0.0, physicsClientId=simulation.client)
    yield simulation
    simulation.close()


def effective_mass(engine):
    """What the motors of the race car have to speed up [kg]: wheels that are simulated spin, too."""
    axles = RaceCar.axles
    return RaceCar.nominal_mass + (4 * axles.spin_inertia / axles.radius**2 if engine == "mujoco" else 0.0)


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


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("steering", [0.1, 0.25, -0.5])
def test_a_slow_car_drives_the_circle_of_its_steering(engine, steering):
    car = make_vehicle(RaceCar, engine)
    for _ in range(100):
        car.step([steering / MAX_STEERING, 0.08], 1.0)
    places = []
    for _ in range(200):
        car.step([steering / MAX_STEERING, 0.08], 1.0)
        s = car.state
        places.append((s.x - s.cos * WHEELBASE / 2, s.y - s.sin * WHEELBASE / 2))  # rear axle
    x, y = (np.array(places) - places[0]).T
    # The circle through the points, by least squares: x^2 + y^2 = 2 a x + 2 b y + c.
    a, b, c = np.linalg.lstsq(np.stack((2 * x, 2 * y, np.ones_like(x)), axis=1), x**2 + y**2, rcond=None)[0]
    assert math.sqrt(c + a * a + b * b) == pytest.approx(WHEELBASE / math.tan(abs(steering)), rel=0.03)
    assert np.sign(car.state.yaw_rate) == np.sign(steering)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("strength", [0.8, 1.2])
def test_top_speed_and_acceleration_are_the_motors(engine, strength):
    car = make_vehicle(RaceCar, engine, drivetrain_delay=0.0, motor_strength=strength)
    car.step([0.0, 0.5], 1.0)
    force = 0.5 * strength * STALL_FORCE
    assert car.state.forward == pytest.approx(force / effective_mass(engine) * 0.04, rel=0.06)
    for _ in range(150):
        car.step([0.0, 0.5], 1.0)
    assert car.state.forward == pytest.approx(0.5 * strength * TOP_SPEED, rel=0.01)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_car_rolls_out_against_its_motor(engine):
    car = make_vehicle(RaceCar, engine, drivetrain_delay=0.0)
    for _ in range(120):
        car.step([0.0, 0.8], 1.0)
    fast = car.state.forward
    for _ in range(20):
        car.step([0.0, 0.0], 1.0)
    lag = effective_mass(engine) * TOP_SPEED / STALL_FORCE  # of a motor that brakes in proportion to its speed
    assert car.state.forward == pytest.approx(fast * math.exp(-0.8 / lag), rel=0.02)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("friction", [0.3, 1.0])
def test_no_car_corners_or_brakes_harder_than_its_tyres_hold(engine, friction):
    car = make_vehicle(RaceCar, engine, tyre_friction=friction)
    for _ in range(60):
        car.step([0.0, 1.0], 1.0)
    found = [acceleration(car, [1.0, -0.5]) for _ in range(60)]
    # Springs press a wheel harder on the ground for moments, and less in others.
    assert 0.6 * friction * GRAVITY < max(found) < (1.05 if engine == "pybullet" else 1.2) * friction * GRAVITY
    assert np.mean(found) < 1.0 * friction * GRAVITY


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mass", [0.7, 1.6])
def test_spinning_wheels_stop_a_car_in_the_distance_of_their_friction(engine, mass):
    # On ice full reverse is more than the tyres hold, whatever the car weighs: v^2 / (2 mu g). The tyres of the planar
    # car hold a little less under more load, MuJoCo's friction is Coulomb's.
    car = make_vehicle(RaceCar, engine, tyre_friction=0.2, mass=mass, drivetrain_delay=0.0)
    for _ in range(200):
        car.step([0.0, 0.6], 1.0)
    speed, start = car.state.forward, car.state.x
    while car.state.forward > 0.0:
        car.step([0.0, -1.0], 1.0)
    assert car.state.x - start == pytest.approx(
        speed**2 / (2 * 0.2 * GRAVITY), rel=0.02 if engine == "mujoco" else 0.15
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_parked_car_stays_on_a_slope(engine):
    car = make_vehicle(SkidSteer, engine, slope=0.15)
    for _ in range(100):
        car.step([0.0, 0.0], 1.0)
    assert car.state.x == pytest.approx(500.0, abs=0.2)  # its motors give way a little


@pytest.mark.parametrize("engine", ENGINES)
def test_the_drive_waits_for_its_dead_time(engine):
    car = make_vehicle(RaceCar, engine, drivetrain_delay=0.1)
    speeds = []
    for _ in range(4):
        car.step([0.0, 1.0], 1.0)
        speeds.append(car.state.forward)
    assert speeds[:2] == pytest.approx([0.0, 0.0], abs=1e-3)
    prompt = make_vehicle(RaceCar, engine, drivetrain_delay=0.0)
    prompt.step([0.0, 1.0], 1.0)
    # 0.12 s after the command there were 0.02 s of driving, half of what a step without delay has.
    assert speeds[2] == pytest.approx(prompt.state.forward / 2, rel=0.05)


def test_the_servo_lags_exponentially():
    car = make_vehicle(RaceCar, steering_lag=0.1)
    car.step([1.0, 0.0], 1.0)
    assert car.steering == pytest.approx(MAX_STEERING * (1 - math.exp(-0.04 / 0.1)))
    assert car.wheel_angle == pytest.approx(car.steering)


def test_gain_and_bias_are_between_servo_and_wheels():
    car = make_vehicle(RaceCar, steering_gain=0.6, steering_bias=0.1, steering_lag=0.0)
    car.step([1.0, 0.0], 1.0)
    assert car.steering == pytest.approx(MAX_STEERING)
    assert car.wheel_angle == pytest.approx(0.6 * MAX_STEERING + 0.1)
    assert car.measure()[2] == pytest.approx(MAX_STEERING)


def test_a_car_with_its_mass_behind_slides_with_its_tail():
    def slide(centre):
        car = make_vehicle(RaceCar, centre_of_mass=centre)
        for _ in range(50):
            car.step([0.0, 0.6], 1.0)
        for _ in range(25):
            car.step([0.5, 0.6], 1.0)
        return car.state.yaw_rate / car.state.forward  # how tight the bend is that one steering gives

    assert slide(-0.04) > slide(0.0) > slide(0.04)  # from oversteer to understeer


def test_a_shifted_centre_of_mass_moves_as_newton_says(simulation):
    # Thrown with a spin and left alone, the centre of mass goes straight, and what is in front of it circles round it.
    body = PlanarBody(simulation.client, half_extents=(0.2, 0.1, 0.05), mass=5.0, yaw_inertia=0.2)
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
    body = PlanarBody(simulation.client, half_extents=(0.2, 0.1, 0.05), mass=5.0, yaw_inertia=0.2)
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


@pytest.mark.parametrize("vehicle", [RaceCar, SkidSteer])
@pytest.mark.parametrize("centre", [0.0, 0.04])
def test_wheels_and_chassis_together_weigh_what_the_planar_body_does(vehicle, centre):
    mujoco = pytest.importorskip("mujoco")
    car = make_vehicle(vehicle, "mujoco", centre_of_mass=centre)
    model, data = car.plant._model, car.plant._data
    mujoco.mj_fwdPosition(model, data)
    bodies = [body for body in range(model.nbody) if model.body_rootid[body] == model.body("chassis").id]
    mass, place = model.body_mass[bodies], data.xipos[bodies] - [500.0, 0.0, 0.0]
    assert mass.sum() == pytest.approx(vehicle.nominal_mass)
    middle = (mass[:, None] * place).sum(axis=0) / mass.sum()
    assert middle[:2] == pytest.approx([vehicle.centre + centre, 0.0], abs=1e-9)
    assert middle[2] == pytest.approx(vehicle.axles.radius + vehicle.axles.centre_height)
    turned = [data.ximat[body].reshape(3, 3) for body in bodies]
    about = [(r @ np.diag(model.body_inertia[b]) @ r.T)[2, 2] for r, b in zip(turned, bodies, strict=True)]
    total = sum(about) + (mass * ((place - middle)[:, :2] ** 2).sum(axis=1)).sum()
    assert total == pytest.approx(vehicle.yaw_inertia, rel=0.1 if centre else 1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_skid_steering_turns_by_the_difference_of_its_wheels(engine):
    rover = make_vehicle(SkidSteer, engine)
    for _ in range(100):
        rover.step([0.4, 0.4], 1.0)
    assert rover.state.forward == pytest.approx(1.0, rel=0.02)
    assert abs(rover.state.yaw_rate) < 1e-6
    for _ in range(50):
        rover.step([0.3, 0.5], 1.0)
    # Wheels that have to slide sideways turn it less than wheels on a point would: 0.5 m/s over the track width.
    assert 0.1 < rover.state.yaw_rate / (0.5 / TRACK_WIDTH) < 0.9
    for _ in range(100):
        rover.step([-0.4, 0.4], 1.0)
    assert abs(rover.state.forward) < 0.15
    assert rover.state.yaw_rate > 1.0


@pytest.mark.parametrize(("engine", "steps"), [("pybullet", (0.008, 0.001)), ("mujoco", (0.004, 0.002))])
@pytest.mark.parametrize("vehicle", [RaceCar, SkidSteer])
def test_smaller_physics_steps_change_little(vehicle, engine, steps):
    ends = []
    for dt in steps:
        car = make_vehicle(vehicle, engine, physics_dt=dt)
        for i in range(50):
            car.step([0.5 * math.sin(0.2 * i), 0.6], 1.0)
        ends.append((car.state.x, car.state.y))
    # After about 4 m; the friction of wheels that slide and are held by motors settles slowly.
    assert math.dist(*ends) < (0.1 if (vehicle, engine) == (SkidSteer, "mujoco") else 0.05)
