"""What looks at a study's policies afterwards: films and sweeps, jobs like the others that cost no cell its verdict."""

import json
import shutil

import imageio.v3
import numpy as np
import pytest
import yaml
from point_mass import ID, SMALL
from study_grid import GRID, LOOKS

from sim2real.errors import Sim2RealError
from sim2real.evaluation.evaluate import evaluate
from sim2real.studies.report import write_report
from sim2real.studies.results import read_robustness
from sim2real.studies.run import plan_study, run_study
from sim2real.studies.summary import percent


def write(folder, **changes):
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump({**GRID, **LOOKS, **changes}))
    return file


def finished(folder):
    return {note.parent.name: note.stat().st_mtime_ns for note in folder.glob("jobs/*/seconds.json")}


def test_films_and_sweeps_stand_behind_the_policies_they_look_at(tmp_path):
    plan = plan_study(write(tmp_path, targets=GRID["targets"], methods={"finetune": None, "patient": {
        "method": "finetune", "critic_warmup": 60}}))  # fmt: skip
    order = list(plan.jobs)
    assert all(order.index(needed) < order.index(a) for a, job in plan.jobs.items() for needed in job.needs)
    titles = [job.title for job in plan.jobs.values()]
    assert sum(title.startswith("film") for title in titles) == 4  # two methods in two targets
    # Of scratch and zero-shot there is one sweep for both methods: two sets of parameters, two targets, four policies.
    assert sum(title.startswith("sweep") for title in titles) == 2 * 2 * 4
    for cell in plan.cells:
        assert cell.film in plan.jobs
        assert [set(sweep) for sweep in cell.sweeps] == [{"finetune", "scratch", "zero-shot"}] * 2
    sweep = next(job for job in plan.jobs.values() if job.title.startswith("sweep of gain and drift"))
    assert sweep.steps == 3 * 3 * 2 * 20


def test_a_film_shows_who_plays_where_side_by_side(watched):
    cell = watched.results["cells"][0]
    film = watched.folder / cell["film"]
    frames = imageio.v3.imread(film)
    assert frames.shape[1:] == (2 * (160 + 36), 2 * 320, 3)  # two rows of two, each with its caption
    assert len(frames) == 20 // 2 + 5 // 2  # every second step, and half a second at the end
    poster = imageio.v3.imread(film.with_suffix(".png"))
    assert np.abs(poster.astype(int) - frames[-1]).mean() < 2  # how it ends; the film is compressed


def test_a_sweep_is_what_evaluating_at_each_value_is(watched):
    cell = watched.results["cells"][0]
    single, pair = cell["sweeps"]
    found = read_robustness(watched.folder / single["zero-shot"])
    values = [float(value) for (value,) in (one.values for one in found.cells)]
    assert values == [-1.0, 0.5, 2.0]
    policy = watched.folder / "jobs" / cell["sources"]["0"] / "policy.zip"
    for one in found.cells:
        again = evaluate(policy, target={"gain": one.values[0], "drift": 0.2}, episodes=2, seed=0)
        assert one.returns == pytest.approx(again.returns)
        assert one.return_mean == pytest.approx(again.return_mean)
    assert len(read_robustness(watched.folder / pair["finetune"]).cells) == 9


def test_the_report_shows_films_and_sweeps(watched):
    html = (watched.folder / "report.html").read_text()
    assert "<h2>Robustness</h2>" in html
    assert "<h2>Behaviour</h2>" in html
    assert "One seed has no intervals, so that nothing is decided; run at least 5." in html
    found = read_robustness(watched.folder / watched.results["cells"][0]["sweeps"][1]["scratch"])
    rates = [percent(rate) for rate in (found.mean, found.worst_decile, found.worst)]
    assert "scratch: mean {}, worst tenth {}, worst {}".format(*rates) in html
    assert html.count("<video controls") == 1
    assert "finetune, 120 steps: one episode." in html
    assert "Film: own, uniform, sac → shifted, finetune, 120 steps" in html


