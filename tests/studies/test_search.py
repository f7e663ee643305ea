"""What a search promises: no trial lost and no training done twice whatever is killed, failures alone, and honesty."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import pytest
import yaml
from in_process import jobs_in_process
from point_mass import ID, PointMass

import sim2real
from sim2real.cli.entry import run
from sim2real.domains.randomizers import make_randomizer
from sim2real.errors import Sim2RealError
from sim2real.studies.search import read_search
from sim2real.studies.search_report import search_markdown
from sim2real.studies.search_run import SearchFolder, estimate_search, run_search

pytest.importorskip("optuna")

REPO = Path(__file__).parents[2]
SEARCH = {
    "env": ID,
    "steps": 70,
    "hyperparameters": {
        "net_arch": {"choices": [[8, 8], [16, 16]]},
        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "batch_size": {"low": 16, "high": 64},
        "learning_starts": 60,
    },
    "randomizer": {
        "name": "uniform",
        "ranges": {"gain": [0.8, {"low": 0.9, "high": 2.0}], "drift": {"half_width": {"low": 0.0, "high": 0.3}}},
    },
    "objective": {"targets": {"shifted": {"domain": {"gain": 0.7}}, "far": {"domain": {"gain": -0.5}}}, "episodes": 2},
    "eval_episodes": 1,
    "trials": 13,
    "seeds": 1,
}


class Fragile(PointMass):
    """Breaks under a strong drift."""

    def step(self, action):
        self._nan_at = 3 if self.drift > 0.4 else None
        return super().step(action)


gym.register("tests/Fragile-v0", entry_point=Fragile, max_episode_steps=20)


def write(folder, **changes):
    file = folder / "search.yaml"
    file.write_text(yaml.safe_dump({**SEARCH, **changes}, sort_keys=False))
    return file


def outcomes(results):
    return [(trial["values"], trial["value"], trial["scores"], trial["state"]) for trial in results["trials"]]


def times(folder):
    """When each training was finished."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("jobs/*/policy.zip")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    with jobs_in_process():
        return run_search(write(folder), folder / "out", workers=1)


def test_every_fault_of_the_file_is_listed_at_once_before_anything_runs(tmp_path):
    file = write(
        tmp_path,
        hyperparameters={
            "learning_rate": {"low": 1.0, "high": 0.1},
            "gamma": {"lo": 0.9, "high": 1.0},
            "batch_size": {"low": 1.5, "high": 4},
            "tau": {"low": 0.0, "high": 0.1, "log": True},
            "net_arch": {"choices": [[8], [8]]},
        },
        randomizer={"name": "uniform", "ranges": {"gain": {"width": 1}}},
        objective={"target": ["shifted"]},
        sampler="tpee",
        trials=0,
        seeds=-1,
        seedz=1,
    )
    with pytest.raises(Sim2RealError) as caught:
        run_search(file, tmp_path / "out")
    assert str(caught.value) == (
        "search.yaml: 11 faults: "
        "(1) search: unknown key 'seedz'. Did you mean 'seeds'? Known: description, env, kwargs, domain_file, algo, "
        "steps, eval_every, eval_episodes, hyperparameters, randomizer, objective, trials, seeds, sampler. "
        "(2) hyperparameters: learning_rate: low = 1 must be below high = 0.1. "
        "(3) hyperparameters: gamma: unknown key 'lo'. Did you mean 'low'? Known: low, high, log, choices. "
        "(4) hyperparameters: batch_size: low and high must be whole numbers. "
        "(5) hyperparameters: tau: low = 0 must be above 0 where log is true. "
        "(6) hyperparameters: net_arch: choices = [[8], [8]] must be a list of at least two different values. "
        "(7) range of gain: unknown key 'width'. Did you mean 'half_width'? Known: half_width. "
        "(8) trials = 0 must be a whole number of at least 1. "
        "(9) unknown sampler 'tpee'. Did you mean 'tpe'? Known: random, tpe. "
        "(10) objective: unknown key 'target'. Did you mean 'targets'? Known: targets, randomizer, measure, episodes. "
        "(11) seeds = -1 must be at least 1, or distinct whole numbers that are not negative."
    )
    assert not (tmp_path / "out").exists()


def test_what_can_only_be_seen_in_the_worlds_is_listed_at_once_too(tmp_path):
    file = write(
        tmp_path,
        hyperparameters={
            "gama": {"low": 0.9, "high": 1.0},
            "learning_rate": {"low": 0.0, "high": 0.1},
        },
        randomizer={"name": "uniform", "ranges": {"gain": [{"low": 0.5, "high": 1.5}, {"low": 1.0, "high": 2.0}]}},
        objective={"targets": ["moon"]},
    )
    with pytest.raises(Sim2RealError) as caught:
        read_search(file)
    message = str(caught.value)
    for fault in (
        "objective: target moon: unknown target 'moon'. Known: nominal.",
        "unknown sac hyperparameter 'gama'. Did you mean 'gamma'?",
        "randomizer: range of gain = [1.5, 1.0] must be [low, high] with low <= high.",
    ):
        assert fault in message, message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env": None}, "search.yaml: env is missing; say where it trains."),
        ({"trials": None}, "search.yaml: trials = None must be a whole number of at least 1."),
        (
            {"steps": 60},
            "search.yaml: steps = 60 end before anything is learned, since learning_starts = 60; raise steps.",
        ),
        (
            {"hyperparameters": {"gamma": 0.9}, "randomizer": "none"},
            "search.yaml: nothing is searched; give a hyperparameter low and high, or choices.",
        ),
        (
            {"hyperparameters": {"gamma": {"low": 0.9, "choices": [1]}}},
            "search.yaml: hyperparameters: gamma: give low and high (and log), or choices.",
        ),
        (
            {"hyperparameters": {"gamma": {"low": 0.9}}},
            "search.yaml: hyperparameters: gamma: high is missing; give low and high.",
        ),
        (
            {"hyperparameters": {"gamma": {"low": 0.9, "high": 1.1}}},
            "search.yaml: hyperparameter gamma = 1.1 must be a number of at least 0 and at most 1.",
        ),
        (
            {"randomizer": {"choices": ["none", "unifrom"]}},
            "search.yaml: randomizer: unknown randomizer 'unifrom'. Did you mean 'uniform'? "
            "Known: active, adr, curriculum, distributions, doraemon, learnability, none, posterior, uniform.",
        ),
        (
            {"randomizer": {"name": "uniform", "ranges": {"gain": {"half_width": 0.2}}}},
            "search.yaml: range of gain: half_width = 0.2 must be searched; else give [low, high].",
        ),
        (
            {"objective": {"targets": ["nominal"], "randomizer": "uniform"}},
            "search.yaml: objective: give targets, or the randomizer of the source, not both.",
        ),
        (
            {"env": "Pendulum-v1", "randomizer": "none", "objective": {"measure": "success"}},
            "search.yaml: objective: Pendulum-v1 does not say success (source); set measure: return.",
        ),
    ],
)
def test_a_search_that_cannot_be_is_refused(tmp_path, changes, message):
    with pytest.raises(Sim2RealError) as caught:
        read_search(write(tmp_path, **changes))
    assert str(caught.value) == message


def test_validation_stays_the_same_whatever_is_searched(tmp_path):
    search = read_search(write(tmp_path, objective={}))
    # The env's own training ranges: in those of a trial, the narrowest would win.
    assert (search.objective.randomizer, list(search.objective.worlds)) == ("uniform", ["source"])
    # No other evaluation of this library plays these episodes.
    assert search.objective.seed not in range(100)
    assert (
        read_search(write(tmp_path, env="Pendulum-v1", randomizer="none", objective={})).objective.measure == "return"
    )


def test_a_trial_is_a_training_with_values_in_the_place_of_ranges(tmp_path):
    search = read_search(write(tmp_path))
    values = {"net_arch": [8, 8], "learning_rate": 1e-3, "batch_size": 32, "gain.high": 1.5, "drift.half_width": 0.3}
    assert tuple(values) == tuple(dimension.name for dimension in search.dimensions)
    config = search.config(values)
    assert {name: config.hyperparameters[name] for name in ("net_arch", "learning_rate", "batch_size")} == {
        "net_arch": [8, 8],
        "learning_rate": 1e-3,
        "batch_size": 32,
    }
    randomizer = make_randomizer(config.randomizer, search.space)
    assert randomizer.ranges == {"gain": (0.8, 1.5), "drift": (-0.3, 0.3)}
    span = {"low": 0.0, "high": 2.0}
    wide = read_search(write(tmp_path, randomizer={"name": "uniform", "ranges": {"gain": {"half_width": span}}}))
    assert wide.domains({"gain.half_width": 1.5})["ranges"]["gain"] == [-0.5, 2.0]  # no further than the env goes
    assert search.tuned() == {"learning_rate": 0.0007, "gain.high": 1.2, "drift.half_width": 0.1}


@pytest.mark.slow
def test_trials_are_as_many_as_asked_and_the_first_has_what_is_tuned(finished):
    trials = finished.results["trials"]
    assert [(trial["number"], trial["state"]) for trial in trials] == [(number, "done") for number in range(13)]
    tuned = {"learning_rate": 0.0007, "gain.high": 1.2, "drift.half_width": 0.1}
    assert tuned.items() <= trials[0]["values"].items()
    assert len(times(finished.folder)) == len({json.dumps(trial["values"]) for trial in trials})
    assert not list(finished.folder.glob("jobs/*/checkpoints"))
    for trial in trials:
        assert 1e-4 <= trial["values"]["learning_rate"] <= 1e-2
        assert 16 <= trial["values"]["batch_size"] <= 64


