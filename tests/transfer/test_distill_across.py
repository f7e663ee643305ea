"""A teacher that knows the state, and a student that sees pictures of it, or acts in other units."""

import json
from dataclasses import replace

import pytest
import spot
from point_mass import SMALL
from shapes import ID, face, fresh_policy, shaped

from sim2real.deployment.bundle import load_policy
from sim2real.domains.contract import interface
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.training.train import make_config, train
from sim2real.transfer import distill
from sim2real.transfer.arms import Arm, arm_config, run_arm
from sim2real.transfer.crossing import acts, crossing, reached
from sim2real.transfer.distill import Distill
from sim2real.transfer.graft import Graft
from sim2real.transfer.source import envs_of
from sim2real.transfer.transfer import transfer

SEEN = {**spot.SMALL_SOFT, "learning_starts": 0}


def world(form):
    return World.of(spot.ID, kwargs={"form": form})


@pytest.fixture(scope="module")
def knowing(tmp_path_factory):
    """A run in which a policy has learned to name the side that it is told; under randomization."""
    numbers = {name: value for name, value in spot.SMALL_SOFT.items() if name != "features_dim"}
    return train(
        world("state"),
        steps=600,
        hyperparameters=numbers,
        eval_every=600,
        eval_episodes=10,
        randomizer="uniform",
        out=tmp_path_factory.mktemp("s") / "run",
    )


def teach(policy, out, form="picture", **options):
    settings = {"collected": 400, "updates": 200, "hidden": [16], **options.pop("settings", {})}
    options = {"steps": 40, "seeds": 1, "eval_episodes": 10, "workers": 1, **options}
    return transfer(
        policy,
        world(form),
        target="nominal",
        method="distill",
        out=out,
        hyperparameters={**SEEN, **settings},
        **options,
    )


def curve(done, arm, key="success_rate"):
    lines = [json.loads(line) for line in (done.folder / "curves.jsonl").read_text().splitlines()]
    return [line[key] for line in lines if line["arm"] == arm]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["picture", "dict"])
def test_a_student_names_from_pictures_what_its_teacher_is_told(knowing, tmp_path, form):
    assert knowing.curve[-1]["success_rate"] == 1.0
    done = teach(knowing.folder, tmp_path / "t", form)
    assert curve(done, "distill")[0] >= 0.9
    assert curve(done, "scratch")[0] < 0.8
    assert list(done.result["arms"]) == ["distill", "scratch"]  # what reads numbers cannot act on pictures
    assert "gain_over_zero_shot" not in done.result
    assert done.result["arms"]["distill"]["source_steps"] == 600 + 400
    assert [link["what"] for link in done.result["space_map"]["observation"]] == ["kept"]
    assert "Zero-shot" not in (done.folder / "report.html").read_text()
    policy = load_policy(done.folder / "arms" / "distill" / "seed_0")
    assert policy.interface.observation == interface(world(form).make()).observation
    if form == "dict":  # a clock that runs from -4 to 4
        statistics = policy.normalizer.statistics["clock"]
        assert statistics.mean[0] == pytest.approx(-0.5, abs=0.3)
        assert statistics.count == 200.0


def quiet(_steps):
    pass


def taught(policy, folder, there, **settings):
    """Return an arm that is to be run in this process."""
    method = Distill(**{"hidden": [16], "collected": 100, "updates": 10, **settings})
    base = make_config(
        there, algo="sac", randomizer="none", seed=0, hyperparameters=SMALL, steps=60, eval_every=20, eval_episodes=10
    )
    config = arm_config(base, method, policy.metadata.hyperparameters, "source", {})
    return Arm(method=method, config=config, source=policy, folder=folder, space_map={})


@pytest.mark.parametrize(("randomizer", "drawn"), [("uniform", "uniform"), ("none", "none")])
def test_lessons_are_not_held_in_the_domain_of_the_target(tmp_path, monkeypatch, randomizer, drawn):
    held = []
    monkeypatch.setattr(distill, "envs_of", lambda *given: held.append(given) or envs_of(*given))
    policy = fresh_policy("sac", shaped())
    policy = policy.described(replace(policy.metadata, domains={"randomizer": randomizer}))
    run_arm(taught(policy, tmp_path / "run", shaped(unit="mm").with_domain({"gain": 0.5}, "weak")), quiet)
    assert held == [(shaped(unit="mm"), drawn)]


@pytest.mark.slow
def test_an_arm_of_another_unit_is_taught_too(tmp_path):
    source = train(ID, steps=900, hyperparameters=SMALL, eval_every=900, eval_episodes=20, out=tmp_path / "source")
    there = shaped(order=("velocity", "temperature", "position"), unit="mm")
    points = run_arm(taught(source.policy, tmp_path / "run", there, collected=1_000, updates=600), quiet)
    assert points[0]["return_mean"] == pytest.approx(source.curve[-1]["return_mean"], abs=1.0)


def test_it_goes_on_after_an_interruption_as_if_there_had_been_none(tmp_path):
    policy, there = fresh_policy("sac", shaped()), shaped(unit="mm")
    whole = run_arm(taught(policy, tmp_path / "whole", there), quiet)

    class Stopped(Exception):
        pass

    def stop(steps):
        if steps > 30:
            raise Stopped

    with pytest.raises(Stopped):
        run_arm(taught(policy, tmp_path / "cut", there), stop)
    assert run_arm(taught(policy, tmp_path / "cut", there), quiet) == whole


def test_what_a_teacher_reads_is_mapped_and_pictures_alone_are_not():
    told = interface(world("state").make())
    seen = interface(world("picture").make())
    assert reached(Distill, seen).observation == told.observation
    assert reached(Graft, seen) == seen
    assert reached(Distill, told) == told
    assert crossing(Distill, told, seen, None) == {}
    assert not acts(told, seen, {})
    assert acts(told, told, None)
    assert acts(face(), face(unit="mm"), {})
    with pytest.raises(Sim2RealError) as raised:
        crossing(Graft, told, seen, None)
    assert str(raised.value) == (
        "the env has pictures as observations (Box(0, 255, (36, 40, 1), uint8)), and a map joins numbers with numbers; "
        "between pictures and numbers an encoder is needed: distill trains one where the env has a "
        "privileged_observation for the teacher. Else train from scratch there."
    )
    with pytest.raises(Sim2RealError) as raised:
        crossing(Distill, seen, told, None)
    assert str(raised.value) == (
        "the policy has pictures as observations (Box(0, 255, (36, 40, 1), uint8)), and a map joins numbers with "
        "numbers; between pictures and numbers an encoder is needed, which no method here has. Else train from scratch "
        "there."
    )