def test_a_report_leaves_out_what_is_damaged_and_names_it(watched, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(watched.folder, folder)
    cell = watched.results["cells"][0]
    film, sweep = folder / cell["film"], folder / cell["sweeps"][0]["scratch"]
    film.write_bytes(film.read_bytes()[:500])
    sweep.write_text(sweep.read_text()[:100])
    html = write_report(folder).read_text()
    assert "<video" not in html
    assert f"is left out: {film} is not whole. Run the study again." in html
    assert f"A sweep of scratch is left out: {sweep} cannot be read: " in html
    assert "<h2>Robustness</h2>" in html


def test_a_report_embeds_no_file_from_outside_its_folder(watched, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(watched.folder, folder)
    (tmp_path / "secret.txt").write_text("secret")
    results = json.loads((folder / "results.json").read_text())
    results["cells"][0]["film"] = "../secret.txt"
    (folder / "results.json").write_text(json.dumps(results))
    html = write_report(folder).read_text()
    assert "<video" not in html
    assert f"{folder / '../secret.txt'} is not in {folder}." in html


@pytest.mark.slow
def test_only_what_is_damaged_is_looked_at_again(watched, tmp_path, recwarn):
    file = write(tmp_path)
    folder = tmp_path / "out"
    shutil.copytree(watched.folder, folder)
    before, cell = finished(folder), watched.results["cells"][0]
    (folder / cell["film"]).write_bytes(b"short")
    sweep = folder / cell["sweeps"][0]["scratch"]
    sweep.write_text(sweep.read_text()[:100])
    again = run_study(file, folder, workers=1)
    after = finished(folder)
    changed = {address for address in after if after[address] != before[address]}
    assert changed == {(folder / cell["film"]).parent.name, sweep.parent.name}
    assert again.results["cells"][0]["result"]["verdict"] == cell["result"]["verdict"]
    assert [np.array_equal(imageio.v3.imread(root / cell["film"]), imageio.v3.imread(watched.folder / cell["film"]))
            for root in (folder,)] == [True]  # fmt: skip
    assert sum("is done again, since its result is damaged" in str(warning.message) for warning in recwarn) == 2


@pytest.mark.slow
def test_a_film_that_fails_costs_no_verdict(tmp_path, in_process):
    blind = {"own": {"env": ID, "kwargs": {"blind_from": 1}, "steps": 200, "hyperparameters": SMALL}}
    done = run_study(write(tmp_path, sources=blind, robustness=None), tmp_path / "out", workers=1)
    assert "result" in done.results["cells"][0]
    assert "film" not in done.results["cells"][0]
    (failure,) = done.failures
    assert failure["job"] == "film of own, uniform, sac in shifted, finetune, 120 steps"
    assert failure["reason"].startswith("RuntimeError: the lamp is out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"robustness": {"sweep": ["gian"]}}, "robustness: unknown parameter 'gian'. Did you mean 'gain'?"),
        ({"robustness": {"sweep": []}}, "robustness: sweep = [] must be a list of parameters, or of pairs of them."),
        (
            {"robustness": {"sweep": [["gain", "drift", "gain"]]}},
            "robustness: sweep: ['gain', 'drift', 'gain'] must be the name of a parameter, or a pair of names.",
        ),
        (
            {"robustness": {"sweep": ["gain"], "points": 1}},
            "robustness: points = 1 must be a whole number of at least 2",
        ),
        (
            {"robustness": {"sweep": ["gain", ["gain", "gain"]]}},
            "robustness: parameters = ['gain', 'gain']: a name stands twice.",
        ),
        (
            {"robustness": {"sweep": [["drift", "gain"], "gain", ["gain", "drift"]]}},
            "robustness: sweep: ['gain', 'drift'] stands twice.",
        ),
        ({"robustness": {"sweeps": ["gain"]}}, "robustness: study: unknown key 'sweeps'. Did you mean 'sweep'?"),
        ({"videos": {"episodes": 0}}, "videos: episodes = 0 must be a whole number of at least 1."),
        ({"videos": {"seconds": 3}}, "videos: study: unknown key 'seconds'."),
        (
            {"targets": {"cart": {"env": "tests/NoPictures-v0", "domain": {"gain": 0.5}}}},
            "videos: env 'tests/NoPictures-v0' draws no pictures (render_mode 'rgb_array').",
        ),
        (
            {"sources": {"own": {"env": ID, "kwargs": {"blind_from": 0}, "steps": 200}}},
            f"videos: env '{ID}' cannot be drawn: RuntimeError: the lamp is out",
        ),
    ],
)
def test_what_cannot_be_looked_at_is_refused_before_the_first_job(tmp_path, changes, message):
    import gymnasium as gym
    from point_mass import PointMass

    class NoPictures(PointMass):
        metadata = {"render_modes": []}  # noqa: RUF012

    gym.register("tests/NoPictures-v0", entry_point=NoPictures, max_episode_steps=20)
    try:
        with pytest.raises(Sim2RealError) as caught:
            plan_study(write(tmp_path, **changes))
        assert message in str(caught.value)
    finally:
        del gym.registry["tests/NoPictures-v0"]
