"""How far the lean robots move from the stock ones of ``pybullet_data``, under the same commands."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pybullet_data
from make_robot_models import ROBOTS, make_lean
from make_robot_models import Robot as Recipe
from numpy.typing import NDArray

import sim2real_envs  # noqa: F401 (registers the worlds)
from sim2real_envs.arm.robot import RobotModel
from sim2real_envs.arm.worlds import ROBOTS as MODELS
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.bullet import quiet
from sim2real_envs.simulation import Simulation

Array = NDArray[np.float64]
Command = tuple[list[float], list[float]]
"""Joint positions [rad], and the largest torques to get there [N m]."""

WORLDS = {"panda": "sim2real/PandaReach-v0", "kuka": "sim2real/KukaReach-v0", "xarm6": "sim2real/XArm6Reach-v0"}
"""By robot: the world whose commands both arms get."""
CONTROL_DT = 0.04
"""Time between two commands [s]."""

_EPISODES, _STEPS, _HOLD = 4, 50, 5


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is simulated, and how."""

    lean: bool
    physics_dt: float
    """[s]"""
    default_solver: bool = False
    """Bullet's 50 iterations, instead of the 10 and the tolerance of our worlds."""


_STOCK = Setting(lean=False, physics_dt=0.002, default_solver=True)
"""The stock robot at the clock of panda-gym: what all others are compared with."""
SETTINGS = {
    "the lean model alone": Setting(lean=True, physics_dt=0.002, default_solver=True),
    "with our solver": Setting(lean=True, physics_dt=0.002),
    "as shipped: also 10 × 4 ms": Setting(lean=True, physics_dt=0.004),
    "for comparison: stock at half the time step": Setting(lean=False, physics_dt=0.001, default_solver=True),
}
"""Step by step from the stock robot to the shipped one; and how exact the stock one is itself."""


def deviations(robot: str) -> dict[str, tuple[float, float]]:
    """Return by how much the end effector is off the stock one's in every setting [mm], the largest and the rms.

    All get the joint commands that a world gave its arm under random actions at full speed, each held for 0.2 s, and
    are compared at the end of every control step. The grippers that we add to two of the arms weigh nothing here, since
    the stock arms have none.
    """
    recipe = next(entry for entry in ROBOTS if entry.name == robot)
    model = MODELS[robot]
    commands = [_commands(WORLDS[robot], seed) for seed in range(_EPISODES)]
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        lean, tip, reach = _without_gripper(recipe, model, Path(folder))

        def paths(setting: Setting) -> Array:
            urdf = lean if setting.lean else model.visual_urdf
            return np.array([_path(model, urdf, tip, reach, episode, setting) for episode in commands])

        stock = paths(_STOCK)
        for name, setting in SETTINGS.items():
            errors = 1e3 * np.linalg.norm(paths(setting) - stock, axis=-1)
            result[name] = float(errors.max()), float(np.sqrt(np.mean(np.square(errors))))
    return result


def _without_gripper(recipe: Recipe, model: RobotModel, folder: Path) -> tuple[str, str, float]:
    """Return a lean model without a gripper of ours, the link of its tip, and how far the end effector is from it."""
    gripper = recipe.gripper
    if gripper is None:
        return model.urdf("bare"), model.end_effector, 0.0
    weightless = {part: replace(getattr(gripper, part), mass=0.0) for part in ("hand", "finger")}
    path = make_lean(replace(recipe, gripper=replace(gripper, **weightless)), folder=folder)
    return str(path), gripper.flange, gripper.offset + gripper.tool


def _commands(world: str, seed: int) -> list[Command]:
    """Return what a world commands in an episode."""
    commands: list[Command] = []
    original = p.setJointMotorControlArray

    def record(*args: Any, **kwargs: Any) -> Any:
        # Bullet gets a force for each of the steps that it makes at once, and each arm here makes one at a time.
        commands.append((kwargs["targetPositions"], [steps * force for force in kwargs["forces"]]))
        return original(*args, **kwargs)

    env = gym.make(world)
    steps = env.get_wrapper_attr("simulation").steps_a_call
    rng = np.random.default_rng(seed)
    try:
        env.reset(seed=seed)
        p.setJointMotorControlArray = record
        for step in range(_STEPS):
            if step % _HOLD == 0:
                action = rng.uniform(-1.0, 1.0, env.action_space.shape or ()).astype(np.float32)
            env.step(action)
    finally:
        p.setJointMotorControlArray = original
        env.close()
    assert len(commands) == _STEPS, "one command a control step"
    return commands


def _path(model: RobotModel, urdf: str, tip: str, reach: float, commands: list[Command], setting: Setting) -> Array:
    """Return where the end effector is after every command, shape (steps, 3) [m]."""
    simulation = Simulation(
        control_dt=CONTROL_DT, physics_dt=setting.physics_dt, steps_a_call=1, few_bodies=setting.lean
    )
    client = simulation.client
    if setting.default_solver:
        p.setPhysicsEngineParameter(
            numSolverIterations=50,
            solverResidualThreshold=1e-7,
            deterministicOverlappingPairs=0,
            physicsClientId=client,
        )
    p.setAdditionalSearchPath(pybullet_data.getDataPath(), physicsClientId=client)
    flags = p.URDF_USE_INERTIA_FROM_FILE if setting.lean else 0
    with quiet():
        body = p.loadURDF(urdf, useFixedBase=True, flags=flags, physicsClientId=client)
    infos = [p.getJointInfo(body, i, client) for i in range(p.getNumJoints(body, client))]
    by_name = {info[1].decode(): info for info in infos}
    joints = [by_name[name][0] for name in model.joints]
    link = next(info[0] for info in infos if info[12].decode() == tip)
    for joint, angle in zip(joints, model.home, strict=True):
        p.resetJointState(body, joint, angle, physicsClientId=client)
    for finger in (by_name[name][0] for name in model.fingers if name in by_name):  # of the stock arm: held closed
        p.setJointMotorControl2(body, finger, p.POSITION_CONTROL, targetPosition=0.0, physicsClientId=client)
    gain = float(-np.expm1(-setting.physics_dt / model.response_time))
    points = []
    for target, torques in commands:
        p.setJointMotorControlArray(
            body,
            joints,
            p.POSITION_CONTROL,
            targetPositions=target,
            positionGains=[gain] * len(joints),
            forces=torques,
            physicsClientId=client,
        )
        simulation.step()
        position, turn = p.getLinkState(body, link, 0, 1, client)[4:6]
        points.append(p.multiplyTransforms(position, turn, [0.0, 0.0, reach], [0.0, 0.0, 0.0, 1.0])[0])
    simulation.close()
    return np.array(points)