def test_the_value_of_the_best_is_what_evaluate_says_of_its_policy(finished):
    best, aim = finished.best, finished.results["selected_on"]
    policy = sim2real.load_policy(finished.folder / "best" / "seed_0.zip")
    targets = ({"gain": 0.7}, {"gain": -0.5})
    again = [sim2real.evaluate(policy, target=target, episodes=2, seed=aim["seed"]) for target in targets]
    assert best["value"] == pytest.approx(sum(one.success_rate for one in again) / 2)
    assert best["return"] == pytest.approx(sum(one.return_mean for one in again) / 2)
    rivals = [(trial["value"], trial["return"], -trial["number"]) for trial in finished.results["trials"]]
    assert (best["value"], best["return"], -best["number"]) == max(rivals)


def test_what_was_selected_on_is_told_by_the_policy_too(finished):
    policy = sim2real.load_policy(finished.folder / "best" / "seed_0.zip")
    told = policy.metadata.provenance["selected_on"]
    assert list(told["worlds"]) == ["shifted", "far"]
    assert (told["measure"], told["trials"], told["trial"]) == ("success", 13, finished.best["number"])
    assert yaml.safe_load((finished.folder / "best.yaml").read_text())["selected_on"] == told
    assert "selected in shifted, far, which are no test worlds any more" in (finished.folder / "trials.md").read_text()
    assert "With a single seed, a lucky training" in (finished.folder / "trials.md").read_text()


