"""What the adviser promises: a fit that is the optimum it is said to be, honest scores, and clear words."""

import json
from dataclasses import replace

import numpy as np
import pytest
from point_mass import ID
from scipy.optimize import minimize

import sim2real
from sim2real.cli.entry import run
from sim2real.deployment.policy import BundleInfo
from sim2real.errors import Sim2RealError
from sim2real.transfer import adviser
from sim2real.transfer.adviser import FEATURES, Advice, Adviser, Calibration, Term, features
from sim2real.transfer.calibration import (
    PENALTIES,
    accuracy,
    base_rates,
    brier,
    choose_penalty,
    fit_adviser,
    fit_logistic,
    hold_out,
)
from sim2real.transfer.probes import Probes

FOUND = Probes(
    target_steps=150,
    window=37,
    zero_shot_return=-40.0,
    zero_shot_success=None,
    source_return=-20.0,
    source_success=None,
    scratch_returns=(-120.0, -100.0),
    chance_return=-120.0,
    scratch_return=-100.0,
    auc=0.9,
    surprise=10.0,
    domain_distance=0.3,
)


def test_the_fit_is_the_optimum_that_its_docstring_names():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    labels = x @ [1.0, -2.0, 0.0] + rng.normal(size=40) > 0.3
    weights, intercept = fit_logistic(x, labels, 0.7)
    count = labels.sum()
    targets = np.where(labels, (count + 1) / (count + 2), 1 / (40 - count + 2))
    p = 1 / (1 + np.exp(-(x @ weights + intercept)))
    np.testing.assert_allclose(x.T @ (p - targets) + 0.7 * weights, 0.0, atol=1e-7)
    assert np.sum(p - targets) == pytest.approx(0.0, abs=1e-7)

    def loss(theta):
        p = 1 / (1 + np.exp(-(x @ theta[:3] + theta[3])))
        return -np.sum(targets * np.log(p) + (1 - targets) * np.log(1 - p)) + 0.35 * theta[:3] @ theta[:3]

    brute = minimize(loss, np.zeros(4), method="Nelder-Mead", options={"maxiter": 9000, "xatol": 1e-8, "fatol": 1e-12})
    np.testing.assert_allclose([*weights, intercept], brute.x, atol=1e-4)


def test_data_that_a_line_separates_stay_finite_and_a_larger_penalty_holds_more_back():
    x, labels = np.array([[-2.0], [-1.0], [1.0], [2.0]]), [False, False, True, True]
    sizes = [float(np.abs(fit_logistic(x, labels, penalty)[0][0])) for penalty in PENALTIES]
    assert sizes == sorted(sizes, reverse=True)
    assert 0.0 < sizes[-1] < sizes[0] < 10.0
    assert fit_logistic(x, labels, 1.0)[1] == pytest.approx(0.0, abs=1e-9)  # by symmetry


def test_labels_of_one_kind_give_their_rate_and_nothing_else():
    weights, intercept = fit_logistic(np.array([[-1.0], [0.0], [1.0]]), [True] * 3, 1.0)
    assert weights == pytest.approx([0.0], abs=1e-9)
    assert 1 / (1 + np.exp(-intercept)) == pytest.approx(4 / 5)  # (N + 1) / (N + 2)


def row(kept, **others):
    return {**dict.fromkeys(FEATURES), "kept": kept, **others}


def test_a_feature_that_is_not_known_counts_as_its_mean():
    rows = [row(kept, distance=distance) for kept, distance in ((0.0, 0.1), (0.2, None), (0.8, 0.5), (1.0, 0.9))]
    model = fit_adviser(rows, [False, False, True, True], 1.0)
    assert model.terms["distance"].mean == pytest.approx(0.5)
    assert model.probability(row(0.4)) == pytest.approx(model.probability(row(0.4, distance=0.5)))
    assert model.probability(row(0.5, distance=0.5)) == pytest.approx(0.5, abs=0.01)
    assert model.probability(row(1.0)) > 0.5 > model.probability(row(0.0))
    assert model.terms["climb"] == Term(mean=0.0, std=1.0, weight=0.0)  # nothing was known of it
    with pytest.raises(Sim2RealError, match=r"^the adviser needs pairs whose verdict is known\.$"):
        fit_adviser([], [], 1.0)


def test_scores_are_those_of_hand_computation():
    said, pays = [0.9, 0.5, 0.4, 0.2], [True, True, True, False]
    assert brier(said, pays) == pytest.approx((0.01 + 0.25 + 0.36 + 0.04) / 4)
    assert accuracy(said, pays) == 0.75
    assert base_rates(pays, ["a", "b", "b", "b"]) == pytest.approx([2 / 3, 1.0, 1.0, 1.0])


