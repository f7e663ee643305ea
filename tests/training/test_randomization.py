"""Adaptive randomizers in a training: what they are told, where the envs go, and that a kill changes nothing."""

import json
import math
from functools import cache

import pytest
from point_mass import ID, SMALL
from trainings import assert_same_training, interrupt_at

from sim2real.deployment.bundle import load_policy
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.robustness import sweep
from sim2real.training.folder import RunFolder
from sim2real.training.train import make_config, run_training, train

ADAPTIVE = {
    "adr": {"name": "adr", "buffer": 2, "raise_from": 0.5, "lower_from": 0.0, "step": 0.1},
    "doraemon": {"name": "doraemon", "episodes": 5, "success_rate": 0.1, "kl": 0.3},
    "active": {"name": "active", "episodes": 5},
    "curriculum": {"name": "curriculum", "steps": 400},
    "learnability": {"name": "learnability", "episodes": 5},
}
SETTINGS = {"steps": 600, "eval_every": 200, "eval_episodes": 2, "checkpoint_every": 200, "hyperparameters": SMALL}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the training with a randomizer, by name."""

    @cache
    def of(name):
        return train(ID, randomizer=ADAPTIVE[name], seed=3, out=tmp_path_factory.mktemp(name) / "run", **SETTINGS)

    return of


@pytest.mark.slow
@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_distribution_moves_and_what_it_became_is_kept(trained, name):
    run = trained(name)
    history = RunFolder(run.folder).read_randomization()
    assert [point["step"] for point in history] == [point["step"] for point in run.curve]
    assert [point["generation"] for point in history] == sorted(point["generation"] for point in history)
    assert history[-1]["generation"] > 0
    for point in history:
        assert set(point["ranges"]) == {"gain", "drift"}
        assert all(math.isfinite(number) for number in point["figures"].values())
    domains = load_policy(run.folder).metadata.domains
    assert domains["randomizer"] == ADAPTIVE[name]
    assert domains["state"]["generation"] == history[-1]["generation"]
    # A sweep knows what it was trained in.
    swept = sweep(run.policy, parameters=["drift"], points=2, episodes=1).parameters[0]
    assert swept.train == pytest.approx(tuple(history[-1]["ranges"]["drift"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ADAPTIVE)
def test_an_interrupted_run_resumes_with_the_same_distribution(trained, tmp_path, name):
    config = make_config(World.of(ID), randomizer=ADAPTIVE[name], seed=3, **SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        run_training(config, tmp_path / "cut", listener=interrupt_at(450))
    whole, resumed = trained(name), run_training(config, tmp_path / "cut", resume=True)
    assert_same_training(whole, resumed)
    one, other = ((run.folder / "randomization.jsonl").read_bytes() for run in (whole, resumed))
    assert one == other


@pytest.mark.slow
def test_workers_change_nothing(tmp_path):
    runs = [
        train(ID, randomizer=ADAPTIVE["adr"], n_envs=2, workers=workers, out=tmp_path / str(workers), **SETTINGS)
        for workers in (0, 2)
    ]
    assert_same_training(*runs)
    one, other = (RunFolder(run.folder).read_randomization() for run in runs)
    assert one == other


def test_ppo_learns_with_one_too(tmp_path):
    small = {"n_steps": 100, "n_envs": 2, "batch_size": 50, "n_epochs": 1, "net_arch": [16]}
    run = train(
        ID,
        algo="ppo",
        randomizer=ADAPTIVE["curriculum"],
        out=tmp_path / "run",
        **{**SETTINGS, "hyperparameters": small},
    )
    assert RunFolder(run.folder).read_randomization()[-1]["generation"] == 20


def test_curves_are_measured_in_all_of_the_limits(tmp_path):
    settings = {**SETTINGS, "steps": 20}
    spec = {**ADAPTIVE["adr"], "ranges": {"gain": [0.5, 1.5]}}
    adaptive = train(ID, randomizer=spec, out=tmp_path / "adaptive", **settings)
    uniform = {"name": "uniform", "ranges": {"gain": [0.5, 1.5], "drift": [-0.5, 0.5]}}
    other = train(ID, randomizer=uniform, out=tmp_path / "uniform", **settings)
    assert adaptive.curve[0] == other.curve[0]  # the same weights in the same episodes


def test_tensorboard_shows_ranges_and_figures(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = trained("adr")
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"randomizer/entropy", "randomizer/gain/low", "randomizer/gain/high", "randomizer/drift/low"} <= tags
    last = RunFolder(run.folder).read_randomization()[-1]["ranges"]["gain"][1]
    assert events.Scalars("randomizer/gain/high")[-1].value == pytest.approx(last)


def test_one_that_does_not_move_raises_an_alarm(tmp_path):
    spec = {"name": "doraemon", "episodes": 2, "success_return": 0.0}  # which no episode has
    with pytest.warns(UserWarning, match=r"the randomizer has not moved for 1\d updates \(entropy -"):
        train(ID, randomizer=spec, out=tmp_path / "run", **SETTINGS)


@pytest.mark.parametrize(
    ("env", "randomizer", "message"),
    [
        (ID, None, "randomizer = None must be a name, or a mapping with a name and its settings."),
        (
            "tiny_envs:Sound-v0",
            "adr",
            "randomizer ADR needs to know which episodes succeed, and this env never says is_success; give "
            "success_return, the return from which an episode counts as one.",
        ),
        ("Pendulum-v1", "adr", "there is no parameter to randomize: each has one value only."),
        (
            ID,
            {"name": "adr", "ranges": {"mass": [0, 1]}},
            "unknown domain parameter 'mass'. Known: drift, gain.",
        ),
        (
            ID,
            {"name": "posterior", "samples": [{"mass": 1}]},
            "sample 0: unknown domain parameter 'mass'. Known: drift, gain.",
        ),
    ],
)
def test_what_cannot_be_adapted_is_refused_before_anything_is_written(tmp_path, monkeypatch, env, randomizer, message):
    monkeypatch.syspath_prepend("tests/domains")
    with pytest.raises(Sim2RealError) as error:
        train(env, randomizer=randomizer, steps=100, out=tmp_path / "run")
    assert str(error.value) == message
    assert not (tmp_path / "run").exists()


def test_a_description_is_part_of_the_run(trained):
    run = trained("adr")
    assert json.loads(json.dumps(load_policy(run.folder).metadata.domains["randomizer"])) == ADAPTIVE["adr"]
    with pytest.raises(Sim2RealError, match=r"its randomizer.step is 0.1, not 0.2"):
        train(ID, randomizer={**ADAPTIVE["adr"], "step": 0.2}, seed=3, resume=True, out=run.folder, **SETTINGS)
