"""The lean Panda is the stock Panda: same inertia, same limits, same motion."""

import numpy as np
import pybullet as p
import pybullet_data
import pytest

from sim2real.errors import Sim2RealError
from sim2real_envs.arm.robot import RobotModel
from sim2real_envs.arm.robots.panda import PANDA

TIP = "panda_grasptarget"


class Arm:
    """A Panda in a client of its own; the stock one with its fingers held closed."""

    def __init__(self, *, lean: bool) -> None:
        self.client = p.connect(p.DIRECT)
        p.setAdditionalSearchPath(pybullet_data.getDataPath(), physicsClientId=self.client)
        p.setPhysicsEngineParameter(fixedTimeStep=0.004, physicsClientId=self.client)
        p.setGravity(0.0, 0.0, -9.81, physicsClientId=self.client)
        path, flags = (PANDA.urdf, p.URDF_USE_INERTIA_FROM_FILE) if lean else (PANDA.visual_urdf, 0)
        self.body = p.loadURDF(path, useFixedBase=True, flags=flags, physicsClientId=self.client)
        self.infos = [p.getJointInfo(self.body, i, self.client) for i in range(p.getNumJoints(self.body, self.client))]
        self.tip = next(info[0] for info in self.infos if info[12].decode() == TIP)
        self.moving = [info[0] for info in self.infos if info[2] != p.JOINT_FIXED]
        for joint in self.moving[7:]:
            p.changeDynamics(self.body, joint, jointLowerLimit=0.0, jointUpperLimit=1e-5, physicsClientId=self.client)
            p.setJointMotorControl2(
                self.body, joint, p.POSITION_CONTROL, targetPosition=0.0, force=1e4, physicsClientId=self.client
            )
        for joint, angle in zip(range(7), PANDA.home, strict=True):
            p.resetJointState(self.body, joint, angle, physicsClientId=self.client)
            p.setJointMotorControl2(self.body, joint, p.VELOCITY_CONTROL, force=0.0, physicsClientId=self.client)

    def drive(self, target: np.ndarray) -> None:
        p.setJointMotorControlArray(
            self.body,
            list(range(7)),
            p.POSITION_CONTROL,
            targetPositions=target.tolist(),
            positionGains=[0.19] * 7,
            forces=[info[10] for info in self.infos[:7]],
            physicsClientId=self.client,
        )

    def step(self) -> np.ndarray:
        p.stepSimulation(physicsClientId=self.client)
        return np.array(p.getLinkState(self.body, self.tip, 0, 1, self.client)[4])


@pytest.fixture
def arms():
    both = Arm(lean=True), Arm(lean=False)
    yield both
    for arm in both:
        p.disconnect(arm.client)


def test_limits_and_torques_are_the_stock_ones(arms):
    lean, stock = arms
    for ours, theirs in zip(lean.infos[:7], stock.infos[:7], strict=True):
        assert ours[1] == theirs[1]
        assert ours[8:12] == theirs[8:12]


@pytest.mark.parametrize("seed", range(3))
def test_mass_matrix_and_weight_are_the_stock_ones(arms, seed):
    q = np.random.default_rng(seed).uniform(-1.0, 1.0, 7) + PANDA.home
    matrices = [
        np.array(
            p.calculateMassMatrix(arm.body, q.tolist() + [0.0] * (len(arm.moving) - 7), physicsClientId=arm.client)
        )[:7, :7]
        for arm in arms
    ]
    np.testing.assert_allclose(*matrices, atol=1e-7)
    weights = []
    for arm in arms:
        zeros = [0.0] * len(arm.moving)
        values = q.tolist() + [0.0] * (len(arm.moving) - 7)
        weights.append(p.calculateInverseDynamics(arm.body, values, zeros, zeros, physicsClientId=arm.client)[:7])
    np.testing.assert_allclose(*weights, atol=1e-6)


def test_each_single_link_keeps_its_mass_and_inertia(arms):
    lean, _ = arms
    for link in range(6):  # the seventh carries the hand
        ours, theirs = (p.getDynamicsInfo(arm.body, link, arm.client) for arm in arms)
        assert ours[0] == pytest.approx(theirs[0])
        np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-8)
    assert p.getDynamicsInfo(lean.body, 6, lean.client)[0] == pytest.approx(0.2 + 0.81 + 0.1 + 0.1)


def test_free_fall_is_that_of_the_stock_arm(arms):
    lean, stock = arms
    assert max(np.linalg.norm(lean.step() - stock.step()) for _ in range(75)) < 1e-3  # 0.3 s


def test_driven_motion_is_that_of_the_stock_arm(arms):
    lean, stock = arms
    rng, worst = np.random.default_rng(0), 0.0
    target = np.array(PANDA.home)
    for _ in range(25):  # 1 s
        target = target + rng.uniform(-0.05, 0.05, 7)
        for arm in arms:
            arm.drive(target)
        worst = max(worst, *(float(np.linalg.norm(lean.step() - stock.step())) for _ in range(10)))
    assert worst < 1e-3


def test_a_model_that_does_not_fit_its_joints_is_refused():
    with pytest.raises(Sim2RealError, match="stiffness has 1 values for 2 joints"):
        RobotModel(
            urdf="x", visual_urdf="y", joints=("a", "b"), end_effector="c", home=(0.0, 0.0), stiffness=(1.0,),
            response_time=0.02,
        )  # fmt: skip
