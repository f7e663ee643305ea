"""Pictures of a track: a PyBullet world of its own that only shows, so that drawing cannot change the physics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real_envs.bullet import pybullet as p
from sim2real_envs.bullet import quiet
from sim2real_envs.driving.course import Course
from sim2real_envs.driving.meshes import BOX, GLASS, GRASS, ICE, LINE, OTHER_CAR, ROAD, WALLS, Rgba, lawn, mesh, strip
from sim2real_envs.driving.track import WALL_HEIGHT
from sim2real_envs.driving.traffic import BOX_HALF_EXTENTS, Traffic
from sim2real_envs.driving.vehicle import Vehicle
from sim2real_envs.viewer import HEIGHT, WIDTH, Viewer

_BLOCK = 5  # points of the centre line per block of one colour
_THICKNESS = 0.07  # of the walls in the picture [m]


class Scene(Viewer):
    """A track, one vehicle with its meshes, and what else drives there.

    Args:
        window: Open a window instead of drawing off screen.
        vehicle: Its ``look`` is drawn.

    Raises:
        Sim2RealError: There is no display to open a window on.
    """

    def __init__(self, *, window: bool, vehicle: Vehicle) -> None:
        super().__init__(window=window)
        client = self._client
        self._look = vehicle.look
        with quiet():
            self._vehicle: int = p.loadURDF(
                self._look.urdf, useFixedBase=True, globalScaling=self._look.scale, physicsClientId=client
            )
        infos = [p.getJointInfo(self._vehicle, i, client) for i in range(p.getNumJoints(self._vehicle, client))]
        self._steering = {
            info[0]: self._look.steering[info[1].decode()] for info in infos if info[1].decode() in self._look.steering
        }
        # A URDF is placed by the centre of mass of its base.
        self._base = p.getDynamicsInfo(self._vehicle, -1, client)[3:5]
        self._built: tuple[int, tuple[tuple[float, float], ...]] | None = None
        self._road: list[int] = []
        self._traffic: list[int] = []
        self._state: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def show(self, course: Course, vehicle: Vehicle, traffic: Traffic) -> None:
        """Move everything to where it is."""
        client = self._client
        built = course.number, tuple(course.patches())
        if built != self._built:
            for body in self._road:
                p.removeBody(body, physicsClientId=client)
            self._road = self._build(course)
            self._built = built
        if not self._traffic:
            self._traffic = [self._make_car() for _ in range(traffic.cars)]
            self._traffic += [self._make_box() for _ in range(traffic.obstacles)]
        for body, (x, y, yaw) in zip(self._traffic, traffic.poses, strict=True):
            turn = p.getQuaternionFromEuler([0.0, 0.0, yaw])
            p.resetBasePositionAndOrientation(body, [x - course.origin, y, 0.0], turn, physicsClientId=client)
        state = vehicle.state
        x, y = state.x - course.origin, state.y
        self._state = x, y, state.yaw
        place = [x + self._look.forward * state.cos, y + self._look.forward * state.sin, 0.0]
        turn = p.getQuaternionFromEuler([0.0, 0.0, state.yaw])
        place, turn = p.multiplyTransforms(place, turn, *self._base)
        p.resetBasePositionAndOrientation(self._vehicle, place, turn, physicsClientId=client)
        for joint, sign in self._steering.items():
            p.resetJointState(self._vehicle, joint, sign * vehicle.wheel_angle, physicsClientId=client)
        if self._window:
            p.resetDebugVisualizerCamera(
                cameraDistance=1.8,
                cameraYaw=math.degrees(state.yaw) - 90.0,
                cameraPitch=-35.0,
                cameraTargetPosition=[x, y, 0.0],
                physicsClientId=client,
            )

    def picture(self) -> NDArray[np.uint8]:
        """Return what a camera behind and above the vehicle sees, shape (HEIGHT, WIDTH, 3)."""
        x, y, yaw = self._state
        cos, sin = math.cos(yaw), math.sin(yaw)
        image = p.getCameraImage(
            WIDTH,
            HEIGHT,
            viewMatrix=p.computeViewMatrix(
                [x - 1.15 * cos, y - 1.15 * sin, 0.95], [x + 0.55 * cos, y + 0.55 * sin, 0.0], [0.0, 0.0, 1.0]
            ),
            projectionMatrix=p.computeProjectionMatrixFOV(fov=58.0, aspect=WIDTH / HEIGHT, nearVal=0.1, farVal=30.0),
            lightDirection=[4.0, -5.0, 9.0],
            shadow=0,  # shadows double the time
            renderer=p.ER_TINY_RENDERER,
            flags=p.ER_NO_SEGMENTATION_MASK,
            physicsClientId=self._client,
        )
        return np.asarray(image[2], dtype=np.uint8).reshape(HEIGHT, WIDTH, 4)[:, :, :3].copy()

    def _build(self, course: Course) -> list[int]:
        track = course.track
        half, outside = track.width / 2, track.width / 2 + _THICKNESS
        road = strip(track, (-half, 0.0), (half, 0.0))
        ice = strip(track, (-half, 0.005), (half, 0.005))
        spans = [(round(begin / track.spacing), round(end / track.spacing)) for begin, end in course.patches()]
        icy = [i % len(ice) for begin, end in spans for i in range(begin, end)]
        dashes = strip(track, (-0.015, 0.01), (0.015, 0.01))
        walls = np.stack(
            [
                face
                for side in (1.0, -1.0)
                for face in (
                    strip(track, (side * half, 0.0), (side * half, WALL_HEIGHT)),
                    strip(track, (side * half, WALL_HEIGHT), (side * outside, WALL_HEIGHT)),
                    strip(track, (side * outside, WALL_HEIGHT), (side * outside, 0.0)),
                )
            ]
        )
        number = np.arange(len(road))
        red = number // _BLOCK % 2 == 0
        parts = [
            (lawn(track), GRASS),
            (road, ROAD),
            (ice[icy], ICE),
            (dashes[number % 10 < 4], LINE),
            (walls[:, red].reshape(-1, 4, 3), WALLS[0]),
            (walls[:, ~red].reshape(-1, 4, 3), WALLS[1]),
        ]
        return [self._body(mesh(quads, colour, self._client)) for quads, colour in parts if len(quads)]

    def _make_car(self) -> int:
        return self._body(
            self._box((0.22, 0.125, 0.035), (0.0, 0.0, 0.06), OTHER_CAR),
            self._box((0.1, 0.1, 0.03), (-0.03, 0.0, 0.12), GLASS),
        )

    def _make_box(self) -> int:
        edge = BOX_HALF_EXTENTS[0]
        return self._body(self._box((edge, edge, edge), (0.0, 0.0, edge), BOX))

    def _body(self, base: int, top: int | None = None) -> int:
        extra = {} if top is None else _fixed_link(top)
        body: int = p.createMultiBody(baseVisualShapeIndex=base, physicsClientId=self._client, **extra)
        return body

    def _box(self, size: tuple[float, float, float], centre: tuple[float, float, float], colour: Rgba) -> int:
        shape: int = p.createVisualShape(
            p.GEOM_BOX,
            halfExtents=size,
            rgbaColor=colour,
            visualFramePosition=centre,
            physicsClientId=self._client,
        )
        return shape


def _fixed_link(shape: int) -> dict[str, Any]:
    zero, no_turn = [[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 1.0]]
    return {
        "linkMasses": [0.0],
        "linkCollisionShapeIndices": [-1],
        "linkVisualShapeIndices": [shape],
        "linkPositions": zero,
        "linkOrientations": no_turn,
        "linkInertialFramePositions": zero,
        "linkInertialFrameOrientations": no_turn,
        "linkParentIndices": [0],
        "linkJointTypes": [p.JOINT_FIXED],
        "linkJointAxis": [[0.0, 0.0, 1.0]],
    }
