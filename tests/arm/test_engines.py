"""One robot, two engines: the same arm and the same numbers seen of it, and motion that differs by millimetres."""

import subprocess
import sys
from dataclasses import replace

import gymnasium as gym
import mujoco
import numpy as np
import pybullet as p
import pytest
from bundled_worlds import user_environment

from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real_envs import engines
from sim2real_envs.arm.bullet_arm import BulletArm
from sim2real_envs.arm.cell import build_cell
from sim2real_envs.arm.worlds import ROBOTS, PushEnv, ReachEnv
from sim2real_envs.simulation import Simulation


@pytest.fixture(params=list(ROBOTS))
def model(request):
    return ROBOTS[request.param]


def cells(model, hand="bare"):
    """Return the cell in PyBullet and in MuJoCo, the arm at home."""
    built = [build_cell(engine, model, hand=hand, with_cube=False, control_dt=0.04) for engine in engines.ENGINES]
    for cell in built:
        cell.arm.reset(np.array(model.home))
        cell.arm.drive(np.array(model.home))
        cell.arm.measure()
    return built


@pytest.mark.parametrize("task", ["Reach", "Push", "PickAndPlace"])
@pytest.mark.parametrize("robot", ["Panda", "Kuka", "XArm6"])
def test_an_agent_sees_the_same_numbers_of_both(robot, task):
    for control in ("ee", "joint"):
        one, other = (gym.make(f"sim2real/{robot}{task}-v0", control=control, engine=e) for e in engines.ENGINES)
        for name in ("observation_channels", "action_channels", "domain_space"):
            assert one.get_wrapper_attr(name) == other.get_wrapper_attr(name)
        assert one.observation_space == other.observation_space
        assert one.action_space == other.action_space
        np.testing.assert_allclose(one.reset(seed=0)[0], other.reset(seed=0)[0], atol=1e-3)
        one.close()
        other.close()


def test_limits_and_dynamics_are_the_same(model):
    bullet, other = (cell.arm for cell in cells(model, "gripper"))
    for name in ("lower", "upper", "max_velocity", "stroke", "damping"):
        np.testing.assert_allclose(getattr(other, name), getattr(bullet, name), atol=1e-7)
    for name in ("mass", "torque", "position_gain", "finger_force", "finger_friction"):
        np.testing.assert_allclose(getattr(other.nominal, name), getattr(bullet.nominal, name), atol=1e-9)


def test_one_call_of_the_engine_moves_an_arm_as_many_calls_do(model):
    paths = []
    for steps in (1, None):
        simulation = Simulation(control_dt=0.04, physics_dt=0.004, steps_a_call=steps)
        arm = BulletArm(simulation, model)
        # Weak motors, so that what bounds them is felt.
        arm.set_dynamics(replace(arm.nominal, torque=0.3 * arm.nominal.torque))
        arm.reset(np.array(model.home))
        rng, path = np.random.default_rng(0), []
        for _ in range(25):
            arm.drive(np.array(model.home) + rng.uniform(-0.5, 0.5, len(model.joints)))
            simulation.step()
            path.append(arm.measure().joint_position)
        np.testing.assert_allclose(arm.read_dynamics().torque, 0.3 * arm.nominal.torque, rtol=1e-12)
        paths.append(path)
        simulation.close()
    np.testing.assert_allclose(*paths, rtol=0.0, atol=1e-12)


def test_mass_matrix_jacobian_and_links_are_the_same(model):
    bullet, other = cells(model)
    np.testing.assert_allclose(bullet.arm.jacobian(), other.arm.jacobian(), atol=1e-6)
    for ours, theirs in zip(bullet.arm.link_points(), other.arm.link_points(), strict=True):
        np.testing.assert_allclose(ours[:6], theirs[:6], atol=1e-6)
    matrix = p.calculateMassMatrix(bullet.arm._body, list(model.home), physicsClientId=bullet.simulation.client)
    np.testing.assert_allclose(np.diag(matrix), other.arm._joint_inertia, atol=1e-9)


