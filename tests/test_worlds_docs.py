"""The page of the worlds says what the code says, and its tables are made from the figures that are kept."""

import importlib
import json
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import pytest
from point_mass import ID, SMALL

import sim2real_envs  # noqa: F401 - registers the worlds
from sim2real.domains.contract import domain_space
from sim2real.domains.targets import list_targets
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.train import make_config

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "worlds.md").read_text(encoding="utf-8")
IDS = sorted(env_id for env_id in gym.registry if env_id.startswith("sim2real/"))
RENEW = "renew it: python scripts/describe_worlds.py"


@pytest.fixture
def script(scripts):
    """Import a script by name, as its neighbours do."""
    return importlib.import_module


def kept(name):
    file = DOCS / "results" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def run(seed, success, curve=(), steps=100, minutes=1.0):
    """A finished run of a world, with the results of its tests by name."""
    tests = {
        name: {
            "success": rate,
            "episodes": 100,
            "return": 20 * rate,
            "return_ci95": [20 * rate - 1, 20 * rate + 1],
            "returns": [20 * rate + 5 * (-1) ** (episode // place) for episode in range(100)],
        }
        for place, (name, rate) in enumerate(success.items(), start=1)
    }
    settings = {"algo": "sac", "steps": steps, "hyperparameters": {"gamma": 0.9}}
    return {"seed": seed, **settings, "minutes": minutes, "curve": list(curve), "tests": tests}


def test_the_tables_of_the_page_are_those_of_the_code(script):
    assert script("describe_worlds").rendered(PAGE) == PAGE, RENEW
    assert script("benchmark_worlds").rendered(PAGE, kept("worlds")) == PAGE
    assert script("calibrate_targets").rendered(PAGE, kept("targets")) == PAGE


def test_a_world_that_stands_for_others_is_like_them():
    for task in ("Reach", "Push", "PickAndPlace"):
        worlds = [World.of(f"sim2real/{robot}{task}-v0") for robot in ("Panda", "Kuka", "XArm6")]
        spaces = []
        for world in worlds:
            with closing(world.make()) as env:
                spaces.append(domain_space(env).to_dict())
        assert spaces[0] == spaces[1] == spaces[2]
        assert list_targets(worlds[0]) == list_targets(worlds[1]) == list_targets(worlds[2])


@pytest.mark.parametrize("env_id", IDS)
def test_the_page_names_every_world_with_its_reward_and_picture(env_id):
    room = gym.spec(env_id).entry_point.split(".")[1]
    section = PAGE.split(f"describe_worlds.py: {'arms' if room == 'arm' else room} -->")[0].rpartition("\n## ")[2]
    with closing(gym.make(env_id)) as env:
        env.reset(seed=0)
        info = env.step(env.action_space.sample())[4]
    reward = section[section.index("\nReward:") :]
    for name in info:
        if name.startswith("reward/"):
            assert f"`{name.removeprefix('reward/')}`" in reward, name
    name = env_id.removeprefix("sim2real/").removesuffix("-v0")
    assert (DOCS / "images/worlds" / f"{name}.png").exists(), "draw it: python scripts/picture_worlds.py"


def test_links_of_the_page_lead_somewhere_and_pictures_are_small():
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DOCS / link).exists(), link
    assert sum(path.stat().st_size for path in (DOCS / "images/worlds").iterdir()) < 600_000


def test_every_world_with_a_budget_is_a_case_and_names_fit_patterns(script):
    worlds = script("world_runs")
    names = [case.name for case in worlds.find_cases()]
    assert names == sorted(set(names))
    assert {"PandaReach", "PandaReach-joint", "Labyrinth-hard-1", "Drive"} <= set(names)
    assert [case.name for case in worlds.find_cases("Labyrinth-*")] == ["Labyrinth-hard-1", "Labyrinth-medium-1"]
    with pytest.raises(Sim2RealError, match=r"^--only 'Nothing' fits no world\.$"):
        worlds.find_cases("Nothing")


def test_finished_runs_stay_and_failed_ones_are_shown_and_done_again(script, tmp_path, capfd, monkeypatch):
    worlds = script("world_runs")
    monkeypatch.setattr(worlds, "run_jobs", lambda function, jobs, listeners, _: list(map(function, jobs, listeners)))
    config = make_config(
        World.of(ID),
        randomizer="uniform",
        seed=0,
        steps=80,
        hyperparameters=SMALL,
        eval_episodes=2,
        checkpoint_every=40,
    )
    broken = replace(config, seed=1, world=World.of(ID, kwargs={"nan_at": 3}))
    tests = {"source": worlds.Test(seed=5, episodes=4, randomizer="uniform")}
    jobs = [worlds.Job(config=one, folder=tmp_path / f"seed_{one.seed}", tests=tests) for one in (config, broken)]
    assert worlds.do_jobs(jobs, 1) == 1
    finished, failed = worlds.read_runs(tmp_path)
    assert (finished["seed"], finished["algo"], finished["steps"]) == (0, "sac", 80)
    assert finished["tests"]["source"]["episodes"] == 4
    assert [step for step, _ in finished["curve"]][-1] == 80
    assert (failed["seed"], failed["steps"]) == (1, 80)
    assert failed["failed"].startswith("Sim2RealError: ")
    assert "2 of 2 runs to do" in capfd.readouterr().out

    before = (tmp_path / "seed_0" / "policy.zip").stat().st_mtime_ns
    (tmp_path / "seed_1.failed.json").unlink()
    more = {**tests, "nominal": worlds.Test(seed=6, episodes=3)}
    assert worlds.do_jobs([replace(jobs[0], tests=more)], 1) == 0
    again = worlds.read_runs(tmp_path)[0]
    assert (tmp_path / "seed_0" / "policy.zip").stat().st_mtime_ns == before
    assert again["tests"]["source"] == finished["tests"]["source"]
    assert again["tests"]["nominal"]["episodes"] == 3
    assert again["minutes"] == finished["minutes"]

    changed = {**more, "nominal": worlds.Test(seed=6, episodes=2)}
    assert worlds.do_jobs([replace(jobs[0], tests=changed)], 1) == 0
    assert worlds.read_tests(tmp_path / "seed_0")["nominal"]["episodes"] == 2
    assert worlds.read_tests(tmp_path / "seed_0")["source"] == finished["tests"]["source"]

    other = replace(jobs[0], config=replace(config, steps=90))
    with pytest.raises(Sim2RealError, match="holds another run: its steps is 80, not 90"):
        worlds.do_jobs([other], 1)


def test_the_interval_of_a_success_stays_within_what_a_rate_can_be(script):
    worlds = script("world_runs")
    assert worlds.mean_success([0.9, 0.9, 0.9]) == {"mean": pytest.approx(0.9), "ci95": [0.9, 0.9]}
    assert worlds.mean_success([1.0, 0.5])["ci95"] == [0.0, 1.0]  # Student's interval is wider than what a rate can be


def test_the_table_of_learning_shows_failures(script, tmp_path, monkeypatch):
    benchmark = script("benchmark_worlds")
    runs = [
        run(0, {"source": 0.95}, [[0, 0.0], [50, 0.92], [100, 0.9]], minutes=3.0),
        run(1, {"source": 0.85}, [[0, 0.0], [100, 0.8]], minutes=5.0),
        {
            "seed": 2,
            "failed": "Sim2RealError: diverged",
            "algo": "sac",
            "steps": 100,
            "hyperparameters": {"gamma": 0.9},
        },
    ]
    monkeypatch.setattr(benchmark, "read_runs", lambda folder: runs)
    case = script("world_runs").Case(name="Some", world=World.of("m:sim2real/Some-v0", kwargs={"a": 1}))
    entry = benchmark.judge(case, tmp_path, {})
    assert entry["env"] == "sim2real/Some-v0"
    assert json.loads(json.dumps(entry)) == entry
    assert benchmark.table({"Some": entry}).splitlines()[-1] == (
        "| `Some` | SAC | 100 | 4 | 0.95 0.85 failed | 0.60 [0.00, 1.00] | **1 of 3** | 0.05k – – |"
    )
    assert len(benchmark.curves({"Some": entry}).axes) == 4
    # Seeds that were trained alike stay; those of another training go.
    del runs[1:]
    runs[0]["tests"]["source"]["success"] = 0.97
    again = benchmark.judge(case, tmp_path, entry)
    assert [found.get("success") for found in again["runs"]] == [0.97, 0.85, None]
    runs[0]["hyperparameters"] = {"gamma": 0.8}
    assert len(benchmark.judge(case, tmp_path, entry)["runs"]) == 1


@pytest.mark.parametrize(
    ("mild", "hard", "scratch", "rules"),
    [
        (0.9, 0.4, 0.8, {"mild": True, "hard": True, "scratch": True}),
        (0.99, 0.5, 0.79, {"mild": False, "hard": False, "scratch": False}),
    ],
)
def test_the_rules_of_a_ladder(script, mild, hard, scratch, rules):
    targets = script("calibrate_targets")
    fixed = [run(seed, {"source": 1.0, "mild": mild, "hard": hard}) for seed in (100, 101, 102)]
    learned = [run(200, {"hard": scratch})]
    found = {
        "source": {"fixed": targets.pool(fixed, "source")},
        "mild": {"fixed": targets.pool(fixed, "mild")},
        "hard": {"fixed": targets.pool(fixed, "hard"), "scratch": targets.pool(learned, "hard")},
    }
    assert targets.check(found) == rules
    del found["hard"]
    assert targets.check(found) == {"mild": rules["mild"], "hard": None, "scratch": None}


def test_what_was_measured_earlier_stands_until_its_target_changes(script, tmp_path, monkeypatch):
    targets = script("calibrate_targets")
    case = script("world_runs").Case(name="Some", world=World.of("sim2real/PandaReach-v0"))
    now = list_targets(case.world)
    kept = {name: {"kwargs": dict(now[name].kwargs), "domain": dict(now[name].domain)} for name in ("mild", "hard")}
    kept["mild"] |= {"fixed": {"success": 0.8, "ci95": [0.7, 0.9]}, "scratch": {"success": 0.6}}
    kept["hard"] |= {"fixed": {"success": 0.1}}
    kept["hard"]["domain"]["payload"] = 0.123
    monkeypatch.setattr(
        targets, "read_runs", lambda folder: [run(100, {"source": 1.0, "mild": 0.9})] if folder.name == "fixed" else []
    )
    found = targets.judge(case, tmp_path, {"targets": kept})["targets"]
    assert found["source"]["fixed"]["success"] == 1.0
    assert found["mild"]["fixed"]["success"] == 0.9
    assert found["mild"]["scratch"] == {"success": 0.6}
    assert set(found["hard"]) == {"kwargs", "domain"}
    assert json.loads(json.dumps(found)) == found


def test_the_table_of_targets_keeps_stories_apart(script):
    targets = script("calibrate_targets")
    score = {
        kind: {"success": rate, "return_lost": {"mean": 7.25, "ci95": [-0.5, 15.0]}}
        for kind, rate in zip(targets.KINDS, (1.0, 0.99, 0.5), strict=True)
    }
    entry = {"targets": {"source": {"fixed": score["fixed"]}, "mild": score, "icy": score}}
    line = targets.table({"Some": {**entry, "rules": {"mild": True, "hard": False, "scratch": None}}}).splitlines()[-1]
    assert line == (
        "| `Some` | 1.00 / – / – | 1.00 / 0.99 / 0.50 | – | – | – | – | `icy` 1.00 / 0.99 / 0.50 | "
        "7.2 [−0.5, 15.0] | yes | **no** | – |"
    )
