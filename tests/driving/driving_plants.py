"""Plants for tests: an open plain without walls, and a push."""

import math

import pybullet as p

from sim2real_envs.driving.course import Course
from sim2real_envs.driving.domain import TRACK_DOMAIN
from sim2real_envs.driving.plant import make_plant
from sim2real_envs.driving.track import make_track

ENGINES = ["pybullet", "mujoco"]
FAR = 500.0
"""Where nothing is in the way [m]."""


def make_vehicle(vehicle, engine="pybullet", *, control_dt=0.04, physics_dt=None, **domain):
    """Return a vehicle at rest far from the only track, facing along x; its plant is ``vehicle.plant``."""
    plant = make_plant(engine, vehicle, Course([make_track(0)]), control_dt=control_dt, physics_dt=physics_dt)
    made = vehicle(plant)
    complete = (vehicle.domain_space | TRACK_DOMAIN).complete(domain)
    plant.set_domain(complete)
    made.set_domain(complete)
    made.reset(FAR, 0.0, 0.0)
    made.plant = plant
    return made


def throw(plant, speed):
    """Let the vehicle roll ahead at a speed [m/s], from one moment to the next."""
    x, y = speed * plant.state.cos, speed * plant.state.sin
    if hasattr(plant, "body"):
        p.resetBaseVelocity(plant.body.id, [x, y, 0.0], [0.0] * 3, physicsClientId=plant._client)
        plant.body.measure()
    else:
        model, data = plant._model, plant._data
        data.qvel[:2] = x, y
        for number in range(4):
            data.qvel[model.joint(f"spin_{number}").dofadr] = speed / plant._axles.radius
        plant._measure()


def velocity(vehicle):
    """Return the velocity in the world [m/s]."""
    state = vehicle.state
    return (
        state.cos * state.forward - state.sin * state.left,
        state.sin * state.forward + state.cos * state.left,
    )


def acceleration(vehicle, action):
    """Return the mean acceleration over one control step [m/s^2]."""
    before = velocity(vehicle)
    vehicle.step(action, 1.0)
    return math.dist(before, velocity(vehicle)) / 0.04
