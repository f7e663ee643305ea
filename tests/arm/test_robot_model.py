"""The lean robots are the stock ones: same inertia, limits and motion; and the gripper weighs what it should."""

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pybullet as p
import pybullet_data
import pytest

from sim2real.errors import Sim2RealError
from sim2real_envs.arm.bullet_arm import BulletArm
from sim2real_envs.arm.robot import Robot, RobotModel
from sim2real_envs.arm.worlds import ROBOTS
from sim2real_envs.simulation import Simulation

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_robot_models.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_robot_models", SCRIPT)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def recipe(script, name):
    return next(robot for robot in script.ROBOTS if robot.name == name)


class Arm:
    """A robot in a client of its own; moving fingers of the stock one are held closed."""

    def __init__(self, model: RobotModel, path: str, tip: str, *, lean: bool) -> None:
        self.client = p.connect(p.DIRECT)
        p.setAdditionalSearchPath(pybullet_data.getDataPath(), physicsClientId=self.client)
        p.setPhysicsEngineParameter(fixedTimeStep=0.004, physicsClientId=self.client)
        p.setGravity(0.0, 0.0, -9.81, physicsClientId=self.client)
        flags = p.URDF_USE_INERTIA_FROM_FILE if lean else 0
        self.body = p.loadURDF(path, useFixedBase=True, flags=flags, physicsClientId=self.client)
        infos = [p.getJointInfo(self.body, i, self.client) for i in range(p.getNumJoints(self.body, self.client))]
        joints = {info[1].decode(): info for info in infos}
        self.infos = [joints[name] for name in model.joints]
        self.joints = [info[0] for info in self.infos]
        self.tip = next(info[0] for info in infos if info[12].decode() == tip)
        self.moving = [info[0] for info in infos if info[2] != p.JOINT_FIXED]
        for joint in self.moving[len(self.joints) :]:
            p.changeDynamics(self.body, joint, jointLowerLimit=0.0, jointUpperLimit=1e-5, physicsClientId=self.client)
            p.setJointMotorControl2(
                self.body, joint, p.POSITION_CONTROL, targetPosition=0.0, force=1e4, physicsClientId=self.client
            )
        for joint in self.joints:
            p.setJointMotorControl2(self.body, joint, p.VELOCITY_CONTROL, force=0.0, physicsClientId=self.client)
        self.place(model.home, [0.0] * len(self.joints))

    def place(self, position, speed) -> None:
        for joint, q, v in zip(self.joints, position, speed, strict=True):
            p.resetJointState(self.body, joint, q, v, physicsClientId=self.client)

    def drive(self, target: np.ndarray, torques: list[float]) -> None:
        p.setJointMotorControlArray(
            self.body,
            self.joints,
            p.POSITION_CONTROL,
            targetPositions=target.tolist(),
            positionGains=[0.19] * len(self.joints),
            forces=torques,
            physicsClientId=self.client,
        )

    def step(self) -> np.ndarray:
        p.stepSimulation(physicsClientId=self.client)
        return np.array(p.getLinkState(self.body, self.tip, 0, 1, self.client)[4])


@pytest.fixture(params=list(ROBOTS))
def robot(request):
    return ROBOTS[request.param]


@pytest.fixture
def arms(robot, script, tmp_path):
    """Return the lean and the stock arm; a gripper of ours, which the stock arm has not, weighs nothing there."""
    stock = recipe(script, robot.name)
    path, tip = robot.urdf("bare"), robot.end_effector
    if stock.gripper is not None:
        tip = stock.gripper.flange
        parts = {part: replace(getattr(stock.gripper, part), mass=0.0) for part in ("hand", "finger")}
        path = str(script.make_lean(replace(stock, gripper=replace(stock.gripper, **parts)), folder=tmp_path))
    both = Arm(robot, path, tip, lean=True), Arm(robot, robot.visual_urdf, tip, lean=False)
    yield both
    for arm in both:
        p.disconnect(arm.client)


def test_limits_torques_and_damping_are_the_stock_ones_or_the_makers(robot, script, arms):
    lean, stock = arms
    makers = recipe(script, robot.name).limits or [info[10:12] for info in stock.infos]
    for ours, theirs, torque_and_speed in zip(lean.infos, stock.infos, makers, strict=True):
        assert ours[1] == theirs[1]
        assert ours[6] == theirs[6]
        assert ours[8:10] == theirs[8:10]
        assert ours[10:12] == pytest.approx(torque_and_speed)


