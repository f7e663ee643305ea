"""What a study promises: a grid spelled out and checked at once, every job once whatever is killed, failures alone."""

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path

import pytest
import yaml
from point_mass import ID, SMALL
from study_grid import GRID

import sim2real
from sim2real.errors import Sim2RealError
from sim2real.studies.folder import StudyFolder
from sim2real.studies.plan import make_plan
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
from sim2real.studies.study import read_study
from sim2real.studies.study_plots import verdict_map
from sim2real.studies.summary import study_markdown
from sim2real.training.folder import locked
from sim2real.training.parallel import Report, Workers


def write(folder, **changes):
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump({**GRID, **changes}, sort_keys=False))
    return file


def plan(folder, **changes):
    return make_plan(read_study(write(folder, **changes)))


def without_times(results):
    plain = json.loads(json.dumps(results))
    del plain["study"]
    for cell in plain["cells"]:
        cell.get("result", {}).pop("provenance", None)
    return plain


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return run_study(write(folder), folder / "out", workers=2)


def test_jobs_that_cells_share_are_planned_once(tmp_path):
    whole = plan(
        tmp_path,
        randomizers={"none": "none", "uniform": "uniform"},
        methods={"finetune": None, "gentle": {"method": "finetune", "critic_warmup": 60}},
        steps=[120, 240],
    )
    assert len(whole.cells) == 2 * 2 * 2 * 2  # randomizers, targets, methods, budgets
    kinds = {}
    for job in whole.jobs.values():
        kind = "train" if job.method is None else job.method.name
        kinds[kind] = kinds.get(kind, 0) + 1
    # Scratch does not ask where one comes from, zero-shot not how long the others learn.
    assert kinds == {"train": 2 * 2, "finetune": 16 * 2, "scratch": 2 * 2 * 2, "zero-shot": 2 * 2 * 2}
    assert len({job.title for job in whole.jobs.values()}) == len(whole.jobs)
    order = list(whole.jobs)
    assert all(order.index(job.source) < order.index(a) for a, job in whole.jobs.items() if job.source)
    assert whole.jobs.keys() == plan_study(tmp_path / "study.yaml").jobs.keys()


def test_what_a_job_does_makes_its_address(tmp_path):
    before = plan(tmp_path)
    more = plan(tmp_path, seeds=3, targets={**GRID["targets"], "new": {"domain": {"gain": 0.9}}})
    assert before.jobs.keys() < more.jobs.keys()
    other = plan(tmp_path, hyperparameters={**SMALL, "gamma": 0.8})
    kept = {job.title for address, job in other.jobs.items() if address in before.jobs}
    assert {title.split()[0] for title in kept} == {"train", "zero-shot"}


def test_every_fault_is_listed_at_once_before_anything_runs(tmp_path):
    file = write(
        tmp_path,
        sources={"own": {"env": ID, "stepz": 3}, "other": GRID["sources"]["own"], "none": {"policy": "NoSuchPolicy"}},
        methods={"finetun": None},
        steps=["many"],
        seeds=-1,
        eval_every=0,
        seedz=2,
        targetz=["far"],
    )
    with pytest.raises(Sim2RealError) as caught:
        run_study(file, tmp_path / "out")
    message = str(caught.value)
    assert message.startswith("study.yaml: 7 faults: (1) ")
    for fault in (
        "study: unknown key 'seedz'. Did you mean 'seeds'? unknown key 'targetz'. Did you mean 'targets'? Known: ",
        "sources: own: source: unknown key 'stepz'. Did you mean 'steps'?",
        "steps: 'many' must be a whole number of at least 1.",
        "seeds = -1 must be at least 1, or distinct whole numbers that are not negative.",
        "eval_every = 0 must be a whole number of at least 1.",
        "source none: unknown pretrained policy 'NoSuchPolicy'.",
        "unknown transfer method 'finetun'. Did you mean 'finetune'?",
    ):
        assert fault in message
    assert not (tmp_path / "out").exists()


