"""A robot cell in one of the engines: the arm, and before it, where the task needs them, a cube on a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim2real_envs.arm.plant import ArmPlant, Hand
from sim2real_envs.arm.props import Cube
from sim2real_envs.arm.robot import RobotModel
from sim2real_envs.engines import TimeStep, choose_physics_dt
from sim2real_envs.simulation import Simulation

if TYPE_CHECKING:
    from sim2real_envs.mujoco_simulation import MujocoSimulation

TIME_STEPS = {
    "pybullet": TimeStep(usual=0.004, longest=0.01),
    "mujoco": TimeStep(usual=0.001, longest=0.002),
}
"""Of the physics. Bullet's motors are constraints, which bear a long one; MuJoCo's are stiff springs and dampers, and
with 4 ms would kick what the hand touches."""
_GRIP_ITERATIONS = 50
"""Of Bullet's solver. With 10 a gripper would press with 17 N where it has 30 N, and sink into what it holds."""


@dataclass(frozen=True)
class Cell:
    """What :func:`build_cell` has built."""

    simulation: Simulation | MujocoSimulation
    """Its world, with the clocks."""
    arm: ArmPlant
    """What a robot's control drives."""
    cube: Cube | None
    """A cube and the table on which it lies, where they were asked for."""


def build_cell(
    engine: str, model: RobotModel, *, hand: Hand, with_cube: bool, control_dt: float, physics_dt: float | None = None
) -> Cell:
    """Build a cell.

    Args:
        engine: ``"pybullet"`` or ``"mujoco"``; only what is asked for is imported.
        model: The robot.
        hand: What of its hand takes part.
        with_cube: Whether there is a cube on a table.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``. ``None`` for the usual one.

    Raises:
        Sim2RealError: The engine is unknown or not installed, or the times do not fit together.
    """
    physics_dt = choose_physics_dt(engine, physics_dt, TIME_STEPS)
    if engine == "mujoco":
        from sim2real_envs.arm.mujoco_arm import MujocoArm, arm_spec
        from sim2real_envs.arm.mujoco_props import MujocoCube, add_cube
        from sim2real_envs.mujoco_simulation import MujocoSimulation

        spec = arm_spec(model, hand)
        if with_cube:
            add_cube(spec)
        world = MujocoSimulation(spec, control_dt=control_dt, physics_dt=physics_dt)
        return Cell(world, MujocoArm(world, model, hand), MujocoCube(world) if with_cube else None)

    from sim2real_envs.arm.bullet_arm import BulletArm
    from sim2real_envs.arm.bullet_props import BulletCube

    simulation = Simulation(
        control_dt=control_dt,
        physics_dt=physics_dt,
        iterations=_GRIP_ITERATIONS if hand == "gripper" else 10,
        few_bodies=True,
    )
    cube = BulletCube(simulation) if with_cube else None
    return Cell(simulation, BulletArm(simulation, model, hand), cube)
