"""Transfers into worlds of other spaces, as users start them."""

import json

import numpy as np
import pytest
from point_mass import SMALL
from shapes import ID, face, fresh_policy, shaped
from typer.testing import CliRunner

from sim2real.cli.app import app
from sim2real.deployment.bundle import load_policy
from sim2real.errors import Sim2RealError
from sim2real.training.train import make_config, train
from sim2real.transfer.arms import Arm, arm_config, run_arm
from sim2real.transfer.base import find_method
from sim2real.transfer.crossing import crossing
from sim2real.transfer.graft import Graft
from sim2real.transfer.transfer import transfer
from sim2real.transfer.zero_shot import ZeroShot

OTHER = {"order": ("velocity", "temperature", "position"), "unit": "mm"}
ROUTE = (
    "A policy is carried into other spaces by sim2real transfer --method graft (or another that can, see "
    "docs/transfer.md); sim2real map shows which number becomes which."
)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A run in which a policy has learned the point mass."""
    return train(
        ID, steps=900, hyperparameters=SMALL, eval_every=900, eval_episodes=20, out=tmp_path_factory.mktemp("s") / "run"
    )


def carry(policy, out, method="graft", steps=200, seeds=1, env=None, **options):
    env = shaped(**OTHER) if env is None else env
    options = {"hyperparameters": SMALL, "eval_episodes": 10, "workers": 1, **options}
    return transfer(policy, env, target="nominal", method=method, steps=steps, seeds=seeds, out=out, **options)


def curve(done, arm):
    lines = [json.loads(line) for line in (done.folder / "curves.jsonl").read_text().splitlines()]
    return [line["return_mean"] for line in lines if line["arm"] == arm]


def arm(policy, method, folder, env=None, **options):
    """Return an arm in another world's spaces, to be run in this process."""
    world = shaped(**OTHER) if env is None else env
    options = {"steps": 150, "eval_every": 50, "eval_episodes": 5, **options}
    base = make_config(world, algo="sac", randomizer="none", seed=0, hyperparameters=SMALL, **options)
    config = arm_config(base, method, policy.metadata.hyperparameters, "source", {})
    return Arm(method=method, config=config, source=policy, folder=folder, space_map={})


def quiet(_steps):
    pass


@pytest.mark.slow
def test_a_policy_is_carried_into_other_spaces_and_what_was_done_is_told(learned, tmp_path):
    told = []
    done = carry(learned.folder, tmp_path / "t", on_map=told.append)
    at_home = learned.curve[-1]["return_mean"]
    (zero_shot,), scratch, graft = (curve(done, arm) for arm in ("zero-shot", "scratch", "graft"))
    assert zero_shot == pytest.approx(at_home, abs=0.5)  # other episodes of the same world
    assert scratch[0] < at_home - 3.0
    assert graft[0] == pytest.approx(zero_shot, abs=1e-3)
    assert [space_map.to_dict() for space_map in told] == [done.result["space_map"]]
    assert [link["what"] for link in done.result["space_map"]["observation"]] == ["re-scaled", "moved", "new"]
    assert {tensor["what"] for tensor in done.result["tensors"]} == {"copied", "mapped"}
    page = (done.folder / "report.html").read_text()
    assert "What became of each number" in page
    assert "temperature[1] degC" in page
    there = shaped(**OTHER).make()
    load_policy(done.folder / "arms" / "graft" / "seed_0").check_fits(there.observation_space, there.action_space)
    as_it_was = load_policy(done.folder / "arms" / "zero-shot" / "seed_0" / "policy.zip")
    assert as_it_was.observation_space.shape == (3,)
    with pytest.raises(Sim2RealError, match="space_map"):
        carry(learned.folder, tmp_path / "t", resume=True, space_map={"observation": {"velocity": None}})


@pytest.mark.parametrize("name", ["progressive", "residual", "freeze", "graft"])
def test_a_learner_starts_where_the_policy_stood(learned, tmp_path, name):
    points = run_arm(arm(learned.policy, find_method(name)(), tmp_path / "run", steps=50), quiet)
    stood = run_arm(arm(learned.policy, ZeroShot(), tmp_path / "zero", steps=50), quiet)
    assert points[0]["return_mean"] == pytest.approx(stood[0]["return_mean"], abs=1e-3)
    assert points[-1]["step"] == 50


def test_auto_takes_a_translated_policy(learned, tmp_path):
    points = run_arm(arm(learned.policy, find_method("auto")(), tmp_path / "run", steps=120), quiet)
    assert points[-1]["chosen"] in ("finetune", "scratch", "zero-shot")


