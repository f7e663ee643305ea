"""Curves that are kept of a study: what is kept is not run again, on whichever machine it was measured."""

import importlib
import json

import pytest


@pytest.fixture
def kept_curves(scripts):
    """Import the module, as its neighbours do."""
    return importlib.import_module("kept_curves")


def points(cell, seed, start):
    rows = {"graft": [(0, start), (100, 9.0)], "scratch": [(0, 0.0), (100, 8.0)], "zero-shot": [(0, start)]}
    for arm, curve in rows.items():
        for step, value in curve:
            yield {"cell": cell, "arm": arm, "seed": seed, "step": step, "return_mean": value, "success_rate": None}


@pytest.mark.parametrize(
    ("title", "labels"),
    [
        (
            "reach/uniform/sac/hard/finetune/3000",
            {"source": "reach", "randomizer": "uniform", "target": "hard", "method": "finetune", "steps": 3000},
        ),
        ("push/sac/kuka/graft/500", {"source": "push", "target": "kuka", "method": "graft", "steps": 500}),
    ],
)
def test_a_cell_is_left_out_by_its_labels(kept_curves, title, labels):
    assert kept_curves.labels_of(title) == labels


def test_seeds_come_together_and_come_back_from_the_file(kept_curves, tmp_path):
    cell, file, study = "push/sac/kuka/graft/500", tmp_path / "kept.json", {"seeds": 3, "steps": [500]}
    kept = kept_curves.with_seed({}, 0, points(cell, 0, 5.0))
    kept = kept_curves.with_seed(kept, 1, points(cell, 1, 6.0))
    kept_curves.write_kept(file, study, kept)
    assert kept_curves.read_kept(file, {**study, "seeds": 5}) == kept  # more seeds of the same study
    assert kept_curves.read_kept(file, {**study, "steps": [600]}) == {}  # another study
    found = kept_curves.cells_of(kept)[cell]
    assert kept_curves.curves_of(found, "graft").values.tolist() == [[5.0, 9.0], [6.0, 9.0]]
    assert kept_curves.ending(found, "scratch") == "8.0"
    assert kept_curves.ending(found, "auto") == "–"
    assert kept_curves.verdict_words(found, "graft")
    one = kept_curves.cells_of(kept_curves.with_seed({}, 0, points(cell, 0, 5.0)))[cell]
    assert kept_curves.verdict_words(one, "graft") == ""
    assert kept_curves.threshold_of(kept_curves.curves_of(one, "scratch")) == pytest.approx(7.2)
    again = kept_curves.with_seed(kept, 1, points(cell, 1, 7.0))
    assert kept_curves.curves_of(kept_curves.cells_of(again)[cell], "zero-shot").values.tolist() == [[5.0], [7.0]]
    assert json.loads(file.read_text())["study"] == study


def test_a_cell_counts_with_the_seeds_that_all_of_its_arms_have(kept_curves):
    cell = "push/sac/kuka/graft/500"
    kept = kept_curves.with_seed({}, 0, points(cell, 0, 5.0))
    del kept[cell]["scratch"]["0"]
    assert kept_curves.cells_of(kept) == {}
