"""Write the lean robot models of ``sim2real_envs.arm`` from the stock ones that ``pybullet_data`` ships.

    python scripts/make_robot_models.py

A lean model moves as its original does but steps about twice as fast: fixed links are fused into their parents, there
are no shapes but a few boxes of the hand, and the masses and inertias that Bullet computes for the original (it
replaces those of the file by those of the collision shapes) are written in, to be loaded with
``URDF_USE_INERTIA_FROM_FILE``. Limits that are placeholders in the original are those of the real robot. The end
effector stays a massless link of its own: it is the frame that is controlled, and it carries the payload.

Each robot comes in three variants: ``<name>.urdf`` has its gripper closed and no shapes, ``<name>_closed.urdf`` has the
shapes of the closed gripper, and in ``<name>_gripper.urdf`` the two fingers move.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pybullet_data

from sim2real_envs.bullet import pybullet as p
from sim2real_envs.bullet import quiet

ASSETS = Path(__file__).resolve().parents[1] / "envs" / "sim2real_envs" / "arm" / "assets"
Dynamics = dict[str, tuple[float, np.ndarray, np.ndarray]]
"""By link: mass [kg], principal inertia [kg m^2], inertial frame in the link."""


@dataclass(frozen=True)
class Box:
    """A box that stands for a part of a link."""

    size: tuple[float, float, float]
    """Edges [m]."""
    centre: tuple[float, float, float]
    """In the frame of the link [m]."""
    mass: float = 0.0
    """Zero where the stock model has the mass already [kg]."""


@dataclass(frozen=True, kw_only=True)
class Gripper:
    """A parallel gripper of ours, for an arm with a bare flange: a hand, two fingers that slide along y."""

    flange: str
    """Link of the arm that it is screwed to."""
    offset: float
    """Distance of the flange's surface from the frame of that link, along z [m]."""
    hand: Box
    """In a frame on the flange."""
    finger: Box
    """The left one, closed; in the frame of the hand."""
    stroke: float
    """How far each finger opens [m]."""
    force: float
    """Largest force of each finger [N]."""
    speed: float
    """Largest speed of each finger [m/s]."""
    tool: float
    """Distance of the end effector from the flange's surface [m]."""


@dataclass(frozen=True, kw_only=True)
class Robot:
    """What to make of a stock URDF."""

    name: str
    source: str
    """Path under ``pybullet_data``."""
    origin: str
    """Where that comes from, and its licence."""
    end_effector: str
    """Link that stays, without mass, behind the last moving link."""
    shapes: Mapping[str, Box] = field(default_factory=dict)
    """Boxes that stand for the shapes of the hand and of the fingers, by link."""
    gripper: Gripper | None = None
    """What is added to the stock model."""
    limits: tuple[tuple[float, float], ...] = ()
    """Largest torque [N m] and speed [rad/s] of each joint, where the stock file has placeholders."""


