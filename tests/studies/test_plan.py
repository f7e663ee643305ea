"""A study spelled out: its jobs, each once and named by what it does, and everything that is wrong told at once."""

import math
import sys
from datetime import date
from pathlib import Path

import pytest
from point_mass import ID, SMALL
from study_grid import GRID, LOOKS, plan, write

from sim2real.errors import Sim2RealError
from sim2real.studies.jobs import Training
from sim2real.studies.plan import make_plan
from sim2real.studies.run import plan_study, run_study
from sim2real.studies.study import read_study


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
        ({"targets": {}}, "targets: {} names none; a study needs at least one."),
        ({"randomizers": []}, "randomizers: [] names none; a study needs at least one."),
        ({"methods": None}, "methods: expected a mapping of names to values, or a list of names, got None."),
        ({"steps": []}, "steps = [] names none."),
        ({"targets": {"": {"domain": {}}}}, "targets: : the name '' must be a line of characters that can be printed."),
        (
            {"targets": {"a\nb": {"domain": {}}}},
            "targets: a\nb: the name 'a\\nb' must be a line of characters that can be printed.",
        ),
        (
            {"targets": {"\ud800": {"domain": {}}}},
            "the name '\\ud800' must be a line of characters that can be printed.",
        ),
        ({"description": 3}, "description = 3 must be text."),
        ({"seeds": [0, 2**63]}, f"seed {2**63} must be less than 2^63."),
        (
            {"methods": {"finetune": {"critic_warmup": 120}}},
            "own into far: method finetune, 120 steps: critic_warmup = 120 leaves nothing of the budget of 120 steps; "
            "lower it or raise steps.",
        ),
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
        ({"exclude": [{"target": ["mars"]}]}, "exclude: unknown target 'mars'."),
        ({"exclude": [{"target": {"far": 1}}]}, "exclude: target = {'far': 1} must be a name or a number."),
        ({"sources": {"own": {**GRID["sources"]["own"], "budgets": [0]}}}, "budgets: 0 must be a whole number"),
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


def test_a_source_may_have_budgets_of_its_own(tmp_path, monkeypatch):
    own = GRID["sources"]["own"]
    sources = {"own": own, "slow": {**own, "steps": 300, "budgets": [200, 400]}}
    found = {(cell.labels["source"], cell.labels["steps"]) for cell in plan(tmp_path, sources=sources).cells}
    assert found == {("own", 120), ("slow", 200), ("slow", 400)}
    monkeypatch.delitem(GRID, "steps")
    assert {cell.labels["steps"] for cell in plan(tmp_path, sources={"slow": sources["slow"]}).cells} == {200, 400}


def test_a_source_may_have_targets_of_its_own(tmp_path):
    own = GRID["sources"]["own"]
    sources = {"own": own, "near": {**own, "steps": 300, "targets": ["shifted"]}}
    found = {(cell.labels["source"], cell.labels["target"]) for cell in plan(tmp_path, sources=sources).cells}
    assert found == {("own", "shifted"), ("own", "far"), ("near", "shifted")}
    with pytest.raises(Sim2RealError, match=r"sources: own: unknown target 'fra'\. Did you mean 'far'\?"):
        plan(tmp_path, sources={"own": {**own, "targets": ["fra"]}})


def test_several_names_of_a_kind_are_left_out_at_once(tmp_path):
    axes = {"methods": ["finetune", "freeze", "kickstart"], "steps": [120, 240]}
    gone = {"method": ["freeze", "kickstart"], "steps": [240], "target": "far"}
    kept = {
        (cell.labels["target"], cell.labels["method"], cell.labels["steps"])
        for cell in plan(tmp_path, **axes, exclude=[gone]).cells
    }
    assert len(kept) == 2 * 3 * 2 - 2
    assert {key for key in kept if key[0] == "far" and key[2] == 240} == {("far", "finetune", 240)}


