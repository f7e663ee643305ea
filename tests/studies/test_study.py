"""What a study promises: a grid spelled out and checked at once, every job once whatever is killed, failures alone."""

import base64
import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
from in_process import InProcess
from point_mass import ID, SMALL
from study_grid import GRID, plan, write

import sim2real
from sim2real.errors import Sim2RealError
from sim2real.studies.folder import StudyFolder
from sim2real.studies.report import write_report
from sim2real.studies.run import (
    LOSSES,
    Task,
    _Runner,
    do_task,
    estimate_seconds,
    part,
    plan_study,
    run_study,
)
from sim2real.studies.study_plots import verdict_map
from sim2real.studies.summary import study_markdown
from sim2real.training.folder import locked
from sim2real.training.parallel import Report


def without_times(results):
    plain = json.loads(json.dumps(results))
    del plain["study"]
    for cell in plain["cells"]:
        cell.get("result", {}).pop("provenance", None)
    return plain


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return run_study(write(folder), folder / "out", workers=1)


@pytest.mark.slow
def test_cells_are_judged_as_a_transfer_is(finished, tmp_path, in_process):
    cells = finished.results["cells"]
    assert [(cell["source"], cell["target"], cell["method"], cell["steps"]) for cell in cells] == [
        ("own", "shifted", "finetune", 120),
        ("own", "far", "finetune", 120),
    ]
    assert finished.failures == []
    address = cells[0]["sources"]["0"]
    alone = sim2real.transfer(
        finished.folder / "jobs" / address,
        target={"gain": 0.5, "drift": 0.2},
        steps=120,
        seeds=1,
        hyperparameters=SMALL,
        eval_episodes=2,
        out=tmp_path / "alone",
    )
    points = [json.loads(line) for line in (finished.folder / "curves.jsonl").read_text().splitlines()]
    here = {
        (p["arm"], p["step"]): p["return_mean"] for p in points if p["cell"] == cells[0]["title"] and p["seed"] == 0
    }
    there = {
        (p["arm"], p["step"]): p["return_mean"]
        for p in map(json.loads, (alone.folder / "curves.jsonl").read_text().splitlines())
    }
    assert here == there
    assert cells[0]["result"]["arms"]["finetune"]["source_steps"] == 200
    assert (finished.folder / "results.md").read_text() == study_markdown(finished.results) + "\n"


def test_the_report_says_the_verdicts_first_and_stands_alone(finished):
    html = (finished.folder / "report.html").read_text()
    cells = finished.results["cells"]
    verdicts = {cell["result"]["verdict"] for cell in cells}
    headline = re.search(r"<h1[^>]*>([^<]+)</h1>", html).group(1)
    pays = sum(cell["result"]["verdict"] == "pays" for cell in cells)
    assert (f"{pays} of 2 cells" in headline) if len(verdicts) > 1 else ("all 2 cells" in headline)
    assert (
        html.index("<h1") < html.index("Verdicts") < html.index("Where transfer pays") < html.index("Learning curves")
    )
    assert "own, uniform, sac → shifted" in html
    assert "Interquartile mean" in html
    assert f"sim2real report {finished.folder}" in html
    assert f"sim2real study {finished.folder.parent}/study.yaml --out {finished.folder}" in html
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert "<script" not in html
    before = html
    assert write_report(finished.folder) == finished.folder / "report.html"
    assert (finished.folder / "report.html").read_text() == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: r.pop("failures"), r"results\.json: 'failures' is missing; run the study again\."),
        (lambda r: r["cells"][1].pop("target"), r"results\.json, cell 2: 'target' is missing; run the study again\."),
        (
            lambda r: r["cells"][0]["result"].pop("arms"),
            r"results\.json, cell 1: 'arms' is missing; run the study again",
        ),
        (lambda r: r["cells"][0].pop("result"), r"results\.json, cell 1: 'missing' is missing"),
        (lambda r: r.update(description=3), r"results\.json: description = 3 is no text; run the study again\."),
    ],
)
def test_a_damaged_result_is_named_by_file_and_place(finished, tmp_path, damage, message):
    results = json.loads(json.dumps(finished.results))
    damage(results)
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "curves.jsonl").write_text((finished.folder / "curves.jsonl").read_text())
    with pytest.raises(Sim2RealError, match=message):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [], r"the arm 'finetune' has curves of the seeds \[\], not of \[0, 1\]\."),
        (
            lambda lines: [line for line in lines if (line["arm"], line["seed"]) != ("scratch", 1)],
            r"the arm 'scratch' has curves of the seeds \[0\], not of \[0, 1\]\.",
        ),
        (lambda lines: lines[1:], r"seed 1 of the arm 'finetune' was evaluated \d+ times"),
        (lambda lines: [{**lines[0], "success_rate": None}, *lines[1:]], r"some arms lack a success rate"),
        (
            lambda lines: [{**line, "cell": "moon"} for line in lines],
            r"the arm 'finetune' has curves of the seeds \[\]",
        ),
    ],
)
def test_curves_that_do_not_fit_the_results_are_named_by_file_and_cell(finished, tmp_path, damage, message):
    lines = [json.loads(line) for line in (finished.folder / "curves.jsonl").read_text().splitlines()]
    (tmp_path / "results.json").write_text((finished.folder / "results.json").read_text())
    (tmp_path / "curves.jsonl").write_text("".join(json.dumps(line) + "\n" for line in damage(lines)))
    with pytest.raises(Sim2RealError, match=rf"curves\.jsonl, cell own/\S+: {message}.* Run the study again\.$"):
        write_report(tmp_path)