@pytest.mark.parametrize("seed", range(3))
def test_mass_matrix_and_weight_are_the_stock_ones(robot, arms, seed):
    n = len(robot.joints)
    q = (np.random.default_rng(seed).uniform(-0.8, 0.8, n) + robot.home).tolist()
    matrices, weights = [], []
    for arm in arms:
        values, zeros = q + [0.0] * (len(arm.moving) - n), [0.0] * len(arm.moving)
        matrices.append(np.array(p.calculateMassMatrix(arm.body, values, physicsClientId=arm.client))[:n, :n])
        torque = p.calculateInverseDynamics(arm.body, values, zeros, zeros, physicsClientId=arm.client)
        weights.append(torque[:n])
    np.testing.assert_allclose(*matrices, atol=1e-6)
    np.testing.assert_allclose(*weights, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_end_of_the_arm_is_where_that_of_the_stock_one_is(robot, arms, seed):
    lower, upper = np.array([info[8:10] for info in arms[0].infos]).T
    q = np.random.default_rng(seed).uniform(lower, upper)
    poses = []
    for arm in arms:
        arm.place(q, np.zeros_like(q))
        position, turn = p.getLinkState(arm.body, arm.tip, 0, 1, arm.client)[4:6]
        poses.append([*position, *p.getMatrixFromQuaternion(turn)])
    np.testing.assert_allclose(*poses, atol=1e-6)


def test_free_fall_is_that_of_the_stock_arm(arms):
    lean, stock = arms
    assert max(np.linalg.norm(lean.step() - stock.step()) for _ in range(75)) < 1e-3  # 0.3 s


@pytest.mark.parametrize("seed", range(3))
def test_a_free_swing_is_that_of_the_stock_arm(robot, arms, seed):
    rng, n = np.random.default_rng(seed), len(robot.joints)
    q, speed = rng.uniform(-0.5, 0.5, n) + robot.home, rng.uniform(-1.0, 1.0, n)
    lean, stock = arms
    for arm in arms:
        arm.place(q, speed)
    assert max(np.linalg.norm(lean.step() - stock.step()) for _ in range(50)) < 1e-3  # 0.2 s


def test_driven_motion_is_that_of_the_stock_arm(robot, arms):
    lean, stock = arms
    rng, worst = np.random.default_rng(0), 0.0
    target = np.array(robot.home)
    for _ in range(25):  # 1 s
        target = target + rng.uniform(-0.05, 0.05, len(robot.joints))
        for arm in arms:
            arm.drive(target, [info[10] for info in lean.infos])
        worst = max(worst, *(float(np.linalg.norm(lean.step() - stock.step())) for _ in range(10)))
    assert worst < 1e-3


def dynamics(path):
    client = p.connect(p.DIRECT)
    body = p.loadURDF(path, useFixedBase=True, flags=p.URDF_USE_INERTIA_FROM_FILE, physicsClientId=client)
    infos = [p.getDynamicsInfo(body, i, client) for i in range(p.getNumJoints(body, client))]
    p.disconnect(client)
    return infos


def test_the_gripper_is_as_heavy_as_it_says(robot, script):
    stock = recipe(script, robot.name)
    masses = {hand: sum(info[0] for info in dynamics(robot.urdf(hand))) for hand in ("bare", "closed", "gripper")}
    assert masses["bare"] == pytest.approx(masses["closed"]) == pytest.approx(masses["gripper"])
    if stock.gripper is not None:
        lean = dynamics(robot.urdf("gripper"))
        assert [info[0] for info in lean[-3:-1]] == pytest.approx([stock.gripper.finger.mass] * 2)
        assert 0.7 < 2 * stock.gripper.finger.mass + stock.gripper.hand.mass < 1.3


@pytest.mark.parametrize("hand", ["bare", "closed", "gripper"])
def test_the_models_are_what_the_script_writes(robot, script, tmp_path, hand):
    written = script.make_lean(recipe(script, robot.name), "" if hand == "bare" else hand, folder=tmp_path)
    assert written.read_text() == Path(robot.urdf(hand)).read_text()


@pytest.mark.parametrize("hand", ["bare", "closed", "gripper"])
def test_every_model_carries_the_licence_of_its_original(robot, hand):
    path = Path(robot.urdf(hand))
    text = path.read_text()
    if robot.name == "kuka":
        assert "Copyright (c) 2015, Robert Krug & Todor Stoyanov" in text
        assert "Redistribution and use in source and binary forms" in text
    else:
        name = re.search(r"Licen[cs]e.*, see (LICENSE-\w+)", text).group(1)
        assert re.search("Apache License|BSD 3-Clause License", (path.parent / name).read_text())


def test_home_is_the_middle_of_the_workspace_with_the_hand_down(robot):
    simulation = Simulation(control_dt=0.04, physics_dt=0.004)
    arm = Robot(BulletArm(simulation, robot), robot)
    np.testing.assert_allclose(arm.state.position, robot.workspace, atol=1e-4)
    rotation = np.reshape(p.getMatrixFromQuaternion(arm.home_orientation), (3, 3))
    np.testing.assert_allclose(rotation[:, 2], [0.0, 0.0, -1.0], atol=1e-3)
    np.testing.assert_allclose(np.abs(rotation[:, 1]), [0.0, 1.0, 0.0], atol=1e-3)  # the fingers open along y
    simulation.close()


def test_the_hand_can_work_everywhere_in_the_workspace(robot):
    simulation = Simulation(control_dt=0.04, physics_dt=0.004)
    half = robot.workspace_size / 2
    for dx, dy, z in np.array(np.meshgrid([-half, half], [-half, half], [0.02, robot.workspace[2] + half])).T.reshape(
        -1, 3
    ):
        place = (robot.workspace[0] + dx, dy, z)
        plant = BulletArm(simulation, robot)
        arm = Robot(plant, robot, start=place)
        np.testing.assert_allclose(arm.state.position, place, atol=1e-4)
        assert (arm.home > arm.lower + 0.05).all()
        assert (arm.home < arm.upper - 0.05).all()
        p.removeBody(plant._body, physicsClientId=simulation.client)
    simulation.close()


def test_a_model_that_does_not_fit_its_joints_is_refused():
    with pytest.raises(Sim2RealError, match="stiffness has 1 values for 2 joints"):
        RobotModel(
            name="x", visual_urdf="y", joints=("a", "b"), end_effector="c", home=(0.0, 0.0), stiffness=(1.0,),
            response_time=0.02, fingers=("d", "e"), workspace=(0.5, 0.0, 0.3),
        )  # fmt: skip
