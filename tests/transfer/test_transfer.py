"""What a transfer promises: paired arms, a safe recipe, a verdict, and files that say the same."""

import importlib
import json
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from point_mass import ID, SMALL
from trainings import assert_same_training, interrupt_at

from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.evaluate import evaluate
from sim2real.files import read_jsonl
from sim2real.training.checkpoint import list_checkpoints
from sim2real.training.learner import make_learner, make_training_env
from sim2real.training.train import make_config, run_training, train
from sim2real.transfer.base import METHODS, find_method
from sim2real.transfer.finetune import FineTune
from sim2real.transfer.transfer import transfer

SHIFTED = {"gain": 0.5, "drift": 0.2}


@pytest.fixture(scope="module")
def carried(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("transfer") / "out"
    settings = {"hyperparameters": {**SMALL, "critic_warmup": 60}, "eval_episodes": 20, "eval_every": 100}
    return transfer(source.policy, target=SHIFTED, steps=400, seeds=3, workers=1, out=out, **settings)


def fine_tuning_learner(source, world, **overrides):
    config = make_config(
        world, algo="sac", randomizer="none", steps=400, seed=0, hyperparameters={**SMALL, **overrides}
    )
    values = FineTune().hyperparameters(config.hyperparameters, source.policy.metadata.hyperparameters)
    return make_learner("sac", make_training_env(world, "none", values, 1), values, seed=0, steps=400), config, values


@pytest.mark.slow
def test_fine_tuning_beats_zero_shot_and_scratch_on_the_same_budget(carried):
    arms = carried.result["arms"]
    fine, zero, scratch = (arms[name]["final_return"]["mean"] for name in ("finetune", "zero-shot", "scratch"))
    assert fine > zero + 1.0
    assert fine >= scratch
    assert carried.result["verdict"] == carried.verdict == "pays"
    assert carried.result["jumpstart"]["ci95"][0] > 0
    assert carried.result["gain_over_zero_shot"]["verdict"] == "pays"


def test_the_arms_are_paired_and_fine_tuning_starts_where_zero_shot_stands(carried):
    points = read_jsonl(carried.folder / "curves.jsonl")
    steps = {}
    for point in points:
        steps.setdefault((point["arm"], point["seed"]), []).append(point["step"])
    assert steps == {
        **{("finetune", seed): [0, 100, 200, 300, 400] for seed in range(3)},
        **{("scratch", seed): [0, 100, 200, 300, 400] for seed in range(3)},
        **{("zero-shot", seed): [0] for seed in range(3)},
    }
    start = {(p["arm"], p["seed"]): p["return_mean"] for p in points if p["step"] == 0}
    for seed in range(3):
        assert start["finetune", seed] == start["zero-shot", seed]
        assert start["scratch", seed] != start["zero-shot", seed]


def test_the_folder_holds_what_is_promised(carried):
    assert {path.name for path in carried.folder.iterdir()} == {
        "arms",
        "config.yaml",
        "curves.jsonl",
        "report.html",
        "result.json",
        "transfer.png",
    }
    assert json.loads((carried.folder / "result.json").read_text()) == carried.result
    assert carried.result["source_steps"] == 900
    assert carried.result["arms"]["scratch"]["source_steps"] == 0
    assert carried.result["arms"]["finetune"]["target_steps"] == 400
    assert carried.result["domain"] == SHIFTED
    assert carried.result["provenance"]["source_policy"]["steps"] == 900


def test_an_arm_is_an_ordinary_run_whose_policy_can_be_evaluated(carried):
    there = evaluate(carried.folder / "arms/finetune/seed_0", target=SHIFTED, episodes=20)
    assert there.success_rate > 0.5


def test_a_killed_transfer_resumes_with_the_same_result(source, carried, tmp_path, in_process):
    settings = {"hyperparameters": {**SMALL, "critic_warmup": 60}, "eval_episodes": 20, "eval_every": 100}
    arguments = {"target": SHIFTED, "steps": 400, "seeds": 3, "out": carried.folder, **settings}
    (carried.folder / "result.json").unlink()
    (carried.folder / "arms/finetune/seed_1/policy.zip").unlink()
    before = dict(carried.result)
    again = transfer(source.policy, resume=True, **arguments).result
    for result in (before, again):
        result.pop("provenance")
    assert again == before


def test_fine_tuning_carries_networks_and_normalizer_and_starts_its_optimizers_afresh(source):
    world = World.of(ID).with_domain(SHIFTED, "shifted")
    learner, config, values = fine_tuning_learner(source, world, learning_rate=1.23e-4)
    FineTune().prepare(learner, source.policy, config)
    for name, tensor in learner.policy.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), source.policy.weights[name])
    assert learner.log_ent_coef.item() == source.policy.log_ent_coef
    normalize = learner.get_vec_normalize_env()
    np.testing.assert_array_equal(normalize.obs_rms.mean, source.policy.normalizer.statistics[None].mean)
    assert not normalize.training
    assert values["learning_starts"] == 0
    for optimizer in (learner.actor.optimizer, learner.critic.optimizer, learner.ent_coef_optimizer):
        assert not optimizer.state