def test_nothing_of_a_world_goes_into_what_is_said_of_it():
    rng = np.random.default_rng(1)
    worlds = ["a"] * 8 + ["b"] * 8 + ["c"] * 8
    rows = [row(float(kept), budget=float(rng.normal())) for kept in rng.uniform(size=24)]
    pays = [each["kept"] > 0.5 for each in rows]
    said = hold_out(rows, pays, worlds)
    assert accuracy(said, pays) > 0.8
    assert brier(said, pays) < brier(base_rates(pays, worlds), pays)
    other = [*(not each for each in pays[:8]), *pays[8:]]  # what is true of a changes what is said of b and c alone
    changed = hold_out(rows, other, worlds)
    assert changed[:8] == said[:8]
    assert all(one != two for one, two in zip(said[8:], changed[8:], strict=True))
    by_hand = fit_adviser(rows[8:], pays[8:], choose_penalty(rows[8:], pays[8:], worlds[8:]))
    assert said[:8] == [by_hand.probability(each) for each in rows[:8]]


def test_the_penalty_is_the_largest_where_no_world_can_be_held_out_or_nothing_is_to_be_learned():
    rows = [row(kept) for kept in (0.0, 1.0, 0.0, 1.0)]
    assert choose_penalty(rows, [False, True, False, True], ["a"] * 4) == PENALTIES[-1]
    assert choose_penalty(rows, [False, True, False, True], ["a", "a", "b", "b"]) == PENALTIES[0]
    assert choose_penalty(rows, [False, True, True, False], ["a", "a", "b", "b"]) == PENALTIES[-1]


def test_features_are_bounded_and_say_what_is_not_known():
    found = features(FOUND, 3000, 30_000)
    assert found == pytest.approx(
        {"kept": 0.8, "climb": 0.2, "told_apart": 0.9, "surprise": 1.0, "distance": 0.3, "budget": -1.0}
    )
    worse = replace(FOUND, zero_shot_return=-900.0, scratch_return=None, surprise=1e9, domain_distance=None)
    found = features(worse, 3000, None)
    assert (found["kept"], found["surprise"]) == (-1.0, 2.0)
    assert [name for name, value in found.items() if value is None] == ["climb", "distance", "budget"]


def model_of(intercept, weight=0.0):
    terms = {name: Term(mean=0.0, std=1.0, weight=weight if name == "kept" else 0.0) for name in FEATURES}
    facts = Calibration(
        pairs=40, pays=25, worlds=("A-v0", "B-v0"), penalty=1.0, accuracy=0.8, brier=0.15, base_rate_brier=0.24
    )
    return Adviser(terms=terms, intercept=intercept, calibration=facts)


@pytest.fixture
def calibrated(tmp_path, monkeypatch):
    """Put a model in the place of the package's: always of this logit."""
    file = tmp_path / "adviser.json"
    monkeypatch.setattr(adviser, "MODEL", file)

    def put(intercept, weight=0.0):
        file.write_text(json.dumps(model_of(intercept, weight).to_dict()))

    return put


def test_a_model_is_the_same_after_it_was_written_and_read(tmp_path):
    file = tmp_path / "adviser.json"
    model = model_of(0.3, 1.5)
    file.write_text(json.dumps(model.to_dict()))
    assert Adviser.read(file) == model
    assert model.probability(features(FOUND, 3000, None)) == pytest.approx(1 / (1 + np.exp(-0.3 - 1.5 * 0.8)))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "it holds no mapping"),
        ({"intercept": None}, "intercept = None must be a finite number"),
        ({"terms": {}}, "'kept' is missing"),
        ({"calibration": {"worlds": []}}, "Calibration.__init__() missing 6 required keyword-only arguments"),
    ],
)
def test_a_broken_model_is_told_by_its_file(broken, reason, tmp_path):
    file = tmp_path / "adviser.json"
    file.write_text(broken if isinstance(broken, str) else json.dumps({**model_of(0.0).to_dict(), **broken}))
    with pytest.raises(Sim2RealError) as raised:
        Adviser.read(file)
    assert str(raised.value).startswith(f"{file} is no calibrated adviser: {reason}")
    assert str(raised.value).endswith("; make it again with scripts/calibrate_adviser.py, or remove it.")


def test_the_shipped_model_if_there_is_one_can_be_read():
    assert not adviser.MODEL.exists() or Adviser.read(adviser.MODEL).calibration is not None


