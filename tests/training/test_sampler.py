"""The sampler against Stable-Baselines3's own vectorized env, and what it does when something breaks."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from point_mass import ID, SMALL, PointMass
from sampler_envs import Dicts, Stubborn, make_point, make_reach
from sampler_play import assert_like_one_process, assert_reaches_envs, begin_broken, fail_at_third_step
from trainings import assert_same_training, interrupt_at

from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.fast.sac import FastSAC
from sim2real.training.sampler.arrays import SharedArrays
from sim2real.training.sampler.vec_env import ParallelVecEnv
from sim2real.training.train import make_config, run_training


@pytest.mark.parametrize(("factory", "steps"), [(make_point, 45), (Dicts, 60), (make_reach, 60)])
@pytest.mark.parametrize("workers", [1, 2])
def test_it_gives_what_envs_in_one_process_give(factory, steps, workers):
    assert_like_one_process(ParallelVecEnv([factory] * 3, workers=workers), factory, steps)


@pytest.mark.slow
def test_a_training_learns_the_same_with_workers(tmp_path):
    world = World.of(ID)
    settings = {**SMALL, "n_envs": 3}
    config = make_config(world, randomizer="uniform", seed=3, steps=300, hyperparameters=settings, checkpoint_every=120)
    alone = run_training(config, tmp_path / "alone")
    shared = run_training(config, tmp_path / "shared", workers=2)
    assert_same_training(alone, shared)
    # Interrupted in the one form, and gone on with in the other.
    with pytest.raises(KeyboardInterrupt):
        run_training(config, tmp_path / "cut", workers=2, listener=interrupt_at(200))
    assert run_training(config, tmp_path / "cut", resume=True).curve == alone.curve
    assert multiprocessing.active_children() == []


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["sac", "td3"])
def test_overlapped_learning_is_late_by_one_rollout_and_goes_on_exactly(algo, tmp_path):
    settings = {**SMALL, "n_envs": 3, "gradient_steps": 3}
    common = {"algo": algo, "randomizer": "uniform", "seed": 3, "steps": 300, "hyperparameters": settings}
    config = make_config(World.of(ID), **common, checkpoint_every=120, overlap=True)
    whole = run_training(config, tmp_path / "whole", workers=2)
    plain = run_training(replace(config, overlap=False), tmp_path / "plain")
    assert whole.curve != plain.curve
    assert [point["step"] for point in whole.curve] == [point["step"] for point in plain.curve]
    with pytest.raises(KeyboardInterrupt):
        run_training(config, tmp_path / "cut", workers=2, listener=interrupt_at(200))
    assert_same_training(whole, run_training(config, tmp_path / "cut", workers=1, resume=True))


@pytest.mark.slow
def test_hindsight_asks_no_env_that_is_busy(tmp_path):
    for observation, hindsight in (("goal", 0.0), ("flat", 0.8)):
        settings = {"hindsight": hindsight, "net_arch": [16], "learning_starts": 120, "n_envs": 2, "batch_size": 32}
        world = World.of("sim2real_envs:sim2real/PandaReach-v0", kwargs={"observation": observation})
        config = make_config(
            world, randomizer="none", seed=0, steps=160, hyperparameters=settings, eval_episodes=1, overlap=True
        )
        assert run_training(config, tmp_path / observation, workers=1).curve[-1]["step"] == 160


def test_overlapped_updates_are_those_owed_and_come_while_the_envs_step():
    vec_env = ParallelVecEnv([make_point] * 2, workers=1)
    learner = FastSAC("MlpPolicy", vec_env, learning_starts=10, train_freq=2, gradient_steps=3, seed=0)
    learner.compiled = False
    learner.overlap(vec_env)
    seen = []
    settle = vec_env.meanwhile
    vec_env.meanwhile = lambda: (settle(), seen.append((learner.num_timesteps, learner._n_updates)))
    learner.learn(24)
    # Those owed after 12 steps are made in the next one.
    late = [(12, 3), (14, 3), (16, 6), (18, 6), (20, 9), (22, 9)]
    assert seen == [(steps, 0) for steps in range(0, 12, 2)] + late
    learner.settle()
    assert learner._n_updates == 12
    learner.settle()
    assert learner._n_updates == 12
    vec_env.close()


def test_what_overlap_cannot_do_is_refused(tmp_path):
    with pytest.raises(Sim2RealError, match=r"^overlap is for sac, td3 and tqc: ppo learns from what"):
        make_config(World.of(ID), algo="ppo", randomizer="none", seed=0, steps=4096, overlap=True)
    config = make_config(World.of(ID), algo="sac", randomizer="none", seed=0, steps=100, overlap=True)
    with pytest.raises(Sim2RealError, match=r"^overlap needs envs in processes of their own; give it workers"):
        run_training(config, tmp_path / "run")


def test_what_it_returns_is_the_callers_own():
    vec_env = ParallelVecEnv([make_point] * 2, workers=1)
    vec_env.seed(0)
    first = vec_env.reset()
    kept = first.copy()
    _, rewards, dones, infos = vec_env.step(np.ones((2, 1), np.float32))
    before = rewards.copy(), dones.copy(), infos[0]["domain"].copy()
    infos[1]["domain"]["gain"] = 77.0
    _, _, _, later = vec_env.step(np.ones((2, 1), np.float32))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(rewards, before[0])
    np.testing.assert_array_equal(dones, before[1])
    assert infos[0]["domain"] == before[2]
    assert later[1]["domain"]["gain"] != 77.0
    vec_env.close()


def test_attributes_and_methods_reach_the_envs():
    assert_reaches_envs(ParallelVecEnv([make_point] * 3, workers=2))


def test_an_env_that_refuses_a_reset_leaves_no_answer_to_another_request():
    vec_env = ParallelVecEnv([Stubborn, PointMass], workers=2)
    with pytest.raises(Sim2RealError, match=r"^env 0 failed at step 0 of episode 1: ValueError: not yet"):
        vec_env.reset()
    assert vec_env.get_attr("gain") == [1.0, 1.0]
    vec_env.reset()
    assert vec_env.get_attr("refused", indices=[0]) == [True]
    vec_env.close()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "raise",
            "env 1 failed at step 3 of episode 1 since seed 11 (domain: gain=1, drift=0): ZeroDivisionError: by a",
        ),
        ("die", "the worker process of envs 1 to 2 has died (with exit code 7); it was to make a step."),
        ("hang", "the worker process of envs 1 to 2 has not answered for 1 s; it was to make a step."),
    ],
)
def test_what_breaks_is_named_and_leaves_no_process(what, message):
    error = fail_at_third_step(begin_broken(ParallelVecEnv, what, timeout=1.0))
    assert str(error).startswith(message)
    if what == "raise":
        assert "in step\n    raise ZeroDivisionError" in error.__notes__[0]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("what", ["raise", "die", "hang"])
def test_a_worker_can_be_restarted(what):
    vec_env = begin_broken(ParallelVecEnv, what, timeout=1.0, on_failure="restart")
    actions = np.full((3, 1), 0.5, np.float32)
    seen = [vec_env.step(actions) for _ in range(2)]
    last = seen[-1][0]
    observations, rewards, dones, infos = vec_env.step(actions)
    assert dones.tolist() == [False, True, True]
    assert rewards[1:].tolist() == [0.0, 0.0]
    assert vec_env.restarts == 1
    for index in (1, 2):
        assert infos[index]["TimeLimit.truncated"]
        np.testing.assert_array_equal(infos[index]["terminal_observation"], last[index])
        assert infos[index]["restarted"]
    # The episodes of the seeds that were given begin again.
    vec_env.seed(10)
    np.testing.assert_array_equal(vec_env.reset()[1:], observations[1:])
    vec_env.close()


def test_bad_arguments_are_named():
    lock_holder = partial(PointMass, threading.Lock())
    for factories, kwargs, message in (
        ([], {}, "factories is empty; give one for each env."),
        ([PointMass], {"workers": 0}, "workers = 0 must be a whole number of at least 1."),
        (
            [PointMass],
            {"on_failure": "retry"},
            "unknown on_failure 'retry'. Did you mean 'restart'? Known: raise, restart.",
        ),
        ([PointMass, lock_holder], {}, "an env factory cannot be pickled for a worker process: "),
        ([PointMass, partial(PointMass, "wide")], {"workers": 1}, "env 1 failed when it was made: "),
    ):
        with pytest.raises((Sim2RealError, ValueError)) as caught:
            ParallelVecEnv(factories, **kwargs)
        assert str(caught.value).startswith(message)
    with pytest.warns(UserWarning, match=r"^64 workers on \d+ cores only take turns"):
        ParallelVecEnv([PointMass], workers=64).close()


def test_a_space_without_a_size_is_refused():
    class Texts(PointMass):
        def __init__(self):
            super().__init__()
            self.observation_space = gym.spaces.Text(9)

    with pytest.raises(Sim2RealError, match="has no fixed size in memory; use the envs in one process"):
        ParallelVecEnv([Texts])


def test_no_room_in_memory_is_said():
    class Full:
        def RawArray(self, *_):
            raise OSError(28, "No space left on device")

    with pytest.raises(
        Sim2RealError, match=r"^no room for 8.0 MB of shared memory: No space left on device; free some"
    ):
        SharedArrays(Full(), {"x": ((1_000_000,), np.dtype(np.float64))})


def processes():
    """Return the parent of every process that is no zombie, by process id."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(entry.parent.name)] = int(parent)
    return found