def test_names_may_hold_anything_that_can_be_printed(tmp_path, in_process):
    name = "a|b $x$ 机器人 <i>"
    file = write(tmp_path, targets={name: GRID["targets"]["far"]}, seeds=1, eval_episodes=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = run_study(file, tmp_path / "out", workers=1)
    (row,) = (tmp_path / "out" / "results.md").read_text().splitlines()[2:]
    assert "a\\|b $x$ 机器人 <i>" in row
    html = (tmp_path / "out" / "report.html").read_text()
    assert "a|b $x$ 机器人 &lt;i&gt;" in html
    assert done.results["cells"][0]["target"] == name
    figures = [base64.b64decode(found).decode() for found in re.findall(r"svg\+xml;base64,([^\"]+)", html)]
    assert any("机器人" in figure and "$x$" in figure for figure in figures)


def test_a_study_that_broke_off_before_its_results_says_how_to_go_on(tmp_path):
    write(tmp_path)
    with pytest.raises(Sim2RealError, match="holds a study that has not come to results yet; run the study again"):
        write_report(tmp_path)


def test_checkpoints_of_finished_jobs_do_not_fill_the_disk(finished):
    assert not list(finished.folder.glob("jobs/*/checkpoints"))
    assert json.loads((finished.folder / "results.json").read_text()) == finished.results


def times(folder):
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("jobs/*/seconds.json")}


@pytest.mark.slow
def test_what_is_finished_is_not_done_again_and_what_is_damaged_is(finished, recwarn, in_process):
    file, before = finished.folder.parent / "study.yaml", times(finished.folder)
    again = run_study(file, finished.folder, workers=1)
    assert times(finished.folder) == before
    assert without_times(again.results) == without_times(finished.results)
    learning = [a for a in before if len((finished.folder / "jobs" / a / "metrics.jsonl").read_text().split("\n")) > 4]
    cut, thinned, emptied, broken, wrong = learning[:5]
    metrics = finished.folder / "jobs" / cut / "metrics.jsonl"
    metrics.write_text(metrics.read_text()[:30])
    metrics = finished.folder / "jobs" / thinned / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join([*lines[:1], *lines[2:]]))
    (finished.folder / "jobs" / emptied / "seconds.json").unlink()
    note = finished.folder / "jobs" / broken / "seconds.json"
    note.write_text(note.read_text()[:9])
    metrics = finished.folder / "jobs" / wrong / "metrics.jsonl"
    metrics.write_text(re.sub(r'"return_mean": [^,]+', '"return_mean": NaN', metrics.read_text()))
    assert (
        estimate_seconds(plan_study(file), StudyFolder(finished.folder), 1)[1]
        == f"from {len(before) - 2} jobs that are done"
    )
    again = run_study(file, finished.folder, workers=1)
    after = times(finished.folder)
    assert {address for address in before if before[address] != after[address]} == {
        cut,
        thinned,
        emptied,
        broken,
        wrong,
    }
    assert without_times(again.results) == without_times(finished.results)
    messages = [str(warning.message) for warning in recwarn]
    for part_of in ("metrics.jsonl", "seconds.json cannot be read", "return_mean = nan must be a finite number"):
        assert any("is done again, since its result is damaged" in m and part_of in m for m in messages), "\n".join(
            messages
        )