def test_an_interrupted_crossing_goes_on_as_if_nothing_had_happened(learned, tmp_path):
    whole = run_arm(arm(learned.policy, Graft(), tmp_path / "whole"), quiet)

    class Stopped(Exception):
        pass

    def stop(steps):
        if steps > 100:
            raise Stopped

    with pytest.raises(Stopped):
        run_arm(arm(learned.policy, Graft(), tmp_path / "cut"), stop)
    assert run_arm(arm(learned.policy, Graft(), tmp_path / "cut"), quiet) == whole


@pytest.mark.slow
def test_choices_are_learned_with_ppo_from_a_policy_of_sac(learned, tmp_path):
    choices = shaped(choices=5)
    done = carry(learned.folder, tmp_path / "t", env=choices, steps=64, hyperparameters={"n_steps": 32, "n_envs": 2})
    assert done.result["algo"] == "ppo"
    (zero_shot,) = curve(done, "zero-shot")
    assert zero_shot > curve(done, "scratch")[0] + 3.0
    assert {tensor["name"] for tensor in done.result["tensors"] if tensor["what"] == "fresh"} == {
        f"{layer}.{kind}"
        for layer in ("mlp_extractor.value_net.0", "mlp_extractor.value_net.2", "value_net")
        for kind in ("weight", "bias")
    }


def test_what_is_for_equal_spaces_is_refused_and_the_way_is_shown(tmp_path):
    policy = fresh_policy("sac", shaped())
    with pytest.raises(Sim2RealError) as caught:
        carry(policy, tmp_path / "t", "finetune")
    assert str(caught.value) == (
        "the policy does not fit the env: observation channel position[1] m is position[1] mm in the env; the env adds "
        f"observation channel temperature[1] degC. {ROUTE}"
    )
    for method in ("darc", "par", "scratch"):
        with pytest.raises(Sim2RealError, match="the policy does not fit the env"):
            carry(policy, tmp_path / "t", method)
    with pytest.raises(Sim2RealError) as caught:
        carry(policy, tmp_path / "t", "finetune", env=shaped(), space_map={"observation": {"velocity": None}})
    assert str(caught.value) == (
        "finetune carries a policy as it is, without a map; use adapter, auto, distill, freeze, graft, kickstart, "
        "progressive, residual."
    )
    with pytest.raises(Sim2RealError) as caught:
        carry(policy, tmp_path / "t", hyperparameters={**SMALL, "source_share": 0.5})
    assert str(caught.value) == (
        "graft with these settings learns from transitions of the source, whose spaces differ; leave them out."
    )
    assert not (tmp_path / "t").exists()


def test_a_map_between_equal_spaces_is_followed():
    policy, there = fresh_policy("sac", shaped()), face()
    assert crossing(Graft, policy.interface, there, None) is None
    turn = {"action": {"push": {"from": "push", "scale": -1}}}
    assert crossing(Graft, policy.interface, there, turn) == turn
    assert crossing(Graft, policy.interface, face(unit="mm"), None) == {}


def test_the_command_shows_the_map_and_writes_the_translated_policy(learned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = ["--env", ID, "--env-arg", "unit=mm", "--env-arg", "order=[velocity, position]"]
    shown = CliRunner().invoke(app, ["map", str(learned.folder), *other, "--save", "other.zip", "--json", "map.json"])
    assert shown.exit_code == 0, shown.output
    for words in (
        "re-scaled   position[1] m     position[1] mm    × 0.001",
        "actor.latent_pi.0.weight",
        "made  other.zip",
    ):
        assert words in shown.output
    found = json.loads((tmp_path / "map.json").read_text())
    assert [link["what"] for link in found["space_map"]["observation"]] == ["re-scaled", "moved"]
    policy = load_policy(tmp_path / "other.zip")
    at_home = load_policy(learned.folder)
    np.testing.assert_allclose(
        policy.predict(np.array([0.1, 1500.0], np.float32)),
        at_home.predict(np.array([1.5, 0.1], np.float32)),
        atol=1e-6,
    )


def test_the_command_names_a_broken_map(learned, tmp_path):
    file = tmp_path / "map.yaml"
    file.write_text("observation: [position]\n")
    shown = CliRunner().invoke(app, ["map", str(learned.folder), "--env", ID, "--map", str(file)])
    assert str(shown.exception) == f"{file}: observation: expected a mapping of channels, got ['position']."
