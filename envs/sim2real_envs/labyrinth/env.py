"""``sim2real/Labyrinth-v0``: lead a marble through a labyrinth by tilting its board."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import EzPickle
from numpy.typing import NDArray

from sim2real.domains.channels import Channel, channel_box
from sim2real.domains.space import Domain
from sim2real_envs.actions import ActionCheck
from sim2real_envs.arguments import check_choice
from sim2real_envs.labyrinth.board import MAX_TILT, make_board
from sim2real_envs.labyrinth.camera import CAMERA_CHANNELS, PICTURES, Camera
from sim2real_envs.labyrinth.catalogue import find_layout
from sim2real_envs.labyrinth.domain import CAMERA_DOMAIN, LABYRINTH_DOMAIN
from sim2real_envs.labyrinth.layout import HOLE_RADIUS, HOLES_NEARBY
from sim2real_envs.labyrinth.route import Point, Route, distance_to_segment
from sim2real_envs.labyrinth.scene import PHOTO_SIZE, Scene
from sim2real_envs.world_env import WorldEnv, check_render_mode

Array = NDArray[Any]

WAYPOINTS_AHEAD = 3

_START_SPREAD = 0.004  # half edge of the square that the marble starts in [m]
_CHANNELS = (
    Channel(name="marble_velocity", width=2, unit="m/s", low=-3.0, high=3.0, noise=0.01),
    Channel(name="servo_angle", width=2, unit="rad", low=-0.2, high=0.2, noise=0.002),
    Channel(name="waypoint_offset", width=2 * WAYPOINTS_AHEAD, unit="m", low=-0.6, high=0.6, noise=0.001),
    Channel(name="hole_offset", width=2 * HOLES_NEARBY, unit="m", low=-0.6, high=0.6, noise=0.001),
)


class LabyrinthEnv(WorldEnv, EzPickle):
    """A marble on a board that two servos tilt; it has to follow a route past walls and holes.

    Observation (``Box`` of float32, 14 numbers): ``marble_velocity`` (2) [m/s], ``servo_angle`` (2) [rad], what the
    encoders of the servos read, ``waypoint_offset`` (6), the next three waypoints minus the position of the marble [m],
    ``hole_offset`` (4), the two nearest holes minus the position [m]. Where on the board the marble is, is left out:
    what was learned in one corridor then holds in the next, and in another layout. Nothing is told of the play, the
    bias and the warp of the board either. The ``"camera"`` form is the last three pictures of a camera above the board
    instead (``Box`` of uint8, 84 x 84 x 3, newest last); it adds the domain parameter ``camera_latency`` and takes
    about 2 ms a step. The 14 numbers are its ``privileged_observation`` then.

    Action in [-1, 1]: the commanded slope of the board along x and along y, over 0.1 rad.

    The episode ends when the marble has passed every waypoint in order (success), or when its middle has come over a
    hole. ``info`` has ``progress`` along the route in [0, 1], ``time`` [s] and ``fallen``.

    Reward terms, each with its weight included:

    * ``progress``: 50 per metre gained along the route.
    * ``finish``: 10 once.
    * ``fall``: -2 once, less than standing still costs in the long run (0.1 / (1 - gamma), 3.3 at gamma 0.97): a marble
      that mostly falls at a hole keeps trying there instead of waiting in front of it until the time is up.
    * ``time``: -0.1 for every step; without it a marble that once fell behind the next corner stays in front of it.
    * ``smoothness``: ``-0.02`` times the mean square change of the action.

    Args:
        layout: ``"easy-1"``, ``"medium-1"``, ``"hard-1"``, with any other number for a seed, or one laid by hand,
            ``"classic"``.
        observation: ``"state"`` or ``"camera"``.
        engine: ``"pybullet"`` or ``"mujoco"``.
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        control_dt: Time between two actions [s].
        physics_dt: Time step of the physics [s]; must divide ``control_dt``. If ``None``, what suits the
            engine: 4 ms in PyBullet, 2 ms in MuJoCo.

    Raises:
        Sim2RealError: An argument is unknown, or the times do not fit together.
    """

    whole_episode = ("marble_radius",)
    push_space = gym.spaces.Box(-0.002, 0.002, (2,), np.float32)

    targets_file: str | None = str(Path(__file__).parent / "targets" / "labyrinth.yaml")
    observation_channels: tuple[Channel, ...] = _CHANNELS
    privileged_channels: tuple[Channel, ...] | None = None
    action_channels = (Channel(name="board_tilt", width=2, unit="1", low=-1.0, high=1.0),)

    progress_weight = 50.0
    finish_bonus = 10.0
    fall_penalty = 2.0
    time_weight = 0.1
    smoothness_weight = 0.02

    def __init__(
        self,
        *,
        layout: str = "easy-1",
        observation: str = "state",
        engine: str = "pybullet",
        render_mode: str | None = None,
        control_dt: float = 0.04,
        physics_dt: float | None = None,
    ) -> None:
        EzPickle.__init__(
            self,
            layout=layout,
            observation=observation,
            engine=engine,
            render_mode=render_mode,
            control_dt=control_dt,
            physics_dt=physics_dt,
        )
        check_choice("observation", observation, ("state", "camera"))
        check_render_mode(render_mode)
        self.layout = find_layout(layout)
        self.board = make_board(engine, self.layout, control_dt=control_dt, physics_dt=physics_dt)
        self.simulation = self.board.simulation
        self.route = Route(self.layout.start, self.layout.waypoints)
        self._camera: Camera | None = None
        if observation == "camera":
            self.observation_channels = CAMERA_CHANNELS
            self.privileged_channels = _CHANNELS
            self._camera_scene = Scene(self.layout, window=False)
            self._camera = Camera(self._camera_scene, control_dt)
        space = LABYRINTH_DOMAIN if self._camera is None else LABYRINTH_DOMAIN | CAMERA_DOMAIN
        super().__init__(self.simulation, space, render_mode)
        self._check_action = ActionCheck(self.action_channels, "the board")
        self._steps = 0
        self._last_action = (0.0, 0.0)
        self.observation_space: gym.spaces.Box = channel_box(_CHANNELS)
        if self._camera is not None:
            self.observation_space = gym.spaces.Box(0, 255, (PHOTO_SIZE, PHOTO_SIZE, PICTURES), np.uint8)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def get_domain(self) -> Domain:
        """Read the domain of the present episode back from the simulator."""
        domain = self.board.get_domain()
        return domain if self._camera is None else {**domain, "camera_latency": self._camera.latency}

    def push(self, impulse: NDArray[Any]) -> None:
        """Push the marble along the board with an impulse, shape (2,) [N s], at once."""
        x, y = (np.asarray(impulse, np.float64) / self._episode_domain["marble_mass"]).tolist()
        self.board.kick(x, y)

    def _apply(self, domain: Domain) -> None:
        self.board.set_domain(domain)
        if self._camera is not None:
            self._camera.latency = domain["camera_latency"]

    def _begin_episode(self) -> Array:
        dx, dy = self.np_random.uniform(-_START_SPREAD, _START_SPREAD, 2).tolist()
        x, y = self.layout.start
        self.board.reset((x + dx, y + dy))
        self.route.begin(self.board.position)
        self._steps = 0
        self._last_action = (0.0, 0.0)
        if self._camera is not None:
            self._camera.begin(*self._pose())
        return self._observe(self._holes_by_distance())

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Command the slopes for one control step.

        Raises:
            Sim2RealError: The action has another shape, or a number that is not finite.
        """
        self.simulation.focus()
        x, y = self._check_action(action)
        board, route = self.board, self.route
        before = board.position
        board.step(MAX_TILT * x, MAX_TILT * y)
        self._steps += 1
        progress = self.progress_weight * route.advance(board.position)
        holes = self._holes_by_distance()
        finished = route.finished
        fallen = not finished and self._is_fallen(before, holes)
        finish = self.finish_bonus if finished else 0.0
        fall = -self.fall_penalty if fallen else 0.0
        last_x, last_y = self._last_action
        smoothness = -0.5 * self.smoothness_weight * ((x - last_x) ** 2 + (y - last_y) ** 2)
        self._last_action = (x, y)
        if self._camera is not None:
            self._camera.see(*self._pose())
        info = self._info(fallen=fallen)
        info["reward/progress"] = progress
        info["reward/finish"] = finish
        info["reward/fall"] = fall
        info["reward/time"] = -self.time_weight
        info["reward/smoothness"] = smoothness
        if self.render_mode == "human":
            self._show_in_window()
        reward = progress + finish + fall - self.time_weight + smoothness
        return self._observe(holes), reward, finished or fallen, False, info

    def _make_viewer(self, *, window: bool) -> Scene:
        return Scene(self.layout, window=window)

    def _show(self) -> None:
        assert isinstance(self._viewer, Scene)
        position, slopes, radius = self._pose()
        self._viewer.show(position, radius, slopes)

    def close(self) -> None:
        """Close the engine's world and what draws it; a second call does nothing."""
        super().close()
        if self._camera is not None:
            self._camera_scene.close()

    def _pose(self) -> tuple[Point, Point, float]:
        """Return where the marble is [m], how the board is tilted [rad] and the marble's radius [m]."""
        return self.board.position, self.board.slopes, self._episode_domain["marble_radius"]

    def _holes_by_distance(self) -> list[tuple[float, Point]]:
        position, distance = self.board.position, math.dist
        return sorted([(distance(position, hole), hole) for hole in self.layout.holes])

    def _is_fallen(self, before: Point, holes: list[tuple[float, Point]]) -> bool:
        """Return whether the middle of the marble came over a hole on its way, which ends its support."""
        after = self.board.position
        way = math.dist(before, after)
        for distance, hole in holes:
            if distance > HOLE_RADIUS + way:
                return False
            if distance_to_segment(hole, before, after) <= HOLE_RADIUS:
                return True
        return False

    def privileged_observation(self) -> Array:
        """Return the state form of the observation, whatever is shown."""
        return self._state(self._holes_by_distance())

    def _observe(self, holes: list[tuple[float, Point]]) -> Array:
        return self._state(holes) if self._camera is None else self._camera.pictures()

    def _state(self, holes: list[tuple[float, Point]]) -> Array:
        x, y = self.board.position
        servo_x, servo_y = self.board.servos
        values = [*self.board.velocity, servo_x.angle, servo_y.angle]
        for px, py in self.route.ahead(WAYPOINTS_AHEAD):
            values += (px - x, py - y)
        for _, (px, py) in holes[:HOLES_NEARBY]:
            values += (px - x, py - y)
        return np.array(values, np.float32)

    def _info(self, *, fallen: bool = False) -> dict[str, Any]:
        return {
            "progress": self.route.progress,
            "time": self._steps * self.simulation.control_dt,
            "fallen": fallen,
            "is_success": self.route.finished,
            "domain": dict(self._episode_domain),
        }