@pytest.mark.slow
def test_a_study_whose_driver_is_killed_loses_no_finished_job_and_repeats_none(finished, tmp_path, in_process):
    file, out = write(tmp_path), tmp_path / "out"
    program = (
        "from sim2real.studies.run import run_study\n"
        f"if __name__ == '__main__': run_study({str(file)!r}, {str(out)!r}, workers=2)\n"
    )
    (tmp_path / "main.py").write_text(program)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen([sys.executable, tmp_path / "main.py"], env=env)
    deadline = time.monotonic() + 120
    while len(times(out)) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    time.sleep(1.0)  # its workers end, too
    before = times(out)
    assert 4 <= len(before) < 14
    done = run_study(file, out, workers=2)
    after = times(out)
    assert len(after) == 14
    assert all(after[address] == before[address] for address in before)
    assert without_times(done.results) == without_times(finished.results)


def test_what_a_kill_leaves_beside_a_file_does_not_block_a_job(tmp_path, in_process):
    file = write(tmp_path, seeds=1, eval_episodes=1, targets={"far": GRID["targets"]["far"]})
    address = next(iter(plan_study(file).jobs))
    place = tmp_path / "out" / "jobs" / address
    place.mkdir(parents=True)
    (place / ".config.yaml.123.tmp").write_text("half")
    assert run_study(file, tmp_path / "out", workers=1).failures == []


def test_a_worker_that_has_not_ended_yet_is_waited_for(tmp_path):
    whole = plan(tmp_path)
    job, folder = next(iter(whole.jobs.values())), tmp_path / "job"
    folder.mkdir()
    held = threading.Event()

    def hold():
        with locked(folder):
            held.set()
            time.sleep(1.0)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    do_task(Task(job=job, folder=folder, policies={}), lambda steps: None)
    holder.join()
    assert (folder / "policy.zip").exists()


def test_a_part_can_be_run_and_the_rest_later(tmp_path, in_process):
    file = write(tmp_path, seeds=1, eval_episodes=1)
    done = run_study(file, tmp_path / "out", only="/far/", workers=1)
    shifted, far = done.results["cells"]
    assert far["result"]["verdict"] == "undecided"
    assert [title.split()[0] for title in shifted["missing"]] == ["finetune", "scratch,", "zero-shot"]
    assert "3 jobs missing" in study_markdown(done.results)
    whole, files = plan_study(file), StudyFolder(tmp_path / "out")
    seconds, basis = estimate_seconds(whole, files, workers=2)
    assert 0.0 < seconds < 60.0
    assert basis == "from 4 jobs that are done"
    with pytest.raises(
        Sim2RealError, match=r"--only 'moon' fits no cell of the study\. The first ones: own/uniform/sac/"
    ):
        part(whole, "moon")


def test_a_job_that_fails_is_tried_again_and_takes_only_its_own_cell_with_it(tmp_path, in_process):
    broken = {"env": ID, "kwargs": {"nan_at": 3}, "domain": {}}
    file = write(tmp_path, targets={"far": GRID["targets"]["far"], "broken": broken}, seeds=1, eval_episodes=1)
    done = run_study(file, tmp_path / "out", workers=1)
    far, lost = done.results["cells"]
    assert "result" in far
    assert len(lost["missing"]) == 3
    assert "Jobs that failed" in (tmp_path / "out" / "report.html").read_text()
    assert {failure["job"].split()[0].strip(",") for failure in done.failures} == {"finetune", "scratch", "zero-shot"}
    reasons = [failure["reason"] for failure in done.failures]
    assert all("nan" in reason for reason in reasons), reasons


def test_what_needs_a_source_that_failed_is_not_tried(tmp_path):
    whole = plan(tmp_path, seeds=1)
    runner = _Runner(whole, StudyFolder(tmp_path), list(whole.jobs.values()), print)
    source = next(iter(whole.jobs))
    assert runner._next() == source
    runner._settle(source, Report(0, "failed", Sim2RealError("once")))
    assert runner._failed == {}
    first = runner._next()
    assert whole.jobs[first].title.startswith("scratch")
    while (address := runner._next()) != source:
        assert whole.jobs[address].title.startswith("scratch")
    runner._settle(source, Report(0, "failed", Sim2RealError("twice")))
    assert runner._next() is None
    assert runner._failed[source] == "Sim2RealError: twice."
    needy = {address for address, job in whole.jobs.items() if job.source == source}
    assert {runner._failed[address] for address in needy} == {"needs 'train own, uniform, sac, seed 0', which failed."}