PANDA = Robot(
    name="panda",
    source="franka_panda/panda.urdf",
    origin="from franka_ros, Copyright 2017\n  Franka Emika GmbH, Apache License 2.0, see LICENSE-franka_ros",
    end_effector="panda_grasptarget",
    # The bounds of the stock meshes; of the fingers, those of their pads.
    shapes={
        "panda_hand": Box((0.063, 0.204, 0.066), (0.0, 0.0, 0.033)),
        "panda_leftfinger": Box((0.021, 0.0145, 0.0538), (0.0, 0.00725, 0.0269)),
        "panda_rightfinger": Box((0.021, 0.0145, 0.0538), (0.0, -0.00725, 0.0269)),
    },
)
KUKA = Robot(
    name="kuka",
    source="kuka_iiwa/model.urdf",
    origin="from lbr_iiwa, under the licence below",
    end_effector="tool",
    # KUKA's brochure of the LBR iiwa, for the iiwa 14; the stock file has 300 N m and 10 rad/s for every joint.
    limits=(
        (320.0, math.radians(85.0)),
        (320.0, math.radians(85.0)),
        (176.0, math.radians(100.0)),
        (176.0, math.radians(75.0)),
        (110.0, math.radians(130.0)),
        (40.0, math.radians(135.0)),
        (40.0, math.radians(135.0)),
    ),
    # After the Schunk WSG 50: width and masses of Drake's model of it (wsg_50_description), which allows it 80 N; the
    # opening of 0.11 m and the speed are the limits of its ROS driver (wsg50-ros-pkg). The force is our choice.
    gripper=Gripper(
        flange="lbr_iiwa_link_7",
        offset=0.045,
        hand=Box((0.06, 0.146, 0.073), (0.0, 0.0, 0.0365), mass=0.99),
        finger=Box((0.021, 0.0145, 0.06), (0.0, 0.00725, 0.103), mass=0.05),
        stroke=0.055,
        force=30.0,
        speed=0.42,
        tool=0.126,
    ),
)
XARM6 = Robot(
    name="xarm6",
    source="xarm/xarm6_robot.urdf",
    # Its packages say "BSD"; year and owner are those in the heads of UFACTORY's files.
    origin="from xarm_ros, Copyright 2018\n  UFACTORY, Inc., BSD License, see LICENSE-xarm_ros",
    end_effector="tool",
    # After UFACTORY's own gripper as xarm/xarm6_with_gripper.urdf of pybullet_data has it: 0.75 kg, of which 0.05 kg in
    # each finger, and an opening of 0.083 m. Force and speed are assumed.
    gripper=Gripper(
        flange="link6",
        offset=0.0,
        hand=Box((0.06, 0.12, 0.09), (0.0, 0.0, 0.045), mass=0.65),
        finger=Box((0.021, 0.0145, 0.06), (0.0, 0.00725, 0.12), mass=0.05),
        stroke=0.0415,
        force=30.0,
        speed=0.2,
        tool=0.143,
    ),
)
ROBOTS = (PANDA, KUKA, XARM6)


def make_lean(robot: Robot, variant: str = "", *, folder: Path = ASSETS) -> Path:
    """Write a lean model.

    Args:
        robot: What robot.
        variant: ``""``, ``"closed"`` or ``"gripper"``; see above.
        folder: Where to.

    Returns:
        The file, ``<name>.urdf`` or ``<name>_<variant>.urdf``.
    """
    path = Path(pybullet_data.getDataPath()) / robot.source
    stock = ET.parse(path).getroot()
    dynamics = _dynamics(path)
    boxes = dict(robot.shapes)
    _correct(stock, robot.limits)
    if robot.gripper is not None:
        _attach(stock, dynamics, boxes, robot.gripper, robot.end_effector)
    links = [str(link.get("name")) for link in stock.findall("link")]
    joints = {_child(joint, "child").get("link"): joint for joint in stock.findall("joint")}
    kinds = ("revolute", "prismatic") if variant == "gripper" else ("revolute",)
    moving = [link for link in links if link in joints and joints[link].get("type") in kinds]

    def place(link: str) -> tuple[str, np.ndarray]:
        """Return the link that carries ``link`` and its pose there; what is frozen is so as it is at zero: closed."""
        pose = np.eye(4)
        while link in joints and link not in moving:
            pose = _origin(joints[link]) @ pose
            link = str(_child(joints[link], "parent").get("link"))
        return link, pose

    lean = ET.Element("robot", name=robot.name)
    lean.append(ET.Comment(_notice(robot, variant)))
    lean.extend(ET.Comment(f"\n{text}\n") for text in [_licence(path)] if text)
    for link in (n for n in links if n not in joints or n in moving):
        element = ET.SubElement(lean, "link", name=link)
        parts = [(*dynamics[n][:2], place(n)[1] @ dynamics[n][2]) for n in links if place(n)[0] == link]
        _add_inertial(element, *_fuse([part for part in parts if part[0] > 0.0]))
        for name in (n for n in boxes if variant and place(n)[0] == link):
            _add_box(element, boxes[name], place(name)[1], seen=robot.gripper is not None)
        if link in moving:
            kind = str(joints[link].get("type"))
            parent, pose = place(str(_child(joints[link], "parent").get("link")))
            joint = _add_joint(lean, joints[link].get("name"), kind, parent, link, pose @ _origin(joints[link]))
            joint.extend([_child(joints[link], "axis"), _child(joints[link], "limit")])
            joint.extend(joints[link].findall("dynamics"))
    _add_inertial(ET.SubElement(lean, "link", name=robot.end_effector), 0.0, np.zeros(3), np.eye(4))
    parent, pose = place(robot.end_effector)
    _add_joint(lean, f"{robot.end_effector}_joint", "fixed", parent, robot.end_effector, pose)

    ET.indent(lean)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (f"{robot.name}_{variant}.urdf" if variant else f"{robot.name}.urdf")
    target.write_text(ET.tostring(lean, encoding="unicode") + "\n", encoding="utf-8")
    return target