def test_the_command_it_prints_trains_the_best(finished, tmp_path, monkeypatch):
    command = (finished.folder / "best.yaml").read_text().splitlines()[0].removeprefix("# ")
    words = shlex.split(command)
    assert words == finished.best["command"]
    assert words[:2] == ["sim2real", "train"]
    assert words[-2:] == ["--seed", "1"]
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert run([*words[1:-2], "--out", str(tmp_path / "again"), "--eval-episodes", "1", "--quiet"]) == 0
    again = sim2real.load_policy(tmp_path / "again").module.state_dict()
    best = sim2real.load_policy(finished.folder / "best" / "seed_0.zip").module.state_dict()
    assert all(bool((again[name] == best[name]).all()) for name in best)


def test_tables_hold_every_trial(finished):
    import pyarrow.parquet as pq

    rows = pq.read_table(finished.folder / "trials.parquet").to_pylist()
    for row, trial in zip(rows, finished.results["trials"], strict=True):
        values = {**trial["values"], "net_arch": json.dumps(trial["values"]["net_arch"])}
        own = {name: trial[name] for name in ("state", "value", "success", "return", "reason")}
        assert row == {"trial": trial["number"], **own, **values}
    text = (finished.folder / "trials.md").read_text()
    assert text == search_markdown(finished.results) + "\n"
    assert int(re.search(r"^\| (\d+) \|", text, re.M).group(1)) == finished.best["number"]
    assert json.loads((finished.folder / "trials.json").read_text()) == finished.results
    assert (finished.folder / "trials.png").stat().st_size > 10_000


