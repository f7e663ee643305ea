"""Envs on a Ray cluster against Stable-Baselines3's own vectorized env, and what they do when something breaks."""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from point_mass import ID, SMALL, PointMass
from sampler_envs import Dicts, Placed, make_point, make_reach
from sampler_play import assert_like_one_process, assert_reaches_envs, begin_broken, fail_at_third_step
from trainings import assert_same_training, interrupt_at

from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.train import make_config, run_training, train

pytest.importorskip("ray")

import ray

from sim2real.training.sampler.ray_vec_env import RayVecEnv


@pytest.fixture(scope="module")
def nodes():
    """A cluster with two working nodes, in a process of its own."""
    script = [sys.executable, str(Path(__file__).with_name("ray_nodes.py"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
    ) as process:
        process.address = process.stdout.readline().strip()
        yield process
        process.stdin.close()
        process.wait(60)


@pytest.fixture
def address(nodes):
    yield nodes.address
    assert not ray.is_initialized()  # each closes the connection that it has made


@pytest.mark.slow
@pytest.mark.parametrize(("factory", "steps"), [(Dicts, 60), (make_reach, 120)])
@pytest.mark.parametrize("workers", [1, 2])
def test_it_gives_what_envs_in_one_process_give(address, factory, steps, workers):
    assert_like_one_process(RayVecEnv([factory] * 3, workers=workers, address=address), factory, steps)


@pytest.mark.slow
def test_a_training_learns_the_same_on_a_cluster(address, tmp_path):
    settings = {**SMALL, "n_envs": 3, "normalize_observation": True}
    config = make_config(
        World.of(ID), randomizer="uniform", seed=3, steps=240, hyperparameters=settings, checkpoint_every=90
    )
    alone = run_training(config, tmp_path / "alone")
    shared = run_training(config, tmp_path / "shared", workers=2, address=address)
    assert_same_training(alone, shared)
    assert (shared.folder / "config.yaml").read_text() == (alone.folder / "config.yaml").read_text()
    # Interrupted there, and gone on with here.
    with pytest.raises(KeyboardInterrupt):
        run_training(config, tmp_path / "cut", workers=2, address=address, listener=interrupt_at(150))
    assert run_training(config, tmp_path / "cut", resume=True).curve == alone.curve


def test_attributes_and_methods_reach_the_envs(address):
    assert_reaches_envs(RayVecEnv([make_point] * 3, workers=2, address=address, resources={"CPU": 0}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "start", "end"),
    [
        ("raise", "env 1 failed at step 3 of episode 1 since seed 11 (domain: gain=1, drift=0): ZeroDiv", "of zero"),
        ("die", "the actor of envs 1 to 2 on ", " has died (its worker process has died); it was to make a step."),
        ("hang", "the actor of envs 1 to 2 on ", " has not answered for 2 s; it was to make a step."),
    ],
)
def test_what_breaks_is_named_and_leaves_no_actor(address, what, start, end):
    ray.init(address, log_to_driver=False)
    error = fail_at_third_step(begin_broken(RayVecEnv, what, address=address, timeout=2.0))
    assert str(error).startswith(start)
    assert str(error).endswith(end)
    deadline = time.monotonic() + 20
    while ray.available_resources().get("CPU") != 4.0 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ray.available_resources()["CPU"] == 4.0
    assert ray.is_initialized()  # as it was
    ray.shutdown()


def test_what_cannot_be_is_refused(address, tmp_path, monkeypatch):
    with pytest.raises(Sim2RealError) as caught:
        RayVecEnv([PointMass] * 9, workers=9, address=address, resources={"CPU": 2})
    assert str(caught.value) == (
        "workers = 9, but the cluster has room for 2 that take CPU = 2 each; ask for fewer, or let more machines join "
        "it."
    )
    with pytest.raises(Sim2RealError, match=r"^resources: CPU = -1 must be a number that is not negative\.$"):
        RayVecEnv([PointMass], address=address, resources={"CPU": -1})
    with pytest.raises(Sim2RealError) as caught:
        RayVecEnv([PointMass], address=address, resources={"arm": 1})
    told, _, machines = str(caught.value).rstrip(".").rpartition(": ")
    assert told == "no machine of the cluster has what an actor with envs is to take (CPU = 1, arm = 1); they have"
    assert sorted(machines.split("; ")) == ["CPU = 0, arm = 0", "CPU = 2, arm = 0", "CPU = 2, arm = 0"]
    with pytest.raises(Sim2RealError, match=r"^env 1 failed when it was made: "):
        RayVecEnv([PointMass, partial(PointMass, "wide")], workers=1, address=address)
    with pytest.raises(Sim2RealError) as caught:
        train(ID, hyperparameters=SMALL, steps=100, address="auto", out=tmp_path / "run")
    assert str(caught.value) == "address = 'auto' is where workers are; say how many with workers, one at least."
    for module in ("sim2real.ray_cluster", "sim2real.training.sampler.ray_vec_env"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Sim2RealError) as caught:
        train(ID, hyperparameters=SMALL, steps=100, address="auto", workers=1, out=tmp_path / "run")
    assert str(caught.value) == "Ray is not installed; install it with: pip install 'sim2real[ray]'."
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_actors_are_on_all_machines_and_go_on_when_one_dies(nodes, address):
    factories = [Placed] * 4
    vec_env = RayVecEnv(factories, workers=2, address=address, on_failure="restart")
    places = vec_env.env_method("node")
    assert places[0] == places[1] != places[2] == places[3]
    vec_env.seed(10)
    begun = vec_env.reset()
    actions = np.full((4, 1), 0.5, np.float32)
    nodes.stdin.write(f"{places[2]}\n")
    assert nodes.stdout.readline() == "killed\n"
    observations = begun
    while vec_env.restarts == 0:  # what ran on the machine may live a little longer
        last = observations
        observations, rewards, dones, infos = vec_env.step(actions)
        time.sleep(0.05)
    assert dones.tolist() == [False, False, True, True]
    assert rewards[2:].tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(observations[2:], begun[2:])  # the episodes of the seeds that were given begin again
    for index in (2, 3):
        assert infos[index]["TimeLimit.truncated"]
        np.testing.assert_array_equal(infos[index]["terminal_observation"], last[index])
        assert infos[index]["restarted"].startswith("the actor of envs 2 to 3 on ")
    assert vec_env.env_method("node") == [places[0]] * 4
    assert vec_env.restarts == 1
    vec_env.close()