def _notice(robot: Robot, variant: str) -> str:
    shapes = "boxes in place of the hand's shapes, the others left out" if variant else "shapes left out"
    added = "" if robot.gripper is None else " a gripper of our own added,"
    return (
        f"\n  Written by scripts/make_robot_models.py from {robot.source} of pybullet_data ({robot.origin})."
        f" Changed: fixed links fused, {shapes},{added} the inertias that Bullet computes\n"
        "  from the collision shapes written in. Load with URDF_USE_INERTIA_FROM_FILE.\n"
    )


def _licence(path: Path) -> str:
    """Return the licence that stands in comments at the head of a stock file, which asks to be kept."""
    lines = [line[4:-3].rstrip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("<!--")]
    start = next((i for i, line in enumerate(lines) if line.startswith("LICENSE")), len(lines))
    end = next((i for i, line in enumerate(lines[start:], start) if line.startswith(" ===")), len(lines))
    return "\n".join(f"  {line}".rstrip() for line in lines[start:end])


def _correct(stock: ET.Element, limits: tuple[tuple[float, float], ...]) -> None:
    """Replace the limits of torque and speed in the stock model, in place."""
    joints = [joint for joint in stock.findall("joint") if joint.get("type") == "revolute"]
    for joint, (effort, velocity) in zip(joints, limits, strict=bool(limits)):
        _child(joint, "limit").attrib |= {"effort": _numbers([effort]), "velocity": _numbers([velocity])}


def _attach(stock: ET.Element, dynamics: Dynamics, boxes: dict[str, Box], gripper: Gripper, tool: str) -> None:
    """Add a gripper to the stock model, in place."""
    right = Box(gripper.finger.size, (1.0, -1.0, 1.0) * np.array(gripper.finger.centre), gripper.finger.mass)  # type: ignore[arg-type]
    for name, box in (("hand", gripper.hand), ("left_finger", gripper.finger), ("right_finger", right)):
        frame = np.eye(4)
        frame[:3, 3] = box.centre
        squares = np.square(box.size)
        dynamics[name] = (box.mass, box.mass / 12.0 * (squares.sum() - squares), frame)
        boxes[name] = box
    dynamics[tool] = (0.0, np.zeros(3), np.eye(4))
    for name, parent, z in (
        ("hand", gripper.flange, gripper.offset),
        ("left_finger", "hand", 0.0),
        ("right_finger", "hand", 0.0),
        (tool, "hand", gripper.tool),
    ):
        ET.SubElement(stock, "link", name=name)
        pose = np.eye(4)
        pose[2, 3] = z
        kind = "prismatic" if "finger" in name else "fixed"
        joint = _add_joint(stock, f"{name}_joint", kind, parent, name, pose)
        if kind == "prismatic":
            ET.SubElement(joint, "axis", xyz="0 1 0" if name == "left_finger" else "0 -1 0")
            limit = {"effort": gripper.force, "lower": 0.0, "upper": gripper.stroke, "velocity": gripper.speed}
            ET.SubElement(joint, "limit", {key: _numbers([value]) for key, value in limit.items()})


def _dynamics(path: Path) -> Dynamics:
    """Return by link what Bullet makes of it: mass [kg], principal inertia [kg m^2], inertial frame in the link."""
    client = p.connect(p.DIRECT)
    # Not fixed: Bullet forgets the mass of a fixed base.
    with quiet():
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
    if not parts:
        return 0.0, np.zeros(3), np.eye(4)
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


def _add_box(element: ET.Element, box: Box, pose: np.ndarray, *, seen: bool) -> None:
    frame = np.eye(4)
    frame[:3, 3] = box.centre
    for tag in ("visual", "collision") if seen else ("collision",):
        part = ET.SubElement(element, tag)
        _add_origin(part, pose @ frame)
        ET.SubElement(ET.SubElement(part, "geometry"), "box", size=_numbers(box.size))


def _numbers(values: Any) -> str:
    return " ".join(f"{round(float(value), 12) + 0.0:.10g}" for value in values)


if __name__ == "__main__":
    for robot in ROBOTS:
        for variant in ("", "closed", "gripper"):
            print(f"wrote {make_lean(robot, variant)}")