def test_a_finished_search_does_nothing_again_and_goes_on_when_more_trials_are_asked(finished, tmp_path, in_process):
    shutil.copytree(finished.folder, tmp_path / "out")
    before = times(tmp_path / "out")
    again = run_search(write(tmp_path), tmp_path / "out", workers=1)
    assert outcomes(again.results) == outcomes(finished.results)
    more = run_search(write(tmp_path, trials=14), tmp_path / "out", workers=1)
    assert outcomes(more.results)[:13] == outcomes(finished.results)
    assert len(more.results["trials"]) == 14
    after = times(tmp_path / "out")
    assert all(after[address] == before[address] for address in before)
    search = read_search(tmp_path / "search.yaml")
    assert estimate_search(search, tmp_path / "out", 1)[::2] == (0, "from 14 jobs that are done")


def test_another_search_is_refused_in_its_folder(finished, tmp_path):
    other = {**SEARCH["hyperparameters"], "batch_size": 32}
    message = r"holds another run: its hyperparameters\.batch_size is .*, not 32; choose another folder\."
    with pytest.raises(Sim2RealError, match=message):
        run_search(write(tmp_path, hyperparameters=other), finished.folder)


def test_trials_that_were_made_are_not_taken_back(finished, tmp_path):
    with pytest.raises(Sim2RealError, match="holds 13 trials already, more than trials = 5; raise it or choose"):
        run_search(write(tmp_path, trials=5), finished.folder)


@pytest.mark.slow
def test_a_search_that_is_killed_comes_to_the_same_and_does_no_training_twice(finished, tmp_path, in_process):
    file, out = write(tmp_path), tmp_path / "out"
    program = (
        "from sim2real.studies.search_run import run_search\n"
        f"if __name__ == '__main__': run_search({str(file)!r}, {str(out)!r}, workers=1)\n"
    )
    (tmp_path / "main.py").write_text(program)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen([sys.executable, tmp_path / "main.py"], env=env)
    deadline = time.monotonic() + 240
    while len(times(out)) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(Sim2RealError, match="another process is writing to"):
        run_search(file, out)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    time.sleep(1.0)  # its worker ends, too
    before = times(out)
    assert 4 <= len(before) < 13
    done = run_search(file, out, workers=1)
    after = times(out)
    assert all(after[address] == before[address] for address in before)
    assert outcomes(done.results) == outcomes(finished.results)
    assert after.keys() == times(finished.folder).keys()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.77, 0.98])
def test_a_journal_cut_anywhere_is_gone_on_with(finished, tmp_path, share):
    out = tmp_path / "out"
    shutil.copytree(finished.folder, out)
    journal = SearchFolder(out).journal
    content = journal.read_bytes()
    journal.write_bytes(content[: int(share * len(content))])  # in the middle of a line
    Path(f"{journal}.lock").touch()
    before = times(out)
    done = run_search(write(tmp_path), out, workers=1)
    assert outcomes(done.results) == outcomes(finished.results)
    assert times(out) == before