def test_what_can_only_be_seen_in_the_worlds_is_listed_at_once_too(tmp_path):
    wide = {"env": ID, "kwargs": {"width": 3}, "steps": 200, "hyperparameters": SMALL}
    file = write(
        tmp_path,
        sources={**GRID["sources"], "wide": wide, "none": {"policy": "NoSuchPolicy"}},
        targets={"moon": None, "narrow": {"env": ID, "domain": {"gain": 50.0, "drfit": 0.5}}},
        methods={"finetun": None},
        exclude=[{"target": "mars"}],
    )
    with pytest.raises(Sim2RealError) as caught:
        plan_study(file)
    message = str(caught.value)
    for fault in (
        "own into moon: unknown target 'moon'. Known: nominal.",
        "target narrow: domain parameter gain = 50 is outside its bounds [-1, 2];",
        "target narrow: unknown domain parameter 'drfit'. Did you mean 'drift'?",
        "source none: unknown pretrained policy 'NoSuchPolicy'.",
        "unknown transfer method 'finetun'. Did you mean 'finetune'?",
        "exclude: unknown target 'mars'. Known: moon, narrow.",
    ):
        assert message.count(fault) == 1, message


def test_every_fault_of_one_training_is_listed(tmp_path):
    source = {"env": ID, "steps": 0, "hyperparameters": {**SMALL, "gamma": 2, "learning_rat": 1e-3}}
    file = write(tmp_path, sources={"own": source}, randomizers={"odd": "unifrom"}, hyperparameters={"tau": -1})
    with pytest.raises(Sim2RealError) as caught:
        plan_study(file)
    message = str(caught.value)
    for fault in (
        "source own: steps = 0 must be a whole number of at least 1.",
        "source own: hyperparameter gamma = 2 must be a number of at least 0 and at most 1.",
        "source own: unknown sac hyperparameter 'learning_rat'. Did you mean 'learning_rate'?",
        "source own: unknown randomizer 'unifrom'. Did you mean 'uniform'?",
    ):
        assert message.count(fault) == 1, message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": {}}, "targets is missing or empty; a study needs at least one."),
        ({"sources": {"own": {"steps": 3}}}, "give env, where it is trained, or policy, which is there."),
        ({"sources": {"own": {"policy": "x", "steps": 3}}}, "steps is for a training; the policy is there already."),
        (
            {"targets": {"a": {"target": "b", "domain": {}}}},
            "give target, a name, or domain, its parameters, not both.",
        ),
        ({"targets": {"a": {"domain": [1]}}}, "targets: a: domain = [1] must be a mapping of parameters."),
        ({"targets": {"a": {"target": 3}}}, "targets: a: target = 3 must be a name."),
        ({"targets": {"a": {"kwargs": {"width": 2}}}}, "kwargs needs an env beside it."),
        ({"steps": [120, 120]}, "an entry stands twice."),
        ({"seeds": 10**20}, f"seeds = {10**20} must be at most 1000; a list says the seeds themselves."),
        ({"steps": [0]}, "steps: 0 must be a whole number of at least 1."),
        (
            {"targets": {False: {"domain": {}}}},
            "targets: False: the name False must be text; put it in quotes, since YAML takes it for a value.",
        ),
        ({"targets": [3]}, "targets: 3: the name 3 must be text; put it in quotes, since YAML takes it for a value."),
        ({"targets": "far"}, "targets: expected a mapping of names to values, or a list of names, got 'far'."),
        ({"exclude": [{"steps": 7}]}, "exclude: unknown steps '7'. Known: 120."),
        ({"targets": ["nominal", "nominal"]}, "targets: ['nominal', 'nominal']: a name stands twice."),
        ({"methods": ["finetune", "scratch"]}, "scratch is run beside every method; leave it out."),
        ({"randomizers": {"a": 5}}, "randomizers: a: 5 must be the name of a randomizer or a mapping."),
        ({"exclude": [{"target": ["far"]}]}, "exclude: target = ['far'] must be one name or number."),
        ({"exclude": [{"algo": "ppoo", "target": "far"}]}, "exclude: unknown algo 'ppoo'. Known: sac."),
        ({"targets": {"a": {"env": ID, "kwargs": {"width": math.nan}}}}, "env: kwargs: width = nan must be finite."),
        (
            {"methods": {"finetune": {"critic_warmup": date(2026, 1, 2)}}},
            "settings: critic_warmup = datetime.date(2026, 1, 2) must be a number, text, true, false or null; put text "
            "in quotes.",
        ),
        ({"sources": {"own": {"policy": None}}}, "sources: own: policy = None must be a path or a name."),
        ({"methods": {"finetune": {"critic_warmup": -1}}}, "critic_warmup = -1 must be a whole number"),
        (
            {"exclude": [{"target": "far"}, {"target": "shifted"}]},
            "nothing is left to do; every combination is excluded.",
        ),
        (
            {"targets": {**GRID["targets"], "away": {"domain": {"gain": -0.5}}}},
            "own/uniform/sac/far/finetune/120 and own/uniform/sac/away/finetune/120 are the same work; remove one.",
        ),
    ],
)
def test_a_study_that_cannot_be_is_refused(tmp_path, changes, message):
    with pytest.raises(Sim2RealError) as caught:
        plan(tmp_path, **changes)
    assert message in str(caught.value)