def test_free_motion_differs_by_eight_millimetres(model):
    paths = []
    for cell in cells(model):
        arm, still = cell.arm, np.zeros(len(model.joints))
        arm.set_dynamics(replace(arm.nominal, torque=still))
        arm.drive(np.array(model.home))
        path = []
        for _ in range(8):  # 0.3 s, in which the hand falls by 0.4 m
            cell.simulation.step()
            path.append(arm.measure().position)
        paths.append(path)
    assert np.linalg.norm(np.subtract(*paths), axis=1).max() < 0.008
    assert np.linalg.norm(np.subtract(paths[1][-1], model.workspace)) > 0.3


def test_driven_motion_differs_by_four_millimetres(model):
    paths = []
    for cell in cells(model):
        rng, target, path = np.random.default_rng(0), np.array(model.home), []
        for _ in range(25):
            target = target + rng.uniform(-0.02, 0.02, len(target))
            cell.arm.drive(target)
            cell.simulation.step()
            path.append(cell.arm.measure().position)
        for _ in range(10):  # and then it stands
            cell.simulation.step()
        paths.append([*path, cell.arm.measure().position])
    apart = np.linalg.norm(np.subtract(*paths), axis=1)
    assert apart[:-1].max() < 0.004
    assert apart[-1] < 0.0005


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_a_servo_of_mujoco_answers_as_a_critically_damped_one(gain):
    model = ROBOTS["panda"]
    _, cell = cells(model)
    cell.arm.set_dynamics(replace(cell.arm.nominal, position_gain=gain))
    home = np.array(model.home)
    cell.arm.reset(home)
    target = home.copy()
    target[3] += 0.002
    cell.arm.drive(target)
    cell.simulation.step()
    rate = 2.0 * gain / model.response_time * 0.04
    moved = (cell.arm.measure().joint_position - home)[3] / 0.002
    assert moved == pytest.approx(1.0 - (1.0 + rate) * np.exp(-rate), abs=0.06)


def test_a_motor_of_mujoco_does_not_exceed_its_torque(model):
    _, cell = cells(model)
    torque = 0.5 * cell.arm.nominal.torque
    cell.arm.set_dynamics(replace(cell.arm.nominal, torque=torque))
    cell.arm.reset(np.array(model.home))
    cell.arm.drive(np.array(model.home) + 0.5)
    saturated = np.zeros(len(torque), bool)
    for _ in range(40):
        mujoco.mj_step(cell.simulation.model, cell.simulation.data)
        used = np.abs(cell.simulation.data.qfrc_actuator)
        assert (used <= torque + 1e-9).all()
        saturated |= used > torque - 1e-9
    assert saturated.any()


def test_importing_the_worlds_does_not_import_mujoco():
    code = "import sim2real_envs.arm.worlds as w, sys; w.ReachEnv().close(); print('mujoco' in sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=user_environment()
    )
    assert out.stdout.split()[-1] == "False"


def test_an_unknown_engine_is_named():
    with pytest.raises(Sim2RealError) as error:
        ReachEnv(engine="mujocco")
    assert str(error.value) == "unknown engine 'mujocco'. Did you mean 'mujoco'? Known: mujoco, pybullet."


def test_an_engine_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Sim2RealError) as error:
        PushEnv(engine="mujoco")
    assert str(error.value) == ("engine 'mujoco' is not installed; install it with: pip install 'sim2real[mujoco]'.")


def test_an_explosion_is_reported_and_the_next_episode_is_as_ever(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = World.of("sim2real/PandaPush-v0", kwargs={"engine": "mujoco"}).make()
    action = np.full(3, 0.5, np.float32)
    first, _ = env.reset(seed=0)
    moved = env.step(action)[0]
    env.unwrapped.simulation.data.qvel[0] = np.nan
    with pytest.raises(Sim2RealError, match=r"observation is nan in ee_position\[0\] \(channel 0\) at step 2"):
        env.step(action)
    np.testing.assert_array_equal(env.reset(seed=0)[0], first)
    np.testing.assert_array_equal(env.step(action)[0], moved)
    assert not list(tmp_path.iterdir())  # MuJoCo would leave a log here
    env.close()