@pytest.mark.slow
def test_seeds_are_paired_and_same_values_are_trained_once(tmp_path):
    hyperparameters = {"net_arch": {"choices": [[8], [16]]}, "learning_starts": 60}
    changes = {"hyperparameters": hyperparameters, "randomizer": "uniform", "sampler": "random"}
    file = write(tmp_path, **changes, trials=5, seeds=[3, 7])
    done = run_search(file, tmp_path / "out", workers=2)
    assert {tuple(trial["scores"]) for trial in done.results["trials"]} == {("3", "7")}
    assert len(times(tmp_path / "out")) == 2 * 2
    by_values = {}
    for trial in done.results["trials"]:
        by_values.setdefault(str(trial["values"]), []).append(trial["scores"])
    assert all(scores == same[0] for same in by_values.values() for scores in same)
    # Values drawn at random do not follow from what finishes first.
    with jobs_in_process():
        alone = run_search(file, tmp_path / "alone", workers=1)
    assert outcomes(alone.results) == outcomes(done.results)


def test_a_training_that_fails_is_a_failed_trial(tmp_path, monkeypatch, in_process):
    monkeypatch.setattr(sys.modules["sim2real.studies.run"], "TRIES", 1)
    strong = {"name": "none", "domain": {"drift": 0.45}}
    changes = {"randomizer": {"choices": ["none", strong]}, "sampler": "random", "trials": 4, "seeds": 2}
    hyperparameters = {"net_arch": [8], "learning_starts": 60, "gamma": {"low": 0.9, "high": 0.99}}
    file = write(tmp_path, env="test_search:tests/Fragile-v0", hyperparameters=hyperparameters, **changes)
    done = run_search(file, tmp_path / "out", workers=1)
    states = {(trial["values"]["randomizer"] == strong, trial["state"]) for trial in done.results["trials"]}
    assert states == {(True, "failed"), (False, "done")}
    lost = [trial for trial in done.results["trials"] if trial["state"] == "failed"]
    assert all(re.match(r"seed 0: Sim2RealError: .*nan", trial["reason"]) for trial in lost), lost
    assert done.best["randomizer"] == "none"
    assert f"{len(lost)} failed" in (tmp_path / "out" / "trials.md").read_text()
    # With its first seed a trial is lost; its second one is not trained.
    assert len(times(tmp_path / "out")) == 2 * (4 - len(lost))


def test_a_search_of_which_nothing_is_left_says_why(tmp_path, capsys, monkeypatch, in_process):
    monkeypatch.setattr(sys.modules["sim2real.studies.run"], "TRIES", 1)
    monkeypatch.setattr(sys, "path", list(sys.path))
    strong = {"name": "none", "domain": {"drift": 0.45}}
    file = write(tmp_path, env="test_search:tests/Fragile-v0", randomizer=strong, trials=1)
    assert run(["search", str(file), "--out", str(tmp_path / "out"), "--workers", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: all 1 trials failed; the first: seed 0: Sim2RealError: ")


def test_the_dry_run_says_what_is_searched(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = write(tmp_path)
    assert run(["search", str(file), "--out", str(tmp_path / "out"), "--dry-run", "--workers", "2"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"learning_rate +0\.0001 to 0\.01, logarithmic +0\.0007", shown)
    assert "13 of 13 x 1 trainings to do, 70 steps each" in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["docstring", "docs/search.md"])
def test_the_examples_of_the_documentation_are_searches(tmp_path, place):
    if place == "docstring":
        text = sys.modules["sim2real.studies.search"].__doc__.split("::\n\n")[1].split("\n\n``eval_every``")[0]
        text = "\n".join(line[4:] for line in text.splitlines())
    else:
        text = (REPO / place).read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    (tmp_path / "search.yaml").write_text(text)
    search = read_search(tmp_path / "search.yaml")
    assert (search.objective.measure, list(search.objective.worlds)) == ("success", ["mild"])
