"""Pictures of an arm: a PyBullet world of its own that only shows, so that drawing cannot change the physics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real_envs.arm.plant import RobotState
from sim2real_envs.arm.props import Cube
from sim2real_envs.arm.robot import RobotModel
from sim2real_envs.bullet import pybullet as p
from sim2real_envs.viewer import HEIGHT, WIDTH, Viewer

_TABLE = (0.42, 0.38, 0.02)
"""Half extents of the table top [m]; the robot stands on its back edge."""
_VIEW = {"cameraTargetPosition": [0.27, 0.0, 0.27], "yaw": 38.0, "pitch": -18.0}


class Scene(Viewer):
    """A robot at a table, a goal, and a cube where there is one.

    Args:
        model: The robot; its ``visual_urdf`` is drawn.
        window: Open a window instead of drawing off screen.
        goal_radius: Radius of the ball that marks the goal [m].

    Raises:
        Sim2RealError: There is no display to open a window on.
    """

    def __init__(self, model: RobotModel, *, window: bool, goal_radius: float) -> None:
        super().__init__(window=window)
        client = self._client
        self._body: int = p.loadURDF(model.visual_urdf, useFixedBase=True, physicsClientId=client)
        joints = self._indices(self._body)
        self._joints = [joints[name] for name in model.joints]
        self._gripper = self._body
        if model.fingers[0] not in joints:  # a gripper of ours: the lean model shows it, on an arm without shapes
            self._gripper = p.loadURDF(model.urdf("gripper"), useFixedBase=True, physicsClientId=client)
        joints = self._indices(self._gripper)
        self._gripper_joints = [joints[name] for name in model.joints]
        self._fingers = [joints[name] for name in model.fingers]
        self._cube: int | None = None
        self._cube_size = 0.0
        self._add(p.GEOM_BOX, [0.3, 0.0, -_TABLE[2]], [0.62, 0.54, 0.44, 1.0], halfExtents=_TABLE)
        self._goal = self._add(p.GEOM_SPHERE, [0.0, 0.0, 0.0], [0.1, 0.75, 0.25, 1.0], radius=goal_radius)
        self._camera = {
            "viewMatrix": p.computeViewMatrixFromYawPitchRoll(
                roll=0.0, upAxisIndex=2, distance=model.view_distance, **_VIEW
            ),
            "projectionMatrix": p.computeProjectionMatrixFOV(fov=45.0, aspect=WIDTH / HEIGHT, nearVal=0.1, farVal=6.0),
            "lightDirection": [1.0, -1.2, 2.5],
        }
        if window:
            view = {"cameraDistance": model.view_distance, "cameraYaw": _VIEW["yaw"], "cameraPitch": _VIEW["pitch"]}
            target = _VIEW["cameraTargetPosition"]
            p.resetDebugVisualizerCamera(**view, cameraTargetPosition=target, physicsClientId=client)

    def _add(self, kind: int, position: list[float], colour: list[float], **shape: Any) -> int:
        visual = p.createVisualShape(kind, rgbaColor=colour, physicsClientId=self._client, **shape)
        body: int = p.createMultiBody(baseVisualShapeIndex=visual, basePosition=position, physicsClientId=self._client)
        return body

    def _indices(self, body: int) -> dict[str, int]:
        infos = [p.getJointInfo(body, i, self._client) for i in range(p.getNumJoints(body, self._client))]
        return {info[1].decode(): info[0] for info in infos}

    def show(self, state: RobotState, goal: NDArray[Any], cube: Cube | None = None) -> None:
        """Move the robot, the goal [m] and the cube to where they are."""
        angles = state.joint_position.tolist()
        self._pose(self._body, self._joints, angles)
        self._pose(self._gripper, self._gripper_joints, angles)
        self._pose(self._gripper, self._fingers, [state.opening / 2.0] * 2)
        p.resetBasePositionAndOrientation(self._goal, goal.tolist(), [0.0, 0.0, 0.0, 1.0], physicsClientId=self._client)
        if cube is not None:
            if cube.size != self._cube_size:
                self._replace_cube(cube.size)
            p.resetBasePositionAndOrientation(
                self._cube, cube.position.tolist(), cube.orientation, physicsClientId=self._client
            )

    def _pose(self, body: int, joints: list[int], positions: list[float]) -> None:
        for joint, position in zip(joints, positions, strict=True):
            p.resetJointState(body, joint, position, physicsClientId=self._client)

    def _replace_cube(self, size: float) -> None:
        if self._cube is not None:
            p.removeBody(self._cube, physicsClientId=self._client)
        self._cube = self._add(p.GEOM_BOX, [0.0] * 3, [0.85, 0.35, 0.15, 1.0], halfExtents=[size / 2.0] * 3)
        self._cube_size = size

    def picture(self) -> NDArray[np.uint8]:
        """Return what the camera sees, shape (HEIGHT, WIDTH, 3)."""
        image = p.getCameraImage(
            WIDTH,
            HEIGHT,
            shadow=0,  # shadows double the time
            renderer=p.ER_TINY_RENDERER,
            flags=p.ER_NO_SEGMENTATION_MASK,
            physicsClientId=self._client,
            **self._camera,
        )
        return np.asarray(image[2], dtype=np.uint8).reshape(HEIGHT, WIDTH, 4)[:, :, :3].copy()
