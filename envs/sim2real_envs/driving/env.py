"""The env that joins a vehicle, a sensor and a course."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real.domains.channels import Channel, channel_box
from sim2real.domains.space import Domain
from sim2real.errors import Sim2RealError
from sim2real_envs.actions import ActionCheck
from sim2real_envs.arguments import check_choice
from sim2real_envs.driving.camera import SIZE, Camera
from sim2real_envs.driving.course import Course
from sim2real_envs.driving.domain import TRACK_DOMAIN
from sim2real_envs.driving.lidar import MAX_RANGE, Lidar
from sim2real_envs.driving.plant import make_plant
from sim2real_envs.driving.scene import Scene
from sim2real_envs.driving.track import make_track
from sim2real_envs.driving.traffic import Traffic
from sim2real_envs.driving.vehicle import Vehicle
from sim2real_envs.world_env import WorldEnv, check_render_mode

Array = NDArray[Any]

PROGRESS_WEIGHT = 1.0
"""Reward per metre along the centre line [1/m]."""
CONTACT_WEIGHT = 10.0
"""What touching a wall, or anything else, costs; it also ends the episode."""
TIME_WEIGHT = 0.25
"""What every second costs [1/s]."""
SMOOTHNESS_WEIGHT = 0.05
"""What the mean square change of the action costs."""

MAX_TRACKS = 64
"""Most tracks that a world keeps."""


class DriveEnv(WorldEnv):
    """Drive a lap without touching a wall.

    Every episode takes place on one of ``tracks`` tracks, from anywhere on it. It terminates with success once the
    vehicle has gone one length of the centre line forwards from its start (what it goes backwards counts against it),
    and without success as soon as it touches anything.

    Observation (``Box`` of float32): ``lidar`` (``rays``) [m], from right to left, then what the vehicle measures of
    itself: ``speed`` [m/s], ``yaw_rate`` [rad/s] and, of the car, ``steering`` [rad]. With a camera a ``Dict`` of
    ``image`` (84, 84, 3), uint8, and ``observation``, what the vehicle measures of itself; what it would see with a
    lidar is its ``privileged_observation`` then.

    Action in [-1, 1], of the car: ``steering`` (1: full left) and ``throttle``.

    Info: ``progress`` [laps], ``mean_speed`` along the centre line [m/s], ``contacts`` (0 or 1), ``track`` (its
    number), ``is_success``, ``domain`` and the terms of the reward, each with its weight included:

    * ``reward/progress``: 1 per metre along the centre line.
    * ``reward/contact``: -10 for touching anything.
    * ``reward/time``: -0.25 per second.
    * ``reward/smoothness``: -0.05 times the mean square change of the action.

    Args:
        vehicle: Class of the vehicle.
        tracks: How many tracks there are.
        track_seed: Seed of the first track; the others have the following ones.
        difficulty: Of the tracks, from 0, circles, to 1; see :func:`~sim2real_envs.driving.track.make_track`.
        track_width: Distance of the walls [m].
        observation: ``"lidar"`` or ``"camera"``.
        rays: Beams of the lidar, 16 or 32.
        engine: What simulates it, ``"pybullet"`` or ``"mujoco"``.
        cars: Other cars on the track.
        obstacles: Boxes on the track.
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``. Usually 10 ms in PyBullet, where the tyres
            are computed, and 4 ms in MuJoCo, where wheels touch the ground.

    Raises:
        Sim2RealError: An argument is unknown or out of range, the engine is not installed, or the times do not fit
            together.
    """

    whole_episode = ("drivetrain_delay", "look_variation")
    push_space = gym.spaces.Box(-4.0, 4.0, (2,), np.float32)

    def __init__(
        self,
        *,
        vehicle: type[Vehicle],
        tracks: int = 8,
        track_seed: int = 0,
        difficulty: float = 0.5,
        track_width: float = 1.2,
        observation: str = "lidar",
        rays: int = 32,
        cars: int = 0,
        obstacles: int = 0,
        engine: str = "pybullet",
        render_mode: str | None = None,
        control_dt: float = 0.04,
        physics_dt: float | None = None,
    ) -> None:
        check_render_mode(render_mode)
        check_choice("observation", observation, ("lidar", "camera"))
        if not isinstance(rays, int) or rays not in (16, 32):
            raise Sim2RealError(f"rays = {rays!r} must be 16 or 32.")
        if isinstance(tracks, bool) or not isinstance(tracks, int) or not 1 <= tracks <= MAX_TRACKS:
            raise Sim2RealError(f"tracks = {tracks!r} must be a whole number from 1 to {MAX_TRACKS}.")
        made = [make_track(track_seed + i, difficulty=difficulty, width=track_width) for i in range(tracks)]
        self.course = Course(made)
        self.traffic = Traffic(self.course, cars=cars, obstacles=obstacles)
        self.plant = make_plant(
            engine,
            vehicle,
            self.course,
            boxes=self.traffic.half_extents,
            control_dt=control_dt,
            physics_dt=physics_dt,
        )
        self.vehicle = vehicle(self.plant)
        forward = vehicle.lidar_position
        self._lidar = Lidar(self.plant, beams=rays, forward=forward)
        self.sensor: Lidar | Camera = self._lidar
        if observation == "camera":
            self.sensor = Camera(self.course, self.traffic, forward=forward)
        self._parts = (self.plant, self.vehicle, self.course, self.sensor, self.traffic)
        domain_space = vehicle.domain_space | TRACK_DOMAIN | self.sensor.domain_space | self.traffic.domain_space
        super().__init__(self.plant, domain_space, render_mode)
        self.action_channels = vehicle.action_channels
        self._check_action = ActionCheck(self.action_channels, vehicle.__name__)
        # Its noise is a domain parameter of its own.
        lidar = Channel(name="lidar", width=rays, unit="m", low=0.0, high=MAX_RANGE, sampled=True)
        seen = (lidar, *vehicle.observation_channels)
        self.observation_channels = seen if observation == "lidar" else vehicle.observation_channels
        """What the numbers of the observation are; of those under ``"observation"`` beside a picture."""
        self.privileged_channels = seen if observation == "camera" else None
        self._box, self._privileged_box = channel_box(self.observation_channels), channel_box(seen)
        self.observation_space: gym.Space[Any] = self._box
        if observation == "camera":
            picture = gym.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
            if self.targets_file is not None:  # without a lidar there are other parameters
                self.targets_file = self.targets_file.removesuffix(".yaml") + "_camera.yaml"
            self.observation_space = gym.spaces.Dict({"image": picture, "observation": self._box})
        self.action_space = gym.spaces.Box(-1.0, 1.0, (sum(c.width for c in self.action_channels),), np.float32)
        self._last_action = [0.0] * sum(c.width for c in self.action_channels)
        self._along = self._travelled = 0.0
        self._steps = 0
        self._touched = False

    def get_domain(self) -> Domain:
        """Read the domain of the present episode back from what simulates it."""
        found: Domain = {}
        for part in self._parts:
            found |= part.get_domain()
        return {name: found[name] for name in self.domain_space}

    def push(self, impulse: Array) -> None:
        """Push the vehicle in its middle with an impulse, shape (2,) [N s], at once."""
        x, y = np.asarray(impulse, np.float64).tolist()
        self.plant.push(x, y)

    def _apply(self, domain: Domain) -> None:
        for part in self._parts:
            part.set_domain(domain)

    def _begin_episode(self) -> Any:
        x, y, yaw = self.course.draw(self.np_random)
        self._along = self.course.locate(x, y)
        self.traffic.reset(self.plant, self._along, self.np_random)
        self.vehicle.reset(x, y, yaw)
        if isinstance(self.sensor, Camera):
            self.sensor.begin_episode(self.np_random)
        self._travelled, self._steps, self._touched = 0.0, 0, False
        self._last_action = [0.0] * len(self._last_action)
        return self._observe()

    def step(self, action: Array) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Drive for one control step.

        Raises:
            Sim2RealError: The action has another shape, or a number that is not finite.
        """
        self.plant.focus()
        values = self._check_action(action)
        dt = self.plant.control_dt
        self.traffic.step(self.plant, dt)
        self._touched = self.vehicle.step(values, self.course.grip(self._along))
        state = self.vehicle.state
        along, length = self.course.locate(state.x, state.y), self.course.track.length
        gone = (along - self._along + length / 2) % length - length / 2
        self._along = along
        self._travelled += gone
        self._steps += 1
        change = sum([(new - old) ** 2 for new, old in zip(values, self._last_action, strict=True)]) / len(values)
        self._last_action = values
        terms = {
            "progress": PROGRESS_WEIGHT * gone,
            "contact": -CONTACT_WEIGHT * self._touched,
            "time": -TIME_WEIGHT * dt,
            "smoothness": -SMOOTHNESS_WEIGHT * change,
        }
        info = self._info()
        for name, term in terms.items():
            info[f"reward/{name}"] = term
        if self.render_mode == "human":
            self._show_in_window()
        return self._observe(), sum(terms.values()), self._touched or info["is_success"], False, info

    def _make_viewer(self, *, window: bool) -> Scene:
        return Scene(window=window, vehicle=self.vehicle)

    def _show(self) -> None:
        assert isinstance(self._viewer, Scene)
        self._viewer.show(self.course, self.vehicle, self.traffic)

    def close(self) -> None:
        """Disconnect from the engines; a second call does nothing."""
        super().close()
        if isinstance(self.sensor, Camera):
            self.sensor.close()

    def privileged_observation(self) -> Array:
        """Return what the vehicle sees, or would see, with a lidar, without noise."""
        seen = np.concatenate((self._lidar.distances(self.vehicle.state), self.vehicle.measure()))
        return _bounded(seen, self._privileged_box)

    def _observe(self) -> Any:
        state, measured = self.vehicle.state, self.vehicle.measure()
        if isinstance(self.sensor, Lidar):
            return _bounded(np.concatenate((self.sensor.scan(state, self.np_random), measured)), self._box)
        return {"image": self.sensor.picture(state), "observation": _bounded(np.array(measured), self._box)}

    def _info(self) -> dict[str, Any]:
        progress = self._travelled / self.course.track.length
        return {
            "progress": progress,
            "mean_speed": self._travelled / (self._steps * self.plant.control_dt) if self._steps else 0.0,
            "contacts": int(self._touched),
            "track": self.course.number,
            "is_success": bool(progress >= 1.0 and not self._touched),
            "domain": dict(self._episode_domain),
        }


def _bounded(values: NDArray[np.float64], box: gym.spaces.Box) -> NDArray[np.float32]:
    return np.minimum(np.maximum(values, box.low), box.high).astype(np.float32)  # faster than np.clip
