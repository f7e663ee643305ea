"""What is published of randomization is what was measured, and what is described can be made."""

import argparse
import importlib
import json
import re
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from sim2real.domains.contract import domain_space
from sim2real.domains.randomizers import RANDOMIZERS, make_randomizer
from sim2real.domains.world import World

REPO = Path(__file__).parent.parent
PAGE = (REPO / "docs/randomization.md").read_text(encoding="utf-8")
STUDY = yaml.safe_load((REPO / "scripts/studies/randomization.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def script(scripts):
    """Import the script of the table, as its neighbours do."""
    return importlib.import_module("benchmark_randomization")


def test_the_table_is_made_from_the_figures_that_are_kept(script):
    file = REPO / "docs/results/randomization.json"
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    assert script.rendered(PAGE, kept) == PAGE
    for entry in kept.values():
        for name, row in entry["randomizers"].items():
            assert row["randomizer"] == STUDY["randomizers"][name]


def test_every_randomizer_of_the_study_fits_every_world_of_it(script):
    cases = [case for case in script.find_cases() if case.name in STUDY["worlds"]]
    assert len(cases) == len(STUDY["worlds"])
    for case in cases:
        with closing(case.world.make()) as env:
            for spec in STUDY["randomizers"].values():
                make_randomizer(spec, domain_space(env))


def test_every_randomizer_and_every_setting_is_described():
    import inspect

    table = PAGE.partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([\w-]+)` \|(.*)$", table, flags=re.MULTILINE))
    assert rows.keys() == RANDOMIZERS.keys()
    for name, place in RANDOMIZERS.items():
        module, _, kind = place.partition(":")
        found = getattr(importlib.import_module(f"sim2real.domains.randomizers.{module}"), kind)
        for setting in set(inspect.signature(found).parameters) - {"space"}:
            assert f"`{setting}`" in rows[name], (name, setting)


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL))
def test_the_files_of_the_page_can_be_used(block):
    with closing(World.of("sim2real_envs:sim2real/PandaPush-v0").make()) as env:
        make_randomizer(yaml.safe_load(block), domain_space(env))


def row(held_out, seeds=(300, 301, 302)):
    runs = [
        {"seed": seed, "minutes": 2.0, "source": 1.0, "held-out": rate, "hard": 0.5, "mujoco": 0.5, "curve": []}
        for seed, rate in zip(seeds, held_out, strict=True)
    ]
    return {"randomizer": "none", "steps": 1000, "runs": runs}


def test_differences_are_paired_by_seed_and_bold_where_their_interval_excludes_zero(script):
    found = {
        "uniform": row([0.50, 0.52, 0.51]),
        "adr": row([0.70, 0.72, 0.70]),
        "active": row([0.6, 0.4, 0.5]),
        "none": row([0.1, 0.2], seeds=(301, 302)),
        "doraemon": row([0.6], seeds=(300,)),
    }
    assert script.difference(found, "adr", "uniform") == "**+0.20 [+0.18, +0.21]**"
    assert script.difference(found, "active", "uniform") == "-0.01 [-0.28, +0.26]"
    assert script.difference(found, "doraemon", "uniform") == "+0.10"
    table = script.table({"PandaPush": {"randomizers": found}})
    assert "| `PandaPush` | `adr` | 3 | 1.00 [1.00, 1.00] | 0.71 [0.68, 0.74] |" in table
    assert len(table.splitlines()) == 2 + len(found)


def test_only_results_of_the_same_training_and_tests_are_kept(script, tmp_path):
    args = argparse.Namespace(steps=1000, episodes=4, out=tmp_path)
    case = next(case for case in script.find_cases() if case.name == "Drive")
    rows = [script.make_row(case, name, STUDY["randomizers"][name], args) for name in ("none", "adr")]
    runs = row([0.1, 0.2], seeds=(300, 302))["runs"]
    before = {"Drive": {"randomizers": {"adr": {**rows[1].facts(), "runs": runs}}}}

    found = script.gather(rows, json.loads(json.dumps(before)))
    assert {name: entry["runs"] for name, entry in found["Drive"]["randomizers"].items()} == {"adr": runs}
    assert rows[0].kept(before) == []

    args.steps = 2000
    assert script.make_row(case, "adr", STUDY["randomizers"]["adr"], args).kept(before) == []
    args.steps, args.episodes = 1000, 6
    assert script.make_row(case, "adr", STUDY["randomizers"]["adr"], args).kept(before) == []
    args.episodes = 4
    assert script.make_row(case, "adr", {"name": "adr"}, args).kept(before) == []
