"""MLflow and Weights & Biases get what a training logs, and change nothing in it."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from point_mass import ID, SMALL

from sim2real.cli.entry import run as command
from sim2real.errors import Sim2RealError
from sim2real.training.trackers import flat
from sim2real.training.train import train

TRAINING = {"hyperparameters": SMALL, "steps": 200, "eval_every": 100, "eval_episodes": 3}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("mlflow") / "mlflow.db"


@pytest.fixture(autouse=True)
def local(tmp_path, monkeypatch, database):
    """Both tools are told by their environment variables to write into folders of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", tmp_path.name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()  # what it has read of the environment lasts until then


@pytest.fixture(scope="module")
def untracked(tmp_path_factory):
    return train(ID, out=tmp_path_factory.mktemp("untracked") / "run", **TRAINING)


def mlflow_runs():
    mlflow = pytest.importorskip("mlflow")
    return mlflow.search_runs(search_all_experiments=False, output_format="list")


def wandb_records(folder):
    """Return the records of the one run that was written, by their kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    records = {}
    for data in leveldb_log(file.read_bytes()):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        records.setdefault(kind, []).append(getattr(record, kind))
    return records


def leveldb_log(content, block=32768, at=7):
    """Yield the records of LevelDB's log format, which W&B writes after 7 bytes of its own."""
    pending = b""
    while at + 7 <= len(content):
        left = block - at % block
        if left < 7:  # too short for a header: padding
            at += left
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        pending += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part of one
            yield pending
            pending = b""


def values(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_tracked_training_is_the_same_one(name, untracked, tmp_path):
    pytest.importorskip(name)
    tracked = train(ID, out=tmp_path / "run", track=name, **TRAINING)
    assert tracked.curve == untracked.curve
    for file in ("config.yaml", "metrics.jsonl"):
        assert (tracked.folder / file).read_bytes() == (untracked.folder / file).read_bytes()
    for key, weights in untracked.policy.weights.items():
        np.testing.assert_array_equal(tracked.policy.weights[key], weights)


def test_mlflow_has_settings_curve_scalars_and_policy(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    done = train(ID, out=tmp_path / "worn", track="mlflow", **TRAINING)
    (run,) = mlflow_runs()
    assert (run.info.run_name, run.info.status) == ("worn", "FINISHED")
    config = yaml.safe_load((done.folder / "config.yaml").read_text())
    assert run.data.params == {key: str(value) for key, value in flat(config).items()}
    client = mlflow.MlflowClient()
    for key in ("return_mean", "success_rate"):
        history = client.get_metric_history(run.info.run_id, f"evaluation/{key}")
        assert [(point.step, point.value) for point in history] == [(point["step"], point[key]) for point in done.curve]
    assert {"train/actor_loss", "rollout/ep_rew_mean"} <= run.data.metrics.keys()
    kept = client.download_artifacts(run.info.run_id, "policy.zip", str(tmp_path))
    assert Path(kept).read_bytes() == (done.folder / "policy.zip").read_bytes()
    assert mlflow.active_run() is None


def test_mlflow_runs_inside_the_callers_own():
    mlflow = pytest.importorskip("mlflow")
    with mlflow.start_run() as outer:
        train(ID, out="run", track="mlflow", **TRAINING)
        assert mlflow.active_run().info.run_id == outer.info.run_id
    inner = next(run for run in mlflow_runs() if run.info.run_id != outer.info.run_id)
    assert inner.data.tags["mlflow.parentRunId"] == outer.info.run_id


def test_wandb_has_settings_curve_scalars_and_policy(tmp_path):
    pytest.importorskip("wandb")
    done = train(ID, out=tmp_path / "worn", track="wandb", **TRAINING)
    records = wandb_records(tmp_path)
    (run,) = records["run"]
    assert run.display_name == "worn"
    config = yaml.safe_load((done.folder / "config.yaml").read_text())
    assert {key: value for key, value in values(run.config.update).items() if key in config} == config
    history = [values(record.item) for record in records["history"]]
    points = [row for row in history if "evaluation/return_mean" in row]
    for key in ("return_mean", "success_rate"):
        logged = [(row["_step"], row[f"evaluation/{key}"]) for row in points]
        assert logged == [(point["step"], point[key]) for point in done.curve]
    assert {"train/actor_loss", "rollout/ep_rew_mean"} <= {key for row in history for key in row}
    (artifact,) = records["artifact"]
    assert (artifact.name, artifact.type) == ("worn", "policy")
    assert [entry.path for entry in artifact.manifest.contents] == ["policy.zip"]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_training_that_breaks_off_is_a_failed_run_and_no_folder_stays(name, tmp_path):
    pytest.importorskip(name)
    with pytest.raises(Sim2RealError, match=r"^observation is nan"):
        train(ID, out=tmp_path / "run", track=name, kwargs={"nan_at": 5}, **TRAINING)
    assert not (tmp_path / "run").exists()
    if name == "mlflow":
        assert [run.info.status for run in mlflow_runs()] == ["FAILED"]
    else:
        assert [record.exit_code for record in wandb_records(tmp_path)["exit"]] == [1]


def test_a_resumed_training_goes_on_in_the_run_that_the_environment_names(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    training = {**TRAINING, "out": tmp_path / "run", "track": "mlflow", "checkpoint_every": 50}

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sim2real.training.callbacks.Milestones._on_training_end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(ID, **training)
    (run,) = mlflow_runs()
    assert run.info.status == "FAILED"
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    done = train(ID, **training, resume=True)
    (run,) = mlflow_runs()
    assert run.info.status == "FINISHED"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "evaluation/return_mean")
    assert [(point.step, point.value) for point in history] == [(p["step"], p["return_mean"]) for p in done.curve]


def test_a_tracker_that_refuses_says_so_in_one_line(monkeypatch, tmp_path):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(Sim2RealError, match=r"^MLflow cannot begin a run: The filesystem tracking backend .*[^\n]*$"):
        train(ID, out=tmp_path / "run", track="mlflow", **TRAINING)
    assert not (tmp_path / "run").exists()


def test_the_command_tracks_too(tmp_path):
    pytest.importorskip("mlflow")
    words = ["train", "--env", "Pendulum-v1", "--steps", "210", "--set", "learning_starts=200", "--eval-episodes", "1"]
    assert command([*words, "--out", str(tmp_path / "run"), "--track", "mlflow", "--quiet"]) == 0
    (run,) = mlflow_runs()
    assert run.data.params["world.env"] == "Pendulum-v1"