def test_a_method_that_an_algorithm_cannot_have_is_refused_before_anything_runs(tmp_path):
    small = {"n_steps": 64, "n_envs": 1, "batch_size": 64}
    axes = {
        "sources": {"own": {"env": ID, "steps": 200, "hyperparameters": small}},
        "algorithms": ["ppo"],
        "hyperparameters": small,
    }
    for method in ("auto", "darc", "replay-mix"):
        words = f"{method} learns from a replay buffer, which ppo has not; use sac, td3 or tqc."
        with pytest.raises(Sim2RealError, match=words):
            plan(tmp_path, **axes, methods=[method])


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


def test_a_fault_of_one_method_is_told_once(tmp_path):
    with pytest.raises(Sim2RealError) as caught:
        plan(tmp_path, targets=["nominal"], hyperparameters={"gamma": 2})
    assert str(caught.value) == (
        "study.yaml: own into nominal: method finetune, 120 steps: hyperparameter gamma = 2 must be a number of at "
        "least 0 and at most 1."
    )


def test_no_two_jobs_have_one_title(tmp_path):
    methods = {"finetune": None, "patient": {"method": "finetune", "critic_warmup": 60}}
    titles = [job.title for job in plan(tmp_path, **LOOKS, methods=methods).jobs.values()]
    assert len(set(titles)) == len(titles)
    assert any(title.startswith("sweep of gain, patient of own") for title in titles)


def test_a_study_carries_policies_into_other_spaces_along_a_map(tmp_path):
    (tmp_path / "turn.yaml").write_text("action: {push: {from: push, scale: -1}}\n")
    other = {"env": "shapes:tests/Shaped-v0", "kwargs": {"order": ["velocity", "position"]}, "target": "nominal"}
    choices = {"env": "shapes:tests/Shaped-v0", "kwargs": {"choices": 3}, "target": "nominal"}
    found = plan(
        tmp_path,
        sources={"own": {"env": "shapes:tests/Shaped-v0", "steps": 200, "hyperparameters": SMALL}},
        targets={"other": {**other, "map": "turn.yaml"}, "choices": choices, "same": {"domain": {"gain": 0.5}}},
        methods=["graft", "progressive"],
        seeds=1,
        steps=4096,
        hyperparameters={},
    )
    said = {"action": {"push": {"from": "push", "scale": -1}}}
    maps = {job.title: job.space_map for job in found.jobs.values() if isinstance(job, Training)}
    assert maps["graft from own, uniform, sac in other, 4,096 steps, seed 0"] == said
    assert maps["zero-shot from own, uniform, sac in other, seed 0"] == said
    assert maps["scratch, sac in other, 4,096 steps, seed 0"] is None
    assert maps["progressive from own, uniform, sac in choices, 4,096 steps, seed 0"] == {}
    assert maps["graft from own, uniform, sac in same, 4,096 steps, seed 0"] is None
    algos = {cell.title: cell.base.algo for cell in found.cells}
    assert [algo for title, algo in algos.items() if "choices" in title] == ["ppo", "ppo"]
    with_map = {job.address for job in found.jobs.values() if "in other" in job.title}
    (tmp_path / "turn.yaml").write_text("action: {push: {from: push, scale: -0.5}}\n")
    with pytest.raises(Sim2RealError, match="own into other: the policy does not fit the env: "):
        plan(
            tmp_path,
            sources={"own": {"env": "shapes:tests/Shaped-v0", "steps": 200, "hyperparameters": SMALL}},
            targets={"other": {**other, "map": "turn.yaml"}},
            methods=["graft", "finetune"],
        )
    again = plan(
        tmp_path,
        sources={"own": {"env": "shapes:tests/Shaped-v0", "steps": 200, "hyperparameters": SMALL}},
        targets={"other": {**other, "map": "turn.yaml"}},
        methods=["graft", "progressive"],
        seeds=1,
        steps=4096,
        hyperparameters={},
    )
    others = {job.address for job in again.jobs.values() if "in other" in job.title}
    assert len(with_map & others) == 1  # scratch knows no map