@pytest.mark.parametrize("how", ["carry", "blend", "refit"])
def test_the_statistics_of_observations_stay_or_go_on_or_begin_anew(source, tmp_path, how):
    world = World.of(ID).with_domain(SHIFTED, "shifted")
    _, config, values = fine_tuning_learner(source, world)
    method = FineTune(normalizer=how)
    run = run_training(
        replace(config, hyperparameters=values, steps=100),
        tmp_path / "run",
        prepare=lambda learner: method.prepare(learner, source.policy, config),
    )
    before, after = (policy.normalizer.statistics[None] for policy in (source.policy, run.policy))
    counted = after.count - before.count
    if how == "carry":
        assert counted == 0
        np.testing.assert_array_equal(after.mean, before.mean)
    elif how == "blend":
        assert 90 < counted < 110  # resets are seen, too
        assert 0.0 < np.abs(after.mean - before.mean).max() < 0.5
    else:
        assert after.count < 110


def test_a_share_of_every_batch_may_be_of_the_source(source, tmp_path):
    world = World.of(ID).with_domain(SHIFTED, "shifted")
    _, config, values = fine_tuning_learner(source, world)
    config = replace(config, hyperparameters=values, steps=100)
    seen = {"batches": []}

    def prepare(learner):
        callbacks = FineTune(source_share=0.25).prepare(learner, source.policy, config)
        drawn = learner.batches
        learner.batches = lambda learner, size: seen["batches"].append(drawn(learner, size)) or seen["batches"][-1]
        seen["buffer"] = learner.replay_buffer
        return callbacks

    run_training(config, tmp_path / "run", prepare=prepare)
    known = set(seen["buffer"].actions[:100].ravel().tolist())
    for batch in seen["batches"]:
        foreign = [action not in known for action in batch.actions.ravel().tolist()]
        assert sum(foreign) == len(foreign) // 4 == values["batch_size"] // 4
    assert FineTune(source_share=0.25).source_steps(100) == 10_000
    assert FineTune().source_steps(100) == 0


def test_the_learning_rate_that_is_asked_for_takes_effect(source, tmp_path):
    world = World.of(ID).with_domain(SHIFTED, "shifted")
    _, config, values = fine_tuning_learner(source, world, learning_rate=1.23e-4)
    seen = []

    def prepare(learner):
        callbacks = FineTune(critic_warmup=20, collect_first=10).prepare(learner, source.policy, config)
        seen.append(learner)
        return callbacks

    run_training(replace(config, hyperparameters=values, steps=100), tmp_path / "run", prepare=prepare)
    for optimizer in (seen[0].actor.optimizer, seen[0].critic.optimizer, seen[0].ent_coef_optimizer):
        assert optimizer.param_groups[0]["lr"] == 1.23e-4


@pytest.mark.parametrize("steps", [40, 80])
def test_the_actor_does_not_move_by_one_bit_before_the_warmup_ends_and_moves_after(source, tmp_path, steps):
    world = World.of(ID).with_domain(SHIFTED, "shifted")
    _, config, values = fine_tuning_learner(source, world)
    method = FineTune(critic_warmup=60, collect_first=10)
    run = run_training(
        replace(config, hyperparameters=values, steps=steps),
        tmp_path / "run",
        prepare=lambda learner: method.prepare(learner, source.policy, config),
    )
    weights = run.policy.weights
    same = {
        part: all(
            np.array_equal(weights[name], source.policy.weights[name]) for name in weights if name.startswith(part)
        )
        for part in ("actor", "critic.", "log_ent_coef")
    }
    assert same == {"actor": steps < 60, "critic.": False, "log_ent_coef": steps < 60}