def descendants(ancestor):
    parents, found = processes(), {ancestor}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {ancestor}


def mapped(pid):
    """Return the paths of the files that a process has in its memory."""
    fields = (line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines())
    return {line[5] for line in fields if len(line) == 6}


# Where tests run in the background, a shell has SIGINT ignored, and children inherit that.
PARENT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from sampler_envs import make_point
from sim2real.training.sampler.vec_env import ParallelVecEnv
import numpy as np
if __name__ == "__main__":
    vec_env = ParallelVecEnv([make_point] * 4, workers=2)
    vec_env.seed(0)
    vec_env.reset()
    print("ready", flush=True)
    while True:
        vec_env.step(np.zeros((4, 1), np.float32))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_its_parent(how, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as parent:
        try:
            assert parent.stdout.readline() == b"ready\n"
            workers = descendants(parent.pid)
            assert len(workers) >= 2
            # These files and no others in the folder: other tests share memory at the same time.
            shared = {Path(name) for pid in workers for name in mapped(pid) if name.startswith("/dev/shm/")}
            assert shared
            parent.send_signal(how)
            parent.wait(20)
        finally:
            parent.kill()
    deadline = time.monotonic() + 10
    while (alive := workers & processes().keys()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert alive == set()
    assert [path for path in shared if path.exists()] == []
