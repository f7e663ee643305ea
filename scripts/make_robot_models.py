"""Write the lean robot models of ``sim2real_envs.arm`` from the stock ones that ``pybullet_data`` ships.

    python scripts/make_robot_models.py

A lean model moves as its original does but steps about twice as fast: fixed links are fused into their parents, there
are no shapes, and the masses and inertias that Bullet computes for the original (it replaces those of the file by those
of the collision shapes) are written in, to be loaded with ``URDF_USE_INERTIA_FROM_FILE``. The end effector stays a
massless link of its own: it is the frame that is controlled, and it carries the payload.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pybullet as p
import pybullet_data

ASSETS = Path(__file__).resolve().parents[1] / "envs" / "sim2real_envs" / "arm" / "assets"
NOTICE = """
  Written by scripts/make_robot_models.py from {source} of pybullet_data (from franka_ros, Copyright 2017
  Franka Emika GmbH, Apache License 2.0). Changed: fixed links fused, shapes left out, the inertias that Bullet computes
  from the collision shapes written in. Load with URDF_USE_INERTIA_FROM_FILE.
"""


def make_lean(source: str, name: str, end_effector: str) -> None:
    """Write ``assets/<name>.urdf``.

    Args:
        source: Path of the stock URDF under ``pybullet_data``.
        name: Name of the lean model.
        end_effector: Link that stays, without mass, behind the last moving link.
    """
    path = Path(pybullet_data.getDataPath()) / source
    stock = ET.parse(path).getroot()
    links = [str(link.get("name")) for link in stock.iter("link")]
    joints = {_child(joint, "child").get("link"): joint for joint in stock.iter("joint")}
    moving = [link for link in links if link in joints and joints[link].get("type") == "revolute"]
    dynamics = _dynamics(path)

    def place(link: str) -> tuple[str, np.ndarray]:
        """Return the link that carries ``link`` and its pose there; the gripper is frozen as it is at zero: closed."""
        pose = np.eye(4)
        while link in joints and link not in moving:
            pose = _origin(joints[link]) @ pose
            link = str(_child(joints[link], "parent").get("link"))
        return link, pose

    robot = ET.Element("robot", name=name)
    robot.append(ET.Comment(NOTICE.format(source=source)))
    for link in (n for n in links if n not in joints or n in moving):
        element = ET.SubElement(robot, "link", name=link)
        parts = [(*dynamics[n][:2], place(n)[1] @ dynamics[n][2]) for n in links if place(n)[0] == link]
        _add_inertial(element, *_fuse([part for part in parts if part[0] > 0.0]))
        if link in moving:
            parent, pose = place(str(_child(joints[link], "parent").get("link")))
            joint = _add_joint(robot, joints[link].get("name"), "revolute", parent, link, pose @ _origin(joints[link]))
            joint.extend([_child(joints[link], "axis"), _child(joints[link], "limit")])
    _add_inertial(ET.SubElement(robot, "link", name=end_effector), 0.0, np.zeros(3), np.eye(4))
    parent, pose = place(end_effector)
    _add_joint(robot, f"{end_effector}_joint", "fixed", parent, end_effector, pose)

    ET.indent(robot)
    ASSETS.mkdir(parents=True, exist_ok=True)
    target = ASSETS / f"{name}.urdf"
    target.write_text(ET.tostring(robot, encoding="unicode") + "\n", encoding="utf-8")
    print(f"wrote {target}")


def _dynamics(path: Path) -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
    """Return by link what Bullet makes of it: mass [kg], principal inertia [kg m^2], inertial frame in the link."""
    client = p.connect(p.DIRECT)
    # Not fixed: Bullet forgets the mass of a fixed base.
    body = p.loadURDF(str(path), physicsClientId=client)
    result = {}
    for index in range(-1, p.getNumJoints(body, physicsClientId=client)):
        name = p.getBodyInfo(body, client)[0] if index < 0 else p.getJointInfo(body, index, client)[12]
        info = p.getDynamicsInfo(body, index, client)
        result[name.decode()] = (info[0], np.array(info[2]), _transform(info[3], info[4]))
    p.disconnect(client)
    return result


def _fuse(parts: list[tuple[float, np.ndarray, np.ndarray]]) -> tuple[float, np.ndarray, np.ndarray]:
    """Fuse rigid parts, each a mass [kg], a principal inertia [kg m^2] and an inertial frame, into one of the same."""
    if len(parts) == 1:
        return parts[0]
    mass = sum(part[0] for part in parts)
    frame = np.eye(4)
    frame[:3, 3] = sum(part[0] * part[2][:3, 3] for part in parts) / mass
    inertia = np.zeros((3, 3))
    for part_mass, principal, part_frame in parts:
        rotation, offset = part_frame[:3, :3], part_frame[:3, 3] - frame[:3, 3]
        inertia += rotation @ np.diag(principal) @ rotation.T
        inertia += part_mass * (offset @ offset * np.eye(3) - np.outer(offset, offset))  # parallel axes
    principal, axes = np.linalg.eigh(inertia)
    frame[:3, :3] = axes * np.linalg.det(axes)  # a rotation, not a reflection
    return mass, principal, frame


def _child(element: ET.Element, tag: str) -> ET.Element:
    child = element.find(tag)
    if child is None:
        raise ValueError(f"<{element.tag} name={element.get('name')!r}> has no <{tag}>.")
    return child


def _transform(position: Iterable[float], quaternion: Iterable[float]) -> np.ndarray:
    frame = np.eye(4)
    frame[:3, :3] = np.reshape(p.getMatrixFromQuaternion(quaternion), (3, 3))
    frame[:3, 3] = list(position)
    return frame


def _origin(element: ET.Element) -> np.ndarray:
    origin = element.find("origin")
    if origin is None:
        return np.eye(4)
    xyz, rpy = ([float(x) for x in origin.get(key, "0 0 0").split()] for key in ("xyz", "rpy"))
    return _transform(xyz, p.getQuaternionFromEuler(rpy))


def _add_joint(robot: ET.Element, name: str | None, kind: str, parent: str, child: str, pose: np.ndarray) -> ET.Element:
    joint = ET.SubElement(robot, "joint", name=str(name), type=kind)
    _add_origin(joint, pose)
    ET.SubElement(joint, "parent", link=parent)
    ET.SubElement(joint, "child", link=child)
    return joint


def _add_origin(element: ET.Element, pose: np.ndarray) -> None:
    r = pose[:3, :3]
    roll, yaw = np.arctan2(r[2, 1], r[2, 2]), np.arctan2(r[1, 0], r[0, 0])
    pitch = np.arctan2(-r[2, 0], np.hypot(r[0, 0], r[1, 0]))
    ET.SubElement(element, "origin", xyz=_numbers(pose[:3, 3]), rpy=_numbers([roll, pitch, yaw]))


def _add_inertial(element: ET.Element, mass: float, principal: np.ndarray, frame: np.ndarray) -> None:
    inertial = ET.SubElement(element, "inertial")
    _add_origin(inertial, frame)
    ET.SubElement(inertial, "mass", value=_numbers([mass]))
    ixx, iyy, izz = (_numbers([value]) for value in principal)
    ET.SubElement(inertial, "inertia", ixx=ixx, ixy="0", ixz="0", iyy=iyy, iyz="0", izz=izz)


def _numbers(values: Any) -> str:
    return " ".join(f"{round(float(value), 12) + 0.0:.10g}" for value in values)


if __name__ == "__main__":
    make_lean("franka_panda/panda.urdf", "panda", "panda_grasptarget")
