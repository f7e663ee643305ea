"""A training that is killed goes on with the same curve and ends with the same weights."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import cache

import pytest
from trainings import assert_same_training, interrupt_at

from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.checkpoint import KEPT, list_checkpoints
from sim2real.training.folder import RunFolder
from sim2real.training.train import make_config, run_training, train

SETTINGS = {"steps": 500, "eval_every": 100, "eval_episodes": 2, "checkpoint_every": 150}
CASES = {
    "sac": ("Pendulum-v1", {"learning_starts": 50, "batch_size": 32, "net_arch": [16]}),
    "td3": ("Pendulum-v1", {"learning_starts": 50, "batch_size": 32, "net_arch": [16]}),
    "tqc": ("Pendulum-v1", {"learning_starts": 50, "batch_size": 32, "net_arch": [16]}),
    "ppo": ("CartPole-v1", {"n_steps": 25, "n_envs": 2, "batch_size": 25, "n_epochs": 2}),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the uninterrupted run of an algorithm, with seed 3."""

    @cache
    def of(algo):
        env, hyperparameters = CASES[algo]
        out = tmp_path_factory.mktemp("whole") / "run"
        return train(env, algo=algo, seed=3, hyperparameters=hyperparameters, out=out, **SETTINGS)

    return of


@pytest.fixture
def copied(whole, tmp_path):
    """Return a copy of SAC's uninterrupted run, and the arguments that it was made with."""
    shutil.copytree(whole("sac").folder, tmp_path / "run")
    return whole("sac"), {"seed": 3, "hyperparameters": CASES["sac"][1], "out": tmp_path / "run", **SETTINGS}


