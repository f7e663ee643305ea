"""What a study promises on a Ray cluster: the results of this machine, whatever dies there, and clear refusals."""

import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from in_process import jobs_in_process
from point_mass import ID, SMALL

from sim2real.errors import Sim2RealError
from sim2real.studies.run import run_study
from sim2real.training.folder import RunFolder

pytest.importorskip("ray")

from sim2real.ray_cluster import connect
from sim2real.studies.cluster import pack_folder, unpack_folder

TESTS = Path(__file__).resolve().parents[1]
STUDY = {
    "sources": {"own": {"env": ID, "steps": 3000, "hyperparameters": SMALL}},
    "targets": {"shifted": {"domain": {"gain": 0.5, "drift": 0.2}}},
    "methods": ["finetune"],
    "steps": 200,
    "seeds": 1,
    "eval_episodes": 2,
    "hyperparameters": SMALL,
}
SETTINGS = {
    "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # or a cluster on the loopback interface is never joined
    "RAY_worker_niceness": "0",
}


@pytest.fixture
def study(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(STUDY))
    return file


def on_two_nodes(pattern, *command):
    program = [sys.executable, "-c", "from sim2real.cli import main; main()", *map(str, command)]
    script = [sys.executable, str(TESTS / "studies" / "two_nodes.py"), str(pattern), *program]
    return subprocess.run(script, env={**os.environ, **SETTINGS}, capture_output=True, text=True, timeout=240)


def plain(results):
    for cell in results["cells"]:
        cell["result"].pop("provenance")
    return results


@pytest.mark.slow
def test_a_job_goes_on_elsewhere_when_its_machine_dies_and_comes_to_the_same(study, tmp_path):
    out = tmp_path / "out"
    ran = on_two_nodes(
        out / "jobs/*/checkpoints/step_*", "study", study, "--out", out, "--executor", "ray", "--address", "ADDRESS"
    )
    assert ran.returncode == 0, ran.stderr
    assert "killed when there was" in ran.stdout
    with jobs_in_process():
        here = run_study(study, tmp_path / "here")
    assert plain(json.loads((out / "results.json").read_text())) == plain(here.results)
    trained = max(
        (path for path in (out / "jobs").iterdir()), key=lambda path: RunFolder(path).read_curve()[-1]["step"]
    )
    # What the first machine had logged before its last checkpoint came back is there beside what the second one did.
    assert len({log.name.split(".")[-2] for log in (trained / "tensorboard").glob("events.*")}) == 2
    assert not list(out.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"executor": "slurm"}, "unknown executor 'slurm'. Known: local, ray."),
        ({"address": "auto"}, "address is for the executor ray, not for local."),
        ({"resources": {"CPU": 2}}, "resources is for the executor ray, not for local."),
        (
            {"executor": "ray", "resources": {"CPU": "two"}},
            "resources: CPU = 'two' must be a number that is not negative.",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_job(study, tmp_path, arguments, message):
    with pytest.raises(Sim2RealError) as caught:
        run_study(study, tmp_path / "out", **arguments)
    assert str(caught.value) == message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_at_which_nobody_listens_is_refused_at_once(scheme):
    with closing(socket.socket()) as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Sim2RealError, match=f"^cannot connect to a Ray cluster at {address}: .*refused"):
            connect(address)


def test_a_run_folder_travels_with_its_newest_checkpoint_alone(tmp_path):
    folder = RunFolder(tmp_path / "run")
    for step in (100, 200):
        (folder.checkpoints / f"step_{step:010d}").mkdir(parents=True)
        (folder.checkpoints / f"step_{step:010d}" / "state.json").write_text(str(step))
    folder.append_curve({"step": 0})
    (folder.path / ".config.yaml.7.tmp").write_text("half")
    there = RunFolder(tmp_path / "there" / "run")
    for _ in range(2):  # into a new folder, and in the place of one
        unpack_folder(pack_folder(folder.path), there.path)
        found = {str(path.relative_to(there.path)) for path in there.path.rglob("*") if path.is_file()}
        assert found == {"metrics.jsonl", "checkpoints/step_0000000200/state.json"}
        assert [path.name for path in there.path.parent.iterdir()] == ["run"]
        (there.path / "other").write_text("")
    unpack_folder(b"", there.path)
    assert (there.path / "other").exists()
