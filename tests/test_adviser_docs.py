"""What is published of the adviser is what was measured, and what was probed is not probed again."""

import importlib
import json
from pathlib import Path

import pytest

from sim2real.files import read_yaml
from sim2real.studies.run import plan_study
from sim2real.transfer.adviser import MODEL, Adviser

REPO = Path(__file__).parent.parent
PAGE = (REPO / "docs/transfer.md").read_text(encoding="utf-8")
TINY = REPO / "scripts/studies/tiny.yaml"
WORLDS = ("A-v0", "B-v0", "C-v0")


@pytest.fixture
def script(scripts):
    """Import the script that calibrates, as its neighbours do."""
    return importlib.import_module("calibrate_adviser")


def test_page_and_model_are_made_from_what_is_kept(script):
    results = REPO / "docs/results"
    kept = script.read_probes(results / "adviser.json")
    pairs = script.known_pairs(kept, script.read_kept(results / "transfer.json", read_yaml(script.STUDY)))
    said, model = script.calibrate(pairs)
    assert script.replace_part(PAGE, "calibrate_adviser.py", script.rendered(pairs, said, model)) == PAGE
    assert (model is None) == (not MODEL.exists())
    if model is not None:
        assert numbers(model.to_dict()) == pytest.approx(numbers(Adviser.read(MODEL).to_dict()), rel=1e-5, abs=1e-7)


def numbers(content, at=""):
    """Return all numbers in nested mappings, by where they stand."""
    if isinstance(content, dict):
        return {key: value for name, part in content.items() for key, value in numbers(part, f"{at}/{name}").items()}
    return {at: content} if isinstance(content, (int, float)) else {}


def curve(start, end):
    return [[0, start, None], [500, (start + end) / 2, None], [1000, end, None]]


def cell(pays):
    """Curves of a cell with three seeds: fine-tuning begins where scratch never gets, or the other way round."""
    better, worse = ([curve(end - 0.1, end + 0.01 * seed) for seed in range(3)] for end in (10.0, 1.0))
    finetune, scratch = (better, worse) if pays else (worse, better)
    arms = {"finetune": finetune, "scratch": scratch, "zero-shot": [[row[0]] for row in finetune]}
    return {arm: {str(seed): rows for seed, rows in enumerate(curves)} for arm, curves in arms.items()}


def line(world, pays, seed):
    """The probes of a pair that keeps all, or nothing."""
    zero_shot = 9.0 if pays else 0.5
    probes = {
        "target_steps": 100, "window": None, "zero_shot_return": zero_shot, "zero_shot_success": None,
        "source_return": 10.0, "source_success": None, "scratch_returns": [0.0], "chance_return": 0.0,
        "scratch_return": None, "auc": 0.9, "surprise": 1.0, "domain_distance": None, "kept": 0.0, "climb": None,
    }  # fmt: skip
    named = {"address": f"{world}{pays}{seed}", "cell": title(world, pays), "world": world}
    return {**named, "seed": seed, "steps": 1000, "tuned": 10_000, "probes": probes}


def title(world, pays):
    return f"{world}/none/sac/{'near' if pays else 'far'}/finetune/1000"


def test_pairs_are_judged_by_models_that_know_nothing_of_their_world(script):
    curves = {title(world, pays): cell(pays) for world in WORLDS for pays in (True, False)}
    curves[title("A-v0", False)]["finetune"].pop("2")  # not finished yet
    curves["D-v0/none/sac/near/finetune/1000"] = {arm: {"0": seeds["0"]} for arm, seeds in cell(True).items()}
    kept = [line(world, pays, seed) for world in (*WORLDS, "D-v0") for pays in (True, False) for seed in range(3)]
    pairs = script.known_pairs(kept, curves)
    assert len(pairs) == 3 * 2 * 3 - 1  # one seed has no verdict, and a policy whose arms are not finished none
    assert {pair.world for pair in pairs} == set(WORLDS)
    assert all((pair.verdict == "pays") == ("near" in pair.cell) for pair in pairs)
    said, model = script.calibrate(pairs)
    facts = model.calibration
    assert (facts.pairs, facts.pays, facts.worlds, facts.accuracy) == (17, 9, WORLDS, 1.0)
    assert facts.brier < facts.base_rate_brier
    part = script.rendered(pairs, said, model)
    assert "| A-v0 | 5 | 60\N{NO-BREAK SPACE}% | 100\N{NO-BREAK SPACE}% |" in part
    assert "It was wrong about no cell." in part
    wrong = script.mistakes(pairs, [1.0 - p for p in said])
    assert wrong.count("\n") == 1 + 6


def test_one_world_or_one_verdict_calibrates_nothing(script):
    curves = {title("A-v0", pays): cell(pays) for pays in (True, False)}
    one_world = script.known_pairs([line("A-v0", pays, 0) for pays in (True, False)], curves)
    assert script.calibrate(one_world) == ([], None)
    curves = {title(world, True): cell(True) for world in WORLDS}
    one_verdict = script.known_pairs([line(world, True, 0) for world in WORLDS], curves)
    assert script.calibrate(one_verdict) == ([], None)
    assert script.rendered(one_verdict, *script.calibrate(one_verdict)) == "Not measured yet."


def test_points_of_the_reliability_plot_are_shares_of_what_was_said(script):
    axes = script.reliability([0.1, 0.15, 0.9, 0.9], [False, True, True, True]).axes[0]
    points = {tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() == "o"}
    assert points == {(0.125, 0.5), (0.9, 1.0)}
    assert [text.get_text() for text in axes.texts] == ["1 of 2", "2 of 2"]


def test_pairs_are_those_of_fine_tuning_and_what_was_probed_is_not_probed_again(script, tmp_path, monkeypatch):
    plan = plan_study(TINY)
    monkeypatch.setattr(script, "plan_study", lambda _: plan)
    pairs = script.find_pairs(TINY, tmp_path / "runs", tmp_path / "out/probes.jsonl")
    assert [(pair.cell, pair.seed) for pair in pairs] == [(cell.title, seed) for cell in plan.cells for seed in (0, 1)]
    assert len({pair.address for pair in pairs}) == len(pairs)
    for pair in pairs:  # their policies are there
        pair.policy.mkdir(parents=True, exist_ok=True)
        (pair.policy / "policy.zip").touch()
    asked = []

    def probed(function, jobs, listeners, workers):
        asked.append([job.address for job in jobs])
        for job in jobs:
            with job.file.open("a") as lines:
                lines.write(json.dumps({"address": job.address, "cell": job.cell}) + "\n")

    monkeypatch.setattr(script, "run_jobs", probed)
    kept = [{"address": pairs[0].address, "cell": pairs[0].cell}, {"address": "of another study", "cell": "x"}]
    for _ in range(2):
        found = script.probe_all(TINY, tmp_path / "runs", tmp_path / "out", kept, workers=1)
        assert [entry["address"] for entry in found] == [pair.address for pair in pairs]
    assert asked == [[pair.address for pair in pairs[1:]]]
    script.write_probes(tmp_path / "results/adviser.json", found)
    assert script.read_probes(tmp_path / "results/adviser.json") == found
    lines = (tmp_path / "results/adviser.json").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(pairs) + 2  # a line each
