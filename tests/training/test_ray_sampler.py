"""Envs in a Ray cluster against Stable-Baselines3's own vectorized env, and what happens when something breaks."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from point_mass import ID, SMALL, PointMass
from sampler_envs import Dicts, Wrong, make_point, make_reach
from stable_baselines3.common.vec_env import DummyVecEnv
from test_sampler import assert_same, play

from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.train import make_config, run_training, train

ray = pytest.importorskip("ray")

from sim2real.training.sampler.ray_vec_env import RayVecEnv  # noqa: E402

TESTS = Path(__file__).resolve().parents[1]
PATHS = os.pathsep.join(
    map(str, [TESTS, TESTS / "training", *(TESTS.parent / name for name in (".", "envs", "policies"))])
)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Start Ray once, on this machine; what is made afterwards finds it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PATHS)
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
        yield
        ray.shutdown()


@pytest.mark.parametrize(("factory", "steps", "workers"), [(make_point, 45, 2), (Dicts, 60, 2), (make_reach, 60, 1)])
def test_it_gives_what_envs_in_one_process_give(factory, steps, workers):
    one, other = DummyVecEnv([factory] * 3), RayVecEnv([factory] * 3, workers=workers)
    assert other.observation_space == one.observation_space
    assert other.action_space == one.action_space
    assert_same(play(other, steps), play(one, steps))
    one.close()
    other.close()


def test_a_training_learns_the_same_in_a_cluster(tmp_path):
    settings = {**SMALL, "n_envs": 3}
    config = make_config(World.of(ID), randomizer="uniform", seed=3, steps=300, hyperparameters=settings)
    here = run_training(config, tmp_path / "here")
    there = run_training(config, tmp_path / "there", workers=2, address="auto")
    assert there.curve == here.curve
    assert (there.folder / "config.yaml").read_text() == (here.folder / "config.yaml").read_text()
    ours, theirs = here.policy.weights, there.policy.weights
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_attributes_and_methods_reach_the_envs():
    vec_env = RayVecEnv([make_point] * 3, workers=2)
    vec_env.seed(0)
    vec_env.reset()
    vec_env.set_attr("drift", 0.25, indices=[1])
    assert vec_env.get_attr("drift", indices=[1]) == [0.25]
    assert vec_env.env_method("get_domain", indices=[1])[0]["drift"] == 0.25
    with pytest.raises(Sim2RealError, match=r"^env 2 failed at step 0 of episode 1 since seed 2 .*AttributeError"):
        vec_env.get_attr("glory", indices=[2])
    vec_env.close()
    vec_env.close()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "raise",
            "env 1 failed at step 3 of episode 1 since seed 11 (domain: gain=1, drift=0): ZeroDivisionError: by a",
        ),
        ("die", "the worker in the cluster of envs 1 to 2 has died (ActorDiedError); it was to make a step."),
        ("hang", "the worker in the cluster of envs 1 to 2 has not answered for 3 s; it was to make a step."),
    ],
)
def test_what_breaks_is_named_or_begun_again(what, message):
    actions = np.zeros((3, 1), np.float32)
    for on_failure in ("raise", "restart"):
        factories = [PointMass, partial(Wrong, what), PointMass]
        vec_env = RayVecEnv(factories, workers=2, timeout=3.0, on_failure=on_failure)
        vec_env.seed(10)
        first = vec_env.reset()
        vec_env.step(actions)
        vec_env.step(actions)
        if on_failure == "raise":
            with pytest.raises(Sim2RealError) as caught:
                vec_env.step(actions)
            assert str(caught.value).startswith(message)
            continue
        observations, rewards, dones, infos = vec_env.step(actions)
        assert vec_env.restarts == 1
        assert dones.tolist() == [False, True, True]
        assert rewards[1:].tolist() == [0.0, 0.0]
        assert infos[2]["restarted"].startswith(message)
        np.testing.assert_array_equal(observations[1:], first[1:])
        vec_env.close()


def test_what_cannot_be_is_said(tmp_path):
    with pytest.raises(Sim2RealError, match=r"^workers = 3: the cluster has room for 2\.$"):
        RayVecEnv([make_point] * 3, workers=3)
    with pytest.raises(Sim2RealError, match=r"^workers = 0 must be a whole number of at least 1\.$"):
        RayVecEnv([make_point] * 3, workers=0)
    with pytest.raises(
        Sim2RealError, match=r"no machine of the cluster has what a worker is to take \(CPU = 1, GPU = 9"
    ):
        RayVecEnv([make_point] * 3, resources={"GPU": 9})
    with pytest.raises(Sim2RealError, match=r"^address = 'auto' is where workers are; say how many with workers, one"):
        train(ID, steps=10, address="auto", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


ON_TWO_MACHINES = """
import json
from functools import partial
import numpy as np, ray
from ray.cluster_utils import Cluster
from sampler_envs import WhereItIs
from sim2real.training.sampler.ray_vec_env import RayVecEnv  # noqa: E402

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
machines = [cluster.add_node(num_cpus=1) for _ in range(2)]
vec_env = RayVecEnv([WhereItIs] * 4, address=cluster.address, on_failure="restart", timeout=20.0)
vec_env.seed(0)
vec_env.reset()
before = vec_env.get_attr("machine")
third = cluster.add_node(num_cpus=1)
cluster.remove_node(machines[0], allow_graceful=False)
dones = np.zeros(4, bool)
while not dones.any():  # until the machine is gone
    dones = vec_env.step(np.zeros((4, 1), np.float32))[2]
after = vec_env.get_attr("machine")
vec_env.close()
print(json.dumps([before, dones.tolist(), after, machines[0].node_id]))
cluster.shutdown()
"""


def test_it_collects_from_two_machines_and_from_another_when_one_goes_away():
    settings = {"PYTHONPATH": PATHS, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_worker_niceness": "0"}
    ran = subprocess.run(
        [sys.executable, "-c", ON_TWO_MACHINES],
        env={**os.environ, **settings}, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    before, dones, after, gone = json.loads(ran.stdout.splitlines()[-1])
    assert before[0] == before[1] != before[2] == before[3]
    assert dones == [machine == gone for machine in before]
    assert gone not in after
    assert [new for new, old in zip(after, before, strict=True) if old != gone] == [m for m in before if m != gone]