@pytest.mark.slow
@pytest.mark.parametrize("algo", CASES)
def test_same_seed_same_run_and_another_seed_another(whole, tmp_path, algo):
    env, hyperparameters = CASES[algo]
    again, other = (
        train(env, algo=algo, seed=seed, hyperparameters=hyperparameters, out=tmp_path / str(seed), **settings)
        for seed, settings in ((3, SETTINGS), (4, {**SETTINGS, "steps": 100}))
    )
    assert_same_training(whole(algo), again)
    assert all(one != point for one, point in zip(other.curve, again.curve, strict=False))
    assert (again.folder / "metrics.jsonl").read_bytes() == (whole(algo).folder / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("step", [100, 350])  # before the first checkpoint, and between two
@pytest.mark.parametrize("algo", CASES)
def test_an_interrupted_run_resumes_with_the_same_curve(whole, tmp_path, algo, step):
    env, hyperparameters = CASES[algo]
    config = make_config(
        World.of(env), algo=algo, randomizer="uniform", seed=3, hyperparameters=hyperparameters, **SETTINGS
    )
    with pytest.raises(KeyboardInterrupt):
        run_training(config, tmp_path / "cut", listener=interrupt_at(step))
    # With nothing to go on from, nothing is left behind.
    assert (tmp_path / "cut").exists() == (step > SETTINGS["checkpoint_every"])
    assert_same_training(whole(algo), run_training(config, tmp_path / "cut", resume=True))


@pytest.mark.parametrize("algo", ["sac", "ppo"])
def test_with_exploration_that_depends_on_the_state_it_resumes_with_the_same_curve(tmp_path, algo):
    settings = {"n_steps": 25, "n_envs": 2, "batch_size": 25} if algo == "ppo" else CASES["sac"][1]
    config = make_config(
        World.of("Pendulum-v1"),
        algo=algo,
        randomizer="none",
        seed=3,
        hyperparameters={**settings, "use_sde": True},
        steps=250,
        eval_every=50,
        eval_episodes=2,
        checkpoint_every=100,
    )
    whole = run_training(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_training(config, tmp_path / "cut", listener=interrupt_at(200))
    assert_same_training(whole, run_training(config, tmp_path / "cut", resume=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "extra"),
    [("goal", {}), ("flat", {"hindsight": 0.8, "n_envs": 2}), ("flat", {"hindsight": 0.8, "buffer_size": 180})],
)
def test_training_with_hindsight_resumes_with_the_same_curve(tmp_path, form, extra):
    world = World.of("sim2real_envs:sim2real/PandaReach-v0", kwargs={"observation": form})
    config = make_config(
        world,
        algo="sac",
        randomizer="uniform",
        seed=0,
        hyperparameters={"learning_starts": 110, "batch_size": 32, "net_arch": [16], **extra},
        **{**SETTINGS, "steps": 360},
    )
    whole = run_training(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_training(config, tmp_path / "cut", listener=interrupt_at(200))
    assert_same_training(whole, run_training(config, tmp_path / "cut", resume=True))


def test_kill_9_in_the_middle_and_resume_give_the_same_curve(whole, tmp_path):
    env, hyperparameters = CASES["sac"]
    program = (
        "from sim2real.training.train import train\n"
        f"train({env!r}, seed=3, hyperparameters={hyperparameters!r}, out={str(tmp_path / 'cut')!r}, **{SETTINGS!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
    deadline = time.monotonic() + 120
    while len(list_checkpoints(tmp_path / "cut/checkpoints")) == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "cut/policy.zip").exists()
    resumed = train(env, seed=3, hyperparameters=hyperparameters, out=tmp_path / "cut", resume=True, **SETTINGS)
    assert_same_training(whole("sac"), resumed)


def test_a_run_folder_holds_what_is_promised_and_no_pickle(whole):
    run = whole("sac")
    assert {path.name for path in run.folder.iterdir()} == {
        "policy.zip",
        "config.yaml",
        "metrics.jsonl",
        "checkpoints",
        "tensorboard",
    }
    assert [point["step"] for point in run.curve] == [0, 100, 200, 300, 400, 500]
    assert run.curve == [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    checkpoints = list_checkpoints(run.folder / "checkpoints")
    assert [path.name for path in checkpoints] == ["step_0000000300", "step_0000000450"][-KEPT:]
    for path in checkpoints:
        assert {file.name for file in path.iterdir()} == {"parameters.safetensors", "arrays.npz", "state.json"}


def test_a_damaged_checkpoint_is_named(copied, tmp_path):
    _, arguments = copied
    (tmp_path / "run/policy.zip").unlink()
    checkpoint = list_checkpoints(tmp_path / "run/checkpoints")[-1]
    tensors = checkpoint / "parameters.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:100])
    with pytest.raises(Sim2RealError, match=f"checkpoint {checkpoint} is damaged") as error:
        train(CASES["sac"][0], resume=True, **arguments)
    assert "delete it to resume from an earlier one" in str(error.value)


def test_a_finished_run_is_returned_and_another_is_refused(copied, tmp_path):
    env = CASES["sac"][0]
    first, arguments = copied
    before = (tmp_path / "run/policy.zip").stat().st_mtime_ns
    assert_same_training(first, train(env, resume=True, **arguments))
    assert (tmp_path / "run/policy.zip").stat().st_mtime_ns == before
    with pytest.raises(Sim2RealError, match="holds a finished run; add --resume"):
        train(env, **arguments)
    with pytest.raises(Sim2RealError, match="holds another run: its seed is 3, not 1"):
        train(env, resume=True, **{**arguments, "seed": 1})
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("mine")
    with pytest.raises(Sim2RealError, match="exists and is not empty"):
        train(env, **{**arguments, "out": tmp_path / "other"})
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["notes.txt"]


def test_two_processes_cannot_write_to_one_run(tmp_path):
    env, hyperparameters = CASES["sac"]
    settings = {"hyperparameters": hyperparameters, **SETTINGS, "steps": 100}
    arguments = {"out": tmp_path / "run", **settings}
    config = make_config(World.of(env), algo="sac", randomizer="uniform", seed=0, **settings)
    with RunFolder(tmp_path / "run").claim(config.to_dict(), resume=False):
        with pytest.raises(Sim2RealError, match=r"another process is writing to .*/run; wait for it to end"):
            train(env, resume=True, **arguments)
        assert (tmp_path / "run/config.yaml").exists()
    train(env, resume=True, **arguments)


def test_a_full_disk_at_a_checkpoint_is_one_line_and_leaves_no_half_one(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    from sim2real.training import checkpoint

    def no_space(tensors, path):
        path.write_bytes(b"half")
        raise SafetensorError("Io error: No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", no_space)
    env, hyperparameters = CASES["sac"]
    with pytest.raises(Sim2RealError, match=r"cannot write to .*step_0000000150: .*No space left on device; choose"):
        train(env, hyperparameters=hyperparameters, out=tmp_path / "run", **SETTINGS)
    assert not (tmp_path / "run").exists()