@pytest.mark.slow
def test_it_says_what_to_do(sources, calibrated):
    calibrated(2.0)
    found = sim2real.advise(sources["sac"], target={"drift": 0.2}, steps=2000)
    assert isinstance(found, Advice)
    assert found.probability == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert (found.env, found.target, found.tuned, found.probes.target_steps) == (ID, "custom", None, 100)
    choices = [replace(found, probability=p).choice for p in (1.0, 0.67, 0.66, 0.34, 0.33, 0.0)]
    assert choices == ["transfer", "transfer", "open", "open", "scratch", "scratch"]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["choice"] == "transfer"


def test_without_a_model_there_are_probes_and_no_probability(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(adviser, "MODEL", tmp_path / "adviser.json")
    found = sim2real.advise(sources["sac"], target={"drift": 0.2}, steps=2000)
    assert (found.probability, found.choice, found.calibration) == (None, None, None)
    assert found.probes.kept > 0.3


def test_the_env_that_is_given_is_the_source_of_a_policy_that_names_none(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(adviser, "MODEL", tmp_path / "adviser.json")
    nameless = sources["sac"].described(replace(sources["sac"].metadata, world=None, domains=None))
    found = sim2real.advise(nameless, ID, target={}, steps=2000)
    assert found.probes.domain_distance == 0.0
    assert found.probes.kept > 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"steps": 1000},
            "steps = 1000: probes take 5% of that, and 50 steps tell nothing; give a budget of at least 2,000.",
        ),
        ({"steps": 0}, "steps = 0 must be a whole number of at least 1."),
        ({"steps": 2000, "seed": -1}, "seed = -1 must be a whole number that is not negative."),
        (
            {"steps": 2000, "target": "sagging"},
            "unknown target 'sagging'. Known: nominal.",
        ),
        (
            {"steps": 2000, "kwargs": {"width": 3}},
            "the policy does not fit the env: observation shape is (2,) in the policy, (3,) in the env. A policy is "
            "carried into other spaces by sim2real transfer --method graft (or another that can, see "
            "docs/transfer.md); sim2real map shows which number becomes which.",
        ),
    ],
)
def test_what_cannot_be_is_refused(sources, options, message):
    with pytest.raises(Sim2RealError) as raised:
        sim2real.advise(sources["sac"], **{"target": {}, **options})
    assert str(raised.value) == message


def test_a_policy_without_a_world_is_refused(sources):
    with pytest.raises(Sim2RealError, match=r"^the policy's bundle names no world; give --env\.$"):
        sim2real.advise(sources["sac"].described(BundleInfo()), target={}, steps=2000)


def advised(source, capsys, *more):
    assert run(["advise", str(source.folder), "--target", "nominal", "--steps", "2000", *more]) == 0
    return capsys.readouterr().out


def test_the_command_says_what_it_found_and_what_to_type_next(source, calibrated, capsys, tmp_path):
    calibrated(2.0)
    shown = advised(source, capsys, "--json", str(tmp_path / "advice.json"))
    found = json.loads((tmp_path / "advice.json").read_text(encoding="utf-8"))
    assert (
        f"keeps {100 * found['probes']['kept']:.0f}\N{NO-BREAK SPACE}% of what it earns at home above chance" in shown
    )
    assert "has not begun to learn in so few steps" in shown
    assert "Transfer pays with a probability of 88\N{NO-BREAK SPACE}%: transfer the policy." in shown
    assert "Calibrated on 40 pairs of 2 worlds" in shown
    assert "Spent 100 of 2,000 target steps; 1,900 are left." in shown
    assert f"next  sim2real transfer {source.folder} --target nominal --method finetune --steps 1900" in shown


def test_the_command_advises_against_a_transfer_too(source, calibrated, capsys):
    calibrated(-2.0)
    shown = advised(source, capsys, "--seed", "1")
    assert "Transfer pays with a probability of 12\N{NO-BREAK SPACE}%: learn there from scratch." in shown
    assert f"next  sim2real transfer {source.folder} --target nominal --method scratch --steps 1900" in shown


def test_the_command_without_a_model_says_how_to_get_one(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(adviser, "MODEL", tmp_path / "adviser.json")
    shown = advised(source, capsys)
    assert "No model is calibrated, so there is no probability: scripts/calibrate_adviser.py makes one" in shown
    assert f"next  sim2real transfer {source.folder} --target nominal --method auto --steps 1900" in shown


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run", "--target", "worn"], "missing option '--steps'. 'sim2real advise --help' tells more."),
        (["run", "--steps", "3000"], "missing option '--target'. 'sim2real advise --help' tells more."),
        (
            ["run", "--target", "worn", "--steps", "0"],
            "--steps 0 must be a whole number of at least 1. 'sim2real advise --help' tells more.",
        ),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(args, message, capsys):
    assert run(["advise", *args]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