def test_a_target_of_other_spaces_is_refused_before_anything_runs(tmp_path):
    wide = {"env": ID, "kwargs": {"width": 3}, "steps": 200, "hyperparameters": SMALL}
    with pytest.raises(Sim2RealError, match="wide into narrow: the policy does not fit the env: "):
        plan(tmp_path, sources={"wide": wide}, targets={"narrow": {"env": ID, "domain": {"gain": 0.5}}})


def test_a_cell_of_ppo_is_named_by_the_rollouts_it_takes(tmp_path):
    small = {"n_steps": 64, "n_envs": 1, "batch_size": 64}
    axes = {
        "sources": {"own": {"env": ID, "steps": 200, "hyperparameters": small}},
        "algorithms": ["ppo"],
        "targets": ["nominal"],
        "hyperparameters": small,
    }
    (cell,) = plan(tmp_path, **axes, steps=[150]).cells
    assert cell.labels["steps"] == cell.base.steps == 128
    assert cell.title == "own/uniform/ppo/nominal/finetune/128"
    with pytest.raises(Sim2RealError, match="another budget is 128 steps, too: ppo learns from whole rollouts"):
        plan(tmp_path, **axes, steps=[130, 150])
    assert not plan(tmp_path, **axes, steps=[150, 300], exclude=[{"steps": 150}]).cells[1:]


def test_cells_are_judged_as_a_transfer_is(finished, tmp_path):
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
    ],
)
def test_a_damaged_result_is_named_by_file_and_place(finished, tmp_path, damage, message):
    results = json.loads(json.dumps(finished.results))
    damage(results)
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "curves.jsonl").write_text((finished.folder / "curves.jsonl").read_text())
    with pytest.raises(Sim2RealError, match=message):
        write_report(tmp_path)


def test_a_study_that_broke_off_before_its_results_says_how_to_go_on(tmp_path):
    write(tmp_path)
    with pytest.raises(Sim2RealError, match="holds a study that has not come to results yet; run the study again"):
        write_report(tmp_path)


def test_checkpoints_of_finished_jobs_do_not_fill_the_disk(finished):
    assert not list(finished.folder.glob("jobs/*/checkpoints"))
    assert json.loads((finished.folder / "results.json").read_text()) == finished.results


def times(folder):
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("jobs/*/seconds.json")}


def test_what_is_finished_is_not_done_again_and_what_is_damaged_is(finished, recwarn):
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


def test_a_study_whose_driver_is_killed_loses_no_finished_job_and_repeats_none(finished, tmp_path):
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


def test_what_a_kill_leaves_beside_a_file_does_not_block_a_job(tmp_path):
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


def test_a_part_can_be_run_and_the_rest_later(tmp_path):
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


def test_a_job_that_fails_is_tried_again_and_takes_only_its_own_cell_with_it(tmp_path):
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
    assert runner._failed[source] == "Sim2RealError: twice"
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
    assert runner._failed == {source: "Sim2RealError: its machine died"}


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


def test_a_policy_that_is_there_is_kept_with_the_study(source, tmp_path):
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
        return Workers(1)

    monkeypatch.setattr("sim2real.studies.run.make_pool", make_pool)
    there = {"there": {"policy": str(source.folder)}}
    file = write(tmp_path, sources=there, targets={"far": GRID["targets"]["far"]}, seeds=1)
    run_study(file, tmp_path / "out", executor="ray", workers=3, address="auto", resources={"CPU": 2})
    assert asked == [("ray", 3, "auto", {"CPU": 2})]


def test_the_example_of_the_documentation_is_a_study(tmp_path):
    text = sys.modules["sim2real.studies.study"].__doc__
    example = text.split("::\n\n")[1].split("\n\n``eval_every``")[0]
    (tmp_path / "study.yaml").write_text("\n".join(line[4:] for line in example.splitlines()))
    whole = make_plan(read_study(tmp_path / "study.yaml"))
    assert {cell.labels["source"] for cell in whole.cells} == {"panda", "shipped"}


def test_the_example_of_the_readme_is_a_study(tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (tmp_path / "study.yaml").write_text(readme.split("# arms.yaml\n")[1].split("```")[0])
    assert len(plan_study(tmp_path / "study.yaml").cells) == 3 * 2 * 2


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