def test_that_a_machine_is_lost_is_not_held_against_a_job_at_once(tmp_path):
    whole = plan(tmp_path, seeds=1)
    source, job = next(iter(whole.jobs.items()))
    runner = _Runner(whole, StudyFolder(tmp_path), [job], print)
    for _ in range(LOSSES):
        assert runner._failed == {}
        assert runner._next() == source
        runner._settle(source, Report(0, "lost", Sim2RealError("its machine died")))
    assert runner._failed == {source: "Sim2RealError: its machine died."}


def test_a_full_disk_stops_the_study(tmp_path):
    whole = plan(tmp_path, seeds=1)
    runner = _Runner(whole, StudyFolder(tmp_path), list(whole.jobs.values()), print)
    error = Sim2RealError(f"cannot write to there: {os.strerror(errno.ENOSPC)}; choose another place.")
    with pytest.raises(Sim2RealError, match="Free some space, then run the same command to go on"):
        runner._settle(runner._next(), Report(0, "failed", error))


def test_a_folder_in_which_a_study_runs_is_refused(tmp_path):
    file, out = write(tmp_path), tmp_path / "out"
    out.mkdir()
    with locked(out), pytest.raises(Sim2RealError, match="another process is writing to"):
        run_study(file, out)


def test_a_policy_that_is_there_is_kept_with_the_study(source, tmp_path, in_process):
    bundle = tmp_path / "given.zip"
    source.policy.save(bundle)
    file = write(tmp_path, sources={"given": {"policy": "given.zip"}}, seeds=1, eval_episodes=1)
    whole = plan_study(file)
    assert len(whole.bundles) == 1
    assert whole.cells[0].title == "given/sac/shifted/finetune/120"
    first = run_study(file, tmp_path / "out", only="shifted", workers=1)
    assert first.results["cells"][0]["result"]["source_steps"] == 900
    assert [path.name for path in Path(tmp_path / "out" / "policies").iterdir()] == [f"{next(iter(whole.bundles))}.zip"]


def test_where_jobs_are_done_is_as_it_was_asked_for(source, tmp_path, monkeypatch):
    asked = []

    def make_pool(*where):
        asked.append(where)
        return InProcess(1)

    monkeypatch.setattr("sim2real.studies.run.make_pool", make_pool)
    there = {"there": {"policy": str(source.folder)}}
    file = write(tmp_path, sources=there, targets={"far": GRID["targets"]["far"]}, seeds=1)
    run_study(file, tmp_path / "out", executor="ray", workers=3, address="auto", resources={"CPU": 2})
    assert asked == [("ray", 3, "auto", {"CPU": 2})]


def test_results_are_written_for_other_tools(finished):
    import pyarrow.parquet as pq
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    rows = pq.read_table(finished.folder / "results.parquet").to_pylist()
    lines = [json.loads(line) for line in (finished.folder / "curves.jsonl").read_text().splitlines()]
    cells = {cell["title"]: cell for cell in finished.results["cells"]}
    assert len(rows) == len(lines) > 0
    for row, line in zip(rows, lines, strict=True):
        cell = cells[line.pop("cell")]
        labels = ("source", "randomizer", "algo", "target", "method", "steps")
        assert row == {**{key: cell[key] for key in labels}, "verdict": cell["result"]["verdict"], **line}

    runs = sorted((finished.folder / "hparams").glob("*/*/seed_*"))
    assert len(runs) == len(cells) * 3 * 2  # arms, seeds
    scratch = next(run for run in runs if run.parts[-2:] == ("scratch", "seed_1") and "far" in run.parts[-3])
    log = EventAccumulator(str(scratch)).Reload()
    last = [line for line in rows if (line["target"], line["arm"], line["seed"]) == ("far", "scratch", 1)][-1]
    assert log.Scalars("final/return")[0].value == pytest.approx(last["return_mean"])
    assert log.Scalars("final/success")[0].step == 120
    assert "_hparams_/session_start_info" in log.summary_metadata


def test_long_names_leave_room_for_what_is_drawn():
    names = ["a name that goes on and on until nobody reads it any more", "short"]
    for narrow in (False, True):
        map_ = verdict_map({(s, t): ("pays", "0 % → 90 %") for s in names for t in names}, "finetune", narrow=narrow)
        map_.draw_without_rendering()
        assert map_.axes[0].get_position().width > 0.5
        rows = [label.get_text() for label in map_.axes[0].get_yticklabels()]
        assert rows[1] == "short"
        assert rows[0].startswith("a name")
        assert len(rows[0].split("\n")) > 1