@pytest.mark.parametrize("checkpoint_every", [50, 60, 70])  # in the warm-up, at its very end, after it
def test_fine_tuning_resumes_with_the_same_curve_wherever_it_is_cut(source, tmp_path, checkpoint_every):
    world = World.of(ID).with_domain(SHIFTED, "shifted")
    _, config, values = fine_tuning_learner(source, world)
    config = replace(
        config, hyperparameters=values, steps=110, eval_every=30, eval_episodes=3, checkpoint_every=checkpoint_every
    )
    method = FineTune(critic_warmup=60, collect_first=10)

    def go(out, **options):
        return run_training(
            config, tmp_path / out, prepare=lambda learner: method.prepare(learner, source.policy, config), **options
        )

    whole = go("whole")
    with pytest.raises(KeyboardInterrupt):
        go("cut", listener=interrupt_at(100))
    last = 99 // checkpoint_every * checkpoint_every
    assert list_checkpoints(tmp_path / "cut/checkpoints")[-1].name == f"step_{last:010d}"
    assert_same_training(whole, go("cut", resume=True))


def test_fine_tuning_an_already_good_policy_keeps_its_jumpstart(source, tmp_path, in_process):
    result = transfer(
        source.policy, target={}, steps=200, seeds=2, out=tmp_path / "out", hyperparameters=SMALL, eval_episodes=10
    ).result
    assert result["arms"]["finetune"]["final_success"]["mean"] >= 0.9
    assert result["arms"]["finetune"]["final_return"]["mean"] > result["arms"]["scratch"]["final_return"]["mean"]


@pytest.mark.parametrize("algo", ["td3", "tqc", "ppo"])
def test_other_algorithms_fine_tune_too(tmp_path, algo):
    small = {"td3": SMALL, "tqc": SMALL, "ppo": {"net_arch": [16], "n_steps": 32, "n_envs": 2, "batch_size": 32}}[algo]
    run = train(ID, algo=algo, steps=128, hyperparameters=small, eval_episodes=2, out=tmp_path / "source")
    world = World.of(ID).with_domain(SHIFTED, "shifted")
    config = make_config(world, algo=algo, randomizer="none", steps=128, seed=0, hyperparameters=small, eval_episodes=2)
    method = FineTune(critic_warmup=64)
    config = replace(
        config, hyperparameters=method.hyperparameters(config.hyperparameters, run.policy.metadata.hyperparameters)
    )
    fine = run_training(config, tmp_path / "fine", prepare=lambda learner: method.prepare(learner, run.policy, config))
    moved = [name for name, array in fine.policy.weights.items() if not np.array_equal(array, run.policy.weights[name])]
    assert any("critic" in name or "value" in name for name in moved)
    assert any("actor" in name or "action_net" in name for name in moved)


def test_zero_shot_is_judged_against_scratch_and_takes_no_target_steps(source, tmp_path, in_process):
    result = transfer(
        source.policy,
        target=SHIFTED,
        method="zero-shot",
        steps=60,
        seeds=2,
        out=tmp_path / "out",
        hyperparameters=SMALL,
        eval_episodes=5,
    ).result
    assert result["arms"].keys() == {"zero-shot", "scratch"}
    assert result["arms"]["zero-shot"]["target_steps"] == 0
    assert "gain_over_zero_shot" not in result


def refused(source, out, **arguments):
    with pytest.raises(Sim2RealError) as error:
        transfer(source.policy, **{"target": SHIFTED, "steps": 100, "out": out, **arguments})
    assert not out.exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_bad_input_is_refused_before_anything_is_made(source, tmp_path):
    out = tmp_path / "out"
    assert refused(source, out, method="finetun").startswith(
        "unknown transfer method 'finetun'. Did you mean 'finetune'?"
    )
    assert refused(source, out, target="saging").startswith("unknown target 'saging'. Known: nominal.")
    assert refused(source, out, target={"gain": 9.0}) == (
        "domain parameter gain = 9 is outside its bounds [-1, 2]; choose a value inside them."
    )
    assert refused(source, out, steps=-3) == "steps = -3 must be a whole number of at least 1."
    assert refused(source, out, seeds=0).startswith("seeds = 0 must be at least 1")
    assert refused(source, out, hyperparameters={"critic_warmup": 100}) == (
        "critic_warmup = 100 leaves nothing of the budget of 100 steps; lower it or raise steps."
    )
    assert refused(source, out, hyperparameters={"critic_warmpu": 1}).startswith(
        "unknown setting of finetune or sac hyperparameter 'critic_warmpu'. Did you mean 'critic_warmup'?"
    )
    message = refused(source, out, kwargs={"width": 3})
    assert message.startswith(
        "the policy does not fit the env: observation shape is (2,) in the policy, (3,) in the env"
    )


