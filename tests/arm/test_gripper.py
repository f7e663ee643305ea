"""A gripper presses with the force that it has, in each engine: what is sent to a solver is not what it does."""

import mujoco
import numpy as np
import pytest

from sim2real_envs.arm.worlds import ROBOTS, PickAndPlaceEnv
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.engines import ENGINES


def grasp(env):
    """Close the fingers on the cube, put between them, and hold it above the table."""
    x, y, _ = env.robot.state.position
    env.task.cube.place(x, y, 0.0)
    for step in range(45):
        env.task.measure(env.robot.state)
        way = (env.task.cube.position - env.robot.state.position) / 0.03 if step < 12 else np.zeros(3)
        env.step(np.append(np.clip(way, -1, 1), 1.0 if step < 12 else -1.0))


def pressing(env):
    """Return with which force each finger presses on the cube [N]."""
    forces = {}
    if not hasattr(env.simulation, "steps_a_call"):  # MuJoCo
        model, data = env.simulation.model, env.simulation.data
        for number in range(data.ncon):
            contact = data.contact[number]
            names = {model.geom(contact.geom1).name, model.geom(contact.geom2).name}
            if "cube" in names and "table" not in names:
                wrench = np.zeros(6)
                mujoco.mj_contactForce(model, data, number, wrench)
                finger = (names - {"cube"}).pop()
                forces[finger] = forces.get(finger, 0.0) + wrench[0]
        return sum(forces.values()) / 2
    arm, steps = env.robot._arm, env.simulation.steps_a_call
    for contact in p.getContactPoints(arm._body, env.task.cube._body, physicsClientId=env.simulation.client):
        if contact[3] in arm._fingers:  # an impulse over the time of a call
            forces[contact[3]] = forces.get(contact[3], 0.0) + contact[9] * steps
    return sum(forces.values()) / 2


@pytest.mark.parametrize("factor", [0.7, 1.0, 2.0])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("robot", ROBOTS)
def test_the_gripper_presses_with_its_force(robot, engine, factor):
    env = PickAndPlaceEnv(robot=robot, engine=engine)
    env.reset(seed=1, options={"domain": {"gripper_force": factor}})
    grasp(env)
    held = []
    for _ in range(10):
        env.step(np.array([0.0, 0.0, 0.0, -1.0]))
        held.append(pressing(env))
    assert np.median(held) == pytest.approx(factor * env.robot._arm.nominal.finger_force, rel=0.1)
    env.close()
