"""The race cars of both engines beside the one of pybullet_data in all its detail, rolling and driven alike.

Where they differ, and why:

* The wheels of the stock car have to be spun up, as MuJoCo's have; the planar car has none. That is worth a tenth of
  its mass, and is all the difference between the planar car and MuJoCo's as long as no tyre slides.
* The rigid wheels of the stock car hop on Bullet's contacts by a millimetre, and every landing costs speed, about
  0.5 m/s^2 at any time step and friction. Rubber does not do that, and neither do the two models.
* Wheels of the stock car and of MuJoCo's stick where they touch and go exactly where they point. The tyres of the
  planar car need a slip angle to push sideways, as rubber does: its bends get wider with speed.
"""

import math

import numpy as np
import pybullet as p
import pybullet_data
import pytest
from driving_plants import ENGINES, make_vehicle, throw

from sim2real_envs.driving.racecar import MAX_STEERING, STALL_FORCE, TOP_SPEED, WHEELBASE, RaceCar

CONTROL_DT = 0.04
HINGES = ("left_steering_hinge_joint", "right_steering_hinge_joint")
HINGE_DISTANCE = 0.2  # of left and right [m]
RADIUS = RaceCar.axles.radius
SPIN_MASS = 4 * RaceCar.axles.spin_inertia / RADIUS**2  # what spinning wheels add to the mass that is sped up [kg]


class StockCar:
    """``racecar.urdf`` on a plane, with the motors and the servo of the race car on its joints."""

    def __init__(self, friction=1.0, physics_dt=1 / 250):
        self.client = client = p.connect(p.DIRECT)
        self.substeps = round(CONTROL_DT / physics_dt)
        p.setTimeStep(physics_dt, physicsClientId=client)
        p.setGravity(0.0, 0.0, -9.81, physicsClientId=client)
        p.setAdditionalSearchPath(pybullet_data.getDataPath(), physicsClientId=client)
        ground = p.createCollisionShape(p.GEOM_PLANE, physicsClientId=client)
        ground = p.createMultiBody(0.0, ground, physicsClientId=client)
        p.changeDynamics(ground, -1, lateralFriction=1.0, physicsClientId=client)
        self.car = p.loadURDF("racecar/racecar.urdf", flags=p.URDF_USE_INERTIA_FROM_FILE, physicsClientId=client)
        links = range(p.getNumJoints(self.car, client))
        names = {p.getJointInfo(self.car, link, client)[1].decode(): link for link in links}
        self.wheels = [link for name, link in names.items() if name.endswith("wheel_joint")]
        self.hinges = [names[name] for name in HINGES]
        for link in (-1, *links):
            p.changeDynamics(self.car, link, linearDamping=0.0, angularDamping=0.0, physicsClientId=client)
        for wheel in self.wheels:
            p.changeDynamics(self.car, wheel, lateralFriction=friction, jointDamping=0.0, physicsClientId=client)
            p.setJointMotorControl2(self.car, wheel, p.VELOCITY_CONTROL, force=0.0, physicsClientId=client)
        for _ in range(10):
            self.step(0.0, 0.0)  # settle

    def step(self, angle, voltage):
        """Drive for one control step; ``voltage`` None takes the motors off. Return speed and yaw rate."""
        client, tangent = self.client, math.tan(angle)
        for hinge, side in zip(self.hinges, (1.0, -1.0), strict=True):
            turn = math.atan2(tangent, 1.0 - side * HINGE_DISTANCE / 2 / WHEELBASE * tangent)
            p.setJointMotorControl2(
                self.car, hinge, p.POSITION_CONTROL, targetPosition=turn, force=10.0, physicsClientId=client
            )
        for _ in range(self.substeps):
            for wheel in self.wheels if voltage is not None else ():
                rim = p.getJointState(self.car, wheel, client)[1] * RADIUS
                torque = STALL_FORCE * RADIUS / 4 * (voltage - rim / TOP_SPEED)
                p.setJointMotorControl2(self.car, wheel, p.TORQUE_CONTROL, force=torque, physicsClientId=client)
            p.stepSimulation(physicsClientId=client)
        (vx, vy, _), (_, _, yaw_rate) = p.getBaseVelocity(self.car, client)
        return math.hypot(vx, vy), yaw_rate

    def throw(self, speed):
        """Let it roll ahead at a speed [m/s]."""
        p.resetBaseVelocity(self.car, [speed, 0.0, 0.0], [0.0] * 3, physicsClientId=self.client)
        for wheel in self.wheels:
            p.resetJointState(self.car, wheel, 0.0, speed / RADIUS, physicsClientId=self.client)


@pytest.fixture
def stock():
    cars = []

    def _stock(**kwargs):
        cars.append(StockCar(**kwargs))
        return cars[-1]

    yield _stock
    for car in cars:
        p.disconnect(car.client)


