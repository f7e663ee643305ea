"""The env that joins a robot, a task and a simulation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real.domains.channels import Channel, element_name
from sim2real.domains.space import Domain
from sim2real.errors import Sim2RealError, unknown_name
from sim2real_envs.arm.domain import ARM_DOMAIN
from sim2real_envs.arm.robot import Robot, RobotModel
from sim2real_envs.arm.scene import Scene
from sim2real_envs.arm.tasks.reach import Reach
from sim2real_envs.simulation import Simulation

Array = NDArray[Any]

MAX_DISPLACEMENT = 0.05
"""Farthest that the end effector is commanded to go in one control step [m]."""

_TIP_CHANNELS = (
    Channel(name="ee_position", width=3, unit="m", low=-1.5, high=1.5, noise=0.003),
    Channel(name="ee_velocity", width=3, unit="m/s", low=-4.0, high=4.0, noise=0.02),
)
_GOAL_CHANNELS = (Channel(name="goal_offset", width=3, unit="m", low=-3.0, high=3.0, noise=0.003),)


class ArmEnv(gym.Env[Any, Array]):
    """A robot arm and a goal for its end effector.

    Observation (``"flat"``, ``Box`` of float32): ``ee_position`` (3) [m], ``ee_velocity`` (3) [m/s], ``goal_offset``
    (3), the goal minus the measured position [m]; with joint control also ``joint_position`` (n) [rad] and
    ``joint_velocity`` (n) [rad/s]. The ``"goal"`` form is a ``Dict`` of ``observation`` (the same without
    ``goal_offset``), ``achieved_goal`` and ``desired_goal`` (3 each) [m],
    and then there is ``compute_reward(achieved_goal, desired_goal, info)`` for hindsight experience replay.

    Action in [-1, 1], relative to where the robot is *measured*: a displacement of the end effector of up to 0.05 m
    per control step (``"ee"``, 3 numbers), or of every joint of up to what its largest speed allows (``"joint"``, n).

    Args:
        model: The robot.
        task: What it has to do.
        control: ``"ee"`` or ``"joint"``.
        observation: ``"flat"`` or ``"goal"``.
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``.

    Raises:
        Sim2RealError: An argument is unknown, or the times do not fit together.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "human"], "render_fps": 25}  # noqa: RUF012
    domain_space = ARM_DOMAIN
    targets_file: str | None = None

    def __init__(
        self,
        *,
        model: RobotModel,
        task: Reach,
        control: str = "ee",
        observation: str = "flat",
        render_mode: str | None = None,
        control_dt: float = 0.04,
        physics_dt: float = 0.004,
    ) -> None:
        for kind, value, known in (
            ("control", control, ("ee", "joint")),
            ("observation", observation, ("flat", "goal")),
            ("render_mode", render_mode, self.metadata["render_modes"]),
        ):
            if value not in known and not (kind == "render_mode" and value is None):
                raise unknown_name(kind, value, known)
        self.render_mode = render_mode
        self.control = control
        self.task = task
        self.simulation = Simulation(control_dt=control_dt, physics_dt=physics_dt)
        self.robot = Robot(self.simulation, model)
        self.metadata = {**type(self).metadata, "render_fps": round(1.0 / control_dt)}
        self._scene: Scene | None = None
        self._domain = self._episode_domain = self.domain_space.nominal()
        self.robot.set_domain(self._domain)
        self._goal = np.zeros(3, np.float32)

        joints = len(model.joints)
        n = 3 if control == "ee" else joints
        self.action_space = gym.spaces.Box(-1.0, 1.0, (n,), np.float32)
        self._last_action = np.zeros(n)
        self._goal_form = observation == "goal"
        channels: tuple[Channel, ...] = _TIP_CHANNELS if self._goal_form else _TIP_CHANNELS + _GOAL_CHANNELS
        if control == "ee":
            self.action_channels = (Channel(name="ee_displacement", width=3, unit="1", low=-1.0, high=1.0),)
        else:
            channels += (
                Channel(name="joint_position", width=joints, unit="rad", low=-4.0, high=4.0, noise=0.002),
                Channel(name="joint_velocity", width=joints, unit="rad/s", low=-20.0, high=20.0, noise=0.02),
            )
            self.action_channels = (Channel(name="joint_displacement", width=joints, unit="1", low=-1.0, high=1.0),)
        self.observation_channels = channels
        """What the numbers of the observation are; of those under ``"observation"`` in the goal form."""
        bounds = [np.repeat([getattr(c, k) for c in channels], [c.width for c in channels]) for k in ("low", "high")]
        box = gym.spaces.Box(bounds[0].astype(np.float32), bounds[1].astype(np.float32), dtype=np.float32)
        self._box = box
        self.observation_space: gym.Space[Any] = box
        if self._goal_form:
            self.compute_reward = self._compute_reward  # its mere presence is what marks an env as goal-conditioned
            point = gym.spaces.Box(-1.5, 1.5, (3,), np.float32)
            self.observation_space = gym.spaces.Dict(
                {"observation": box, "achieved_goal": point, "desired_goal": point}
            )

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set the domain of all following episodes; missing parameters take their nominal values."""
        self._domain = self.domain_space.complete(domain)

    def get_domain(self) -> Domain:
        """Read the domain of the present episode back from the simulator."""
        return self.robot.get_domain()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Put the robot at rest at home, draw a goal; ``options={"domain": ...}`` sets the domain of this episode."""
        super().reset(seed=seed)
        domain = self._domain
        if options is not None and "domain" in options:
            domain = self.domain_space.complete(options["domain"])
        if domain != self._episode_domain:
            self.robot.set_domain(domain)
            self._episode_domain = domain
        self.robot.reset()
        self._goal = self.task.sample_goal(self.np_random).astype(np.float32)
        self._last_action = np.zeros_like(self._last_action)
        if self.render_mode == "human":
            self.render()
        return self._observe(), self._info()

    def step(self, action: Array) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Apply an action for one control step; the task never ends by itself.

        Raises:
            Sim2RealError: The action has another shape, or a number that is not finite.
        """
        action = self._check(action)
        if self.control == "ee":
            self.robot.command_displacement(MAX_DISPLACEMENT * action)
        else:
            self.robot.command_joints(self.robot.max_step * action)
        self.simulation.step()
        self.robot.measure()
        info = self._info()
        terms = self.task.goal_terms(info["distance"]) | self.task.motion_terms(action, self._last_action)
        info |= {f"reward/{name}": float(term) for name, term in terms.items()}
        self._last_action = action
        if self.render_mode == "human":
            self.render()
            time.sleep(self.simulation.control_dt)
        return self._observe(), float(sum(terms.values())), False, False, info

    def _compute_reward(self, achieved_goal: Array, desired_goal: Array, info: Any) -> Any:
        """Return the reward had the goal been another one, as hindsight experience replay asks for it.

        Args:
            achieved_goal: Shape (3,) or (batch, 3) [m].
            desired_goal: The same shape [m].
            info: The info of the step, or one for each of the batch; a reward term that does not depend on the goal is
                taken from it, and counts zero where it is missing.
        """
        terms = self.task.goal_terms(self.task.distance(achieved_goal, desired_goal))
        single = isinstance(info, Mapping)
        kept = np.array([entry.get("reward/smoothness", 0.0) for entry in ([info] if single else info)])
        rewards = sum(terms.values()) + kept
        return float(rewards[0]) if single else rewards

    def render(self) -> NDArray[np.uint8] | None:
        """Draw the robot and its goal.

        Returns:
            A picture, shape (360, 480, 3), with ``render_mode="rgb_array"``; nothing otherwise.
        """
        if self.render_mode is None:
            gym.logger.warn("render() does nothing without a render_mode; make the env with render_mode='rgb_array'.")
            return None
        if self._scene is None:
            mode: Any = self.render_mode
            self._scene = Scene(self.robot.model, mode=mode, goal_radius=self.task.success_distance)
        self._scene.show(self.robot.state.joint_position, self._goal)
        return self._scene.picture() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Disconnect from PyBullet; a second call does nothing."""
        self.simulation.close()
        if self._scene is not None:
            self._scene.close()

    def _check(self, action: Array) -> NDArray[np.float64]:
        try:
            values = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError):
            raise Sim2RealError(f"action {action!r} is not a vector of numbers.") from None
        if values.shape != self.action_space.shape:
            raise Sim2RealError(
                f"action has shape {values.shape}; control {self.control!r} needs {self.action_space.shape}."
            )
        if not np.isfinite(values).all():
            index = int(np.flatnonzero(~np.isfinite(values))[0])
            raise Sim2RealError(
                f"action {element_name(self.action_channels, index)} = {values[index]} must be a finite number."
            )
        return np.clip(values, -1.0, 1.0)

    def _observe(self) -> Any:
        state = self.robot.state
        parts = [state.position, state.velocity]
        if not self._goal_form:
            parts.append(self._goal - state.position)
        if self.control == "joint":
            parts += [state.joint_position, state.joint_velocity]
        values = np.clip(np.concatenate(parts), self._box.low, self._box.high).astype(np.float32)
        if not self._goal_form:
            return values
        return {"observation": values, "achieved_goal": values[:3].copy(), "desired_goal": self._goal.copy()}

    def _info(self) -> dict[str, Any]:
        # As observed, so that compute_reward of the observed goals gives exactly the reward of the step.
        distance = float(self.task.distance(self.robot.state.position.astype(np.float32), self._goal))
        return {
            "distance": distance,
            "is_success": distance <= self.task.success_distance,
            "domain": dict(self._episode_domain),
        }