def test_a_method_that_changes_the_update_says_in_one_message_where_it_cannot(source, tmp_path, recwarn):
    goals = World.of("sim2real_envs:sim2real/PandaReach-v0", kwargs={"observation": "goal"})
    for world, overrides, what in (
        (goals, {}, "Dict observations"),
        (World.of(ID), {"use_sde": True}, "state-dependent exploration (use_sde)"),
    ):
        config = make_config(world, algo="sac", randomizer="none", steps=100, seed=0, hyperparameters=overrides)
        changing = [method for method in map(find_method, METHODS) if method().changes_update]
        assert {"freeze", "kickstart", "residual", "replay-mix", "par"} <= {method.name for method in changing}
        for method in changing:
            with pytest.raises(Sim2RealError) as raised:
                method().check(config, {})
            assert str(raised.value) == (
                f"{method.name} changes the update of sac, which cannot be with {what}; use plain finetune."
            )
        FineTune().check(config, {})
    for method in ("freeze", "kickstart"):
        assert refused(source, tmp_path / "out", method=method, hyperparameters={"use_sde": True}).startswith(method)
    assert not [warning for warning in recwarn if "at the speed of" in str(warning.message)]


def test_statistics_that_there_are_none_of_cannot_be_blended():
    config = make_config(World.of(ID), algo="sac", randomizer="none", steps=100, seed=0, hyperparameters=SMALL)
    with pytest.raises(Sim2RealError) as raised:
        FineTune(normalizer="blend").check(config, {"normalize_observation": False})
    assert str(raised.value) == "normalizer = 'blend': the source policy normalizes no observations; leave it out."
    FineTune(normalizer="blend").check(config, {"normalize_observation": True})


def test_nan_from_the_target_is_named_and_nothing_is_left(source, tmp_path, in_process):
    message = refused(source, tmp_path / "out", kwargs={"nan_at": 7}, seeds=1)
    assert message == (
        "observation is nan in channel 0 at step 7 of episode 1 of tests/PointMass-v0 "
        "(domain: gain=0.5, drift=0.2); the env is at fault."
    )


def test_every_method_can_be_found_by_its_name():
    for name in ("zero-shot", "scratch", "finetune"):
        assert find_method(name).name == name


def test_an_interruption_keeps_the_arms_that_are_finished(source, tmp_path, monkeypatch, in_process):
    module = importlib.import_module("sim2real.transfer.transfer")
    arguments = {"target": SHIFTED, "steps": 60, "seeds": 1, "out": tmp_path / "out", "eval_episodes": 2}
    arguments["hyperparameters"] = {**SMALL, "learning_starts": 20}

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "judge_arms", interrupted)
        with pytest.raises(KeyboardInterrupt):
            transfer(source.policy, **arguments)
    assert (tmp_path / "out/arms/finetune/seed_0/policy.zip").exists()
    with pytest.raises(Sim2RealError, match="holds an unfinished run; add --resume"):
        transfer(source.policy, **arguments)
    transfer(source.policy, resume=True, **arguments)
    with pytest.raises(Sim2RealError, match="holds a finished run"):
        transfer(source.policy, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": -1}, "workers = -1 must be a whole number of at least 1."),
        ({"seeds": 2.5}, "seeds = 2.5 must be at least 1, or distinct whole numbers that are not negative."),
        ({"seeds": [0, 0]}, "seeds = [0, 0] must be at least 1, or distinct whole numbers that are not negative."),
        ({"seeds": ["a"]}, "seeds = ['a'] must be at least 1, or distinct whole numbers that are not negative."),
    ],
)
def test_arguments_of_a_wrong_kind_are_named(source, tmp_path, arguments, message):
    assert refused(source, tmp_path / "out", **arguments) == message


def test_every_method_and_every_setting_is_described():
    page = (Path(__file__).parents[2] / "docs/transfer.md").read_text(encoding="utf-8")
    methods, settings = page.split("## Settings")
    rows = dict(re.findall(r"^\| `([\w-]+)` \|(.*)$", methods, flags=re.MULTILINE))
    assert rows.keys() == METHODS.keys()
    described = set()
    for name, owners, default, rule in re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|", settings, re.M):
        described |= {(owner, name, default, rule) for owner in owners.split(", ")}
    known = set()
    for name, row in rows.items():
        method = find_method(name)
        assert method.name == name
        assert row.split("|")[1].strip() == ", ".join(f"`{field.name}`" for field in fields(method))
        for field in fields(method):
            default = "null" if field.default is None else str(field.default)
            assert method.rules[field.name].allows(field.default)
            known.add((name, field.name, default, method.rules[field.name].words))
    assert described == known