def rolling_loss(stock):
    """What the stock car loses when nothing drives or brakes it [m/s^2]."""
    car = stock()
    car.throw(2.0)
    speeds = [car.step(0.0, None)[0] for _ in range(25)]
    return (speeds[0] - speeds[-1]) / (24 * CONTROL_DT)


def speeds_of_motor(voltages, *, spin_mass=0.0, loss=0.0):
    """Closed form, step by step: a DC motor on a mass that rolls with a constant loss."""
    mass, speed, speeds = RaceCar.nominal_mass, 0.0, []
    lag = (mass + spin_mass) * TOP_SPEED / STALL_FORCE
    for voltage in voltages:
        end = (voltage - mass * loss / STALL_FORCE) * TOP_SPEED
        speed = end + (speed - end) * math.exp(-CONTROL_DT / lag)
        speeds.append(speed)
    return np.array(speeds)


def test_the_stock_car_weighs_as_much(stock):
    car = stock()
    links = range(-1, p.getNumJoints(car.car, car.client))
    mass = sum(p.getDynamicsInfo(car.car, link, car.client)[0] for link in links)
    assert mass == pytest.approx(RaceCar.nominal_mass, rel=1e-3)


def test_only_the_stock_car_loses_speed_when_it_rolls_freely(stock):
    assert 0.2 < rolling_loss(stock) < 0.8
    for engine in ENGINES:
        car = make_vehicle(RaceCar, engine, drivetrain_delay=0.0)
        throw(car.plant, 2.0)
        for _ in range(25):  # at the throttle of its speed a motor neither drives nor brakes
            car.step([0.0, 2.0 / TOP_SPEED], 1.0)
        assert car.state.forward == pytest.approx(2.0, abs=0.01)


def test_speeding_up_and_rolling_out_are_the_same_but_for_wheels_and_losses(stock):
    voltages = [0.5] * 30 + [0.0] * 30
    for engine, spin_mass in (("pybullet", 0.0), ("mujoco", SPIN_MASS)):
        car, speeds = make_vehicle(RaceCar, engine, drivetrain_delay=0.0), []
        for voltage in voltages:
            car.step([0.0, voltage], 1.0)
            speeds.append(car.state.forward)
        np.testing.assert_allclose(speeds, speeds_of_motor(voltages, spin_mass=spin_mass), atol=0.05)
    real = stock()
    speeds = [real.step(0.0, voltage)[0] for voltage in voltages]
    loss = rolling_loss(stock)
    np.testing.assert_allclose(speeds, speeds_of_motor(voltages, spin_mass=SPIN_MASS, loss=loss), atol=0.15)
    # All in all, the stock car goes three quarters as fast as the planar one under the same voltages.
    assert np.mean(speeds) == pytest.approx(0.75 * speeds_of_motor(voltages).mean(), rel=0.1)


def cruise(step, speed):
    """Drive at a speed whatever the losses; return the curvature that comes of it [1/m]."""
    held, found = speed / TOP_SPEED, [(0.0, 0.0)]
    for _ in range(100):
        error = speed - found[-1][0]
        held += 0.01 * error
        found.append(step(held + 0.5 * error))
    assert found[-1][0] == pytest.approx(speed, rel=0.04)
    return np.mean([yaw_rate / speed for speed, yaw_rate in found[-30:]])


@pytest.mark.parametrize("angle", [0.2, -0.4])
@pytest.mark.parametrize(("speed", "slip"), [(0.5, 0.01), (1.5, 0.06)])
def test_bends_are_those_of_the_steering_and_wider_for_rubber_at_speed(stock, angle, speed, slip):
    exact = math.tan(angle) / WHEELBASE
    real = stock()
    assert cruise(lambda voltage: real.step(angle, voltage), speed) == pytest.approx(exact, rel=0.02)
    for engine, tolerance in (("pybullet", slip), ("mujoco", 0.01)):
        car = make_vehicle(RaceCar, engine)

        def step(voltage, car=car):
            car.step([angle / MAX_STEERING, voltage], 1.0)
            return car.state.forward, car.state.yaw_rate

        found = cruise(step, speed)
        assert found == pytest.approx(exact, rel=tolerance)
        assert abs(found) < 1.01 * abs(exact)


def test_on_ice_all_stop_in_the_distance_of_their_friction(stock):
    real = stock(friction=0.2)
    real.throw(2.5)
    start = p.getBasePositionAndOrientation(real.car, real.client)[0][0]
    while real.step(0.0, -1.0)[0] > 0.15:
        pass
    gone = p.getBasePositionAndOrientation(real.car, real.client)[0][0] - start
    exact = 2.5**2 / (2 * 0.2 * 9.81)
    assert gone == pytest.approx(exact, rel=0.15)
    for engine in ENGINES:
        car = make_vehicle(RaceCar, engine, tyre_friction=0.2, drivetrain_delay=0.0)
        throw(car.plant, 2.5)
        start = car.state.x
        while car.state.forward > 0.0:
            car.step([0.0, -1.0], 1.0)
        assert car.state.x - start == pytest.approx(exact, rel=0.05)
