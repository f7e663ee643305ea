"""The env that joins a robot, a task and a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real.domains.channels import Channel, channel_box
from sim2real.domains.space import Domain
from sim2real_envs.actions import ActionCheck
from sim2real_envs.arguments import check_choice
from sim2real_envs.arm.cell import build_cell
from sim2real_envs.arm.robot import Robot, RobotModel
from sim2real_envs.arm.scene import Scene
from sim2real_envs.arm.tasks.task import Task, length
from sim2real_envs.world_env import WorldEnv, check_render_mode

Array = NDArray[Any]

_FARTHEST = 1.5
"""Bound of positions that are observed [m]."""

_UNKNOWN = np.full(3, np.nan)

_TIP_CHANNELS = (
    Channel(name="ee_position", width=3, unit="m", low=-_FARTHEST, high=_FARTHEST, noise=0.003),
    Channel(name="ee_velocity", width=3, unit="m/s", low=-4.0, high=4.0, noise=0.02),
)
_GOAL_CHANNELS = (Channel(name="goal_offset", width=3, unit="m", low=-3.0, high=3.0, noise=0.003),)


class ArmEnv(WorldEnv):
    """A robot arm and a goal for its end effector, or for a thing that it handles.

    Observation (``"flat"``, ``Box`` of float32): ``ee_position`` (3) [m], ``ee_velocity`` (3) [m/s], ``goal_offset``
    (3), the goal minus the position of what shall be there [m]; then what the task observes of its things; with moving
    fingers ``gripper_opening`` (1) [m]; with joint control also ``joint_position`` (n) [rad] and ``joint_velocity`` (n)
    [rad/s]. The ``"goal"`` form is a ``Dict`` of ``observation`` (the same without ``goal_offset``), ``achieved_goal``
    and ``desired_goal`` (3 each) [m], and then there is ``compute_reward(achieved_goal, desired_goal, info)`` for
    hindsight experience replay.

    Action in [-1, 1], relative to where the robot is *measured*: a displacement of the end effector of up to
    ``task.max_displacement`` (0.05 m, 0.03 m with a cube) per control step (``"ee"``, 3 numbers; where there is a
    table, not into it), or of every joint of up to what its largest speed allows (``"joint"``, n); with moving fingers
    one more number, from -1, closed, to 1, open.

    Args:
        model: The robot.
        task: What it has to do.
        engine: ``"pybullet"`` or ``"mujoco"``.
        control: ``"ee"`` or ``"joint"``.
        observation: ``"flat"`` or ``"goal"``.
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``. ``None``: 4 ms in Bullet, 1 ms in MuJoCo.

    Raises:
        Sim2RealError: An argument is unknown, the engine is not installed, or the times do not fit together.
    """

    whole_episode = ("object_size",)
    push_space = gym.spaces.Box(-2.0, 2.0, (3,), np.float32)

    def __init__(
        self,
        *,
        model: RobotModel,
        task: Task,
        engine: str = "pybullet",
        control: str = "ee",
        observation: str = "flat",
        render_mode: str | None = None,
        control_dt: float = 0.04,
        physics_dt: float | None = None,
    ) -> None:
        check_choice("control", control, ("ee", "joint"))
        check_choice("observation", observation, ("flat", "goal"))
        check_render_mode(render_mode)
        self.control = control
        self.task = task
        cell = build_cell(
            engine, model, hand=task.hand, with_cube=task.with_cube, control_dt=control_dt, physics_dt=physics_dt
        )
        self.simulation = cell.simulation
        self._cube = cell.cube
        if cell.cube is not None:
            task.cube = cell.cube
        self.robot = Robot(cell.arm, model, start=task.start)
        task.widest_opening = 2.0 * self.robot.stroke
        super().__init__(cell.simulation, task.domain_space, render_mode)
        self._goal = np.zeros(3)

        joints = len(model.joints)
        self._joint_control = control == "joint"
        self._goal_form = observation == "goal"
        channels = (*_TIP_CHANNELS, *(() if self._goal_form else _GOAL_CHANNELS), *task.channels)
        motion = Channel(name="ee_displacement", width=3, unit="1", low=-1.0, high=1.0)
        if self._joint_control:
            motion = Channel(name="joint_displacement", width=joints, unit="1", low=-1.0, high=1.0, of_body=True)
        self.action_channels: tuple[Channel, ...] = (motion,)
        if task.hand == "gripper":
            channels += (Channel(name="gripper_opening", width=1, unit="m", low=-0.01, high=0.2, noise=0.001),)
            self.action_channels += (Channel(name="gripper_command", width=1, unit="1", low=-1.0, high=1.0),)
        if self._joint_control:
            reach = 7.0 if np.abs([self.robot.lower, self.robot.upper]).max() > 4.0 else 4.0
            channels += (
                Channel(
                    name="joint_position", width=joints, unit="rad", low=-reach, high=reach, noise=0.002, of_body=True
                ),
                Channel(
                    name="joint_velocity", width=joints, unit="rad/s", low=-20.0, high=20.0, noise=0.02, of_body=True
                ),
            )
        self._motion_width = motion.width
        n = sum(channel.width for channel in self.action_channels)
        self._check_action = ActionCheck(self.action_channels, f"control {control!r}")
        self.action_space = gym.spaces.Box(-1.0, 1.0, (n,), np.float32)
        self._last_action = [0.0] * n
        self.observation_channels = channels
        """What the numbers of the observation are; of those under ``"observation"`` in the goal form."""
        box = channel_box(channels)
        self._low, self._high = box.low.astype(np.float64), box.high.astype(np.float64)
        self.observation_space: gym.Space[Any] = box
        if self._goal_form:
            self.compute_reward = self._compute_reward  # its mere presence is what marks an env as goal-conditioned
            point = gym.spaces.Box(-_FARTHEST, _FARTHEST, (3,), np.float32)
            self.observation_space = gym.spaces.Dict(
                {"observation": box, "achieved_goal": point, "desired_goal": point}
            )

    def get_domain(self) -> Domain:
        """Read the domain of the present episode back from the simulator."""
        read = self.robot.get_domain() | ({} if self._cube is None else self._cube.get_domain())
        return {name: read[name] for name in self.domain_space}

    def push(self, impulse: Array) -> None:
        """Push the end effector with an impulse, shape (3,) [N s], evenly over the next control step."""
        self.robot.push(np.asarray(impulse, np.float64) / self.simulation.control_dt)

    def _apply(self, domain: Domain) -> None:
        self.robot.set_domain(domain)
        if self._cube is not None:
            self._cube.set_domain(domain)

    def _begin_episode(self) -> Any:
        self.robot.reset()
        self._goal = _rounded(self.task.reset(self.np_random))
        self._measure()
        self._last_action = [0.0] * len(self._last_action)
        return self._observe()

    def step(self, action: Array) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Apply an action for one control step; the task never ends by itself.

        Raises:
            Sim2RealError: The action has another shape, or a number that is not finite.
        """
        self.simulation.focus()
        sent = self._check_action(action)
        self._command(sent)
        self.simulation.step()
        self.robot.measure()
        self._measure()
        info = self._info()
        tip = info["ee_position"].astype(np.float64)  # as observed, too
        terms = self.task.goal_terms(self._achieved, self._goal, tip, info["distance"])
        others = self.task.other_terms(sent, self._last_action)
        for name, value in (terms | others).items():
            info[f"reward/{name}"] = float(value)
        reward = float(sum(terms.values())) + sum(others.values())
        self._last_action = sent
        if self.render_mode == "human":
            self._show_in_window()
        return self._observe(), reward, False, False, info

    def _command(self, action: list[float]) -> None:
        motion = action[: self._motion_width]
        if self._joint_control:
            self.robot.command_joints(self.robot.max_step * motion)
        else:
            farthest = self.task.max_displacement
            x, y, z = [farthest * number for number in motion]
            if self.task.floor is not None:
                z = max(z, self.task.floor - float(self.robot.state.position[2]))
            self.robot.command_displacement((x, y, z))
        if self.task.hand == "gripper":
            self.robot.command_fingers(0.5 * self.robot.stroke * (1.0 + action[-1]))

    def _measure(self) -> None:
        """Look at the things of the task, after the robot has been measured."""
        self.task.measure(self.robot.state)
        # A cube that falls off the table is lost anyway; its position stays inside the space.
        self._achieved = _rounded(np.minimum(np.maximum(self.task.achieved(), -_FARTHEST), _FARTHEST))

    def _compute_reward(self, achieved_goal: Array, desired_goal: Array, info: Any) -> Any:
        """Return the reward had the goal been another one, as hindsight experience replay asks for it.

        Args:
            achieved_goal: Shape (3,) or (batch, 3) [m].
            desired_goal: The same shape [m].
            info: The info of the step, or one for each of the batch. The position of the end effector and the reward
                terms that do not depend on the goal are taken from it; without them, the end effector counts as where
                it should be, and those terms as zero.
        """
        single = isinstance(info, Mapping)
        infos = [info] if single else info
        tips = np.array([entry.get("ee_position", _UNKNOWN) for entry in infos])
        distance = self.task.distance(achieved_goal, desired_goal)
        terms = self.task.goal_terms(achieved_goal, desired_goal, tips[0] if single else tips, distance)
        names = [f"reward/{name}" for name in self.task.other_names]
        others = np.array([sum(entry.get(name, 0.0) for name in names) for entry in infos])
        rewards = sum(np.nan_to_num(term) for term in terms.values()) + others
        return float(rewards[0]) if single else rewards

    def goal_reward(self, observations: Array) -> Array:
        """Return the part of the reward that depends on the goal, shape (batch,), of steps with flat observations.

        Args:
            observations: After the steps, shape (batch, n).
        """
        ee_position, offset, things = observations[:, :3], observations[:, 6:9], observations[:, 9:]
        achieved = self.task.achieved_in(ee_position, things)
        terms = self.task.goal_terms(achieved, achieved + offset, ee_position, length(offset))
        return np.asarray(sum(terms.values()))

    def _make_viewer(self, *, window: bool) -> Scene:
        return Scene(self.robot.model, window=window, goal_radius=self.task.goal_radius)

    def _show(self) -> None:
        assert isinstance(self._viewer, Scene)
        self._viewer.show(self.robot.state, self._goal, self.task.cube)

    def _observe(self) -> Any:
        state = self.robot.state
        parts: list[Array] = [state.position, state.velocity]
        if not self._goal_form:
            parts.append(self._goal - self.task.achieved())
        parts += self.task.observe()
        if self.task.hand == "gripper":
            parts.append(np.array([state.opening]))
        if self._joint_control:
            parts += [state.joint_position, state.joint_velocity]
        values = np.concatenate(parts)
        values = np.minimum(np.maximum(values, self._low), self._high).astype(np.float32)  # faster than np.clip
        if not self._goal_form:
            return values
        goals = self._achieved.astype(np.float32), self._goal.astype(np.float32)
        return {"observation": values, "achieved_goal": goals[0], "desired_goal": goals[1]}

    def _info(self) -> dict[str, Any]:
        # As observed, so that compute_reward of the observed goals gives exactly the reward of the step.
        distance = float(length(self._achieved - self._goal))
        return {
            "distance": distance,
            "ee_position": self.robot.state.position.astype(np.float32),
            "is_success": distance <= self.task.success_distance,
            "domain": dict(self._episode_domain),
        }


def _rounded(values: Array) -> Array:
    """Return numbers as they are observed, in single precision, but ready to be computed with."""
    return values.astype(np.float32).astype(np.float64)
