"""What the gate promises: it goes with the better learner, with neither where that is best, and within one budget."""

import numpy as np
import pytest
from method_trainings import SMALL_OF, train_with
from point_mass import ID, SMALL
from trainings import assert_same_training, interrupt_at

from sim2real.deployment.bundle import load_policy
from sim2real.deployment.policy import Policy
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.transfer import auto
from sim2real.transfer.auto import Auto, Episode, adjusted, surely_less
from sim2real.transfer.finetune import FineTune
from sim2real.transfer.scratch import Scratch
from sim2real.transfer.transfer import transfer

INVERTED = World.of(ID).with_domain({"gain": -1.0}, "inverted")
ARMS = ("finetune", "scratch")
SAME = World.of(ID).with_domain({}, "same")


@pytest.fixture
def gated(sources, tmp_path):
    """Train with the gate; return the run, the gate and the learner that collects."""

    def go(method, *, steps, algo="sac", **options):
        seen = {}

        def prepare(learner, training):
            (gate,) = method.prepare(learner, sources[algo], training)
            seen.update(gate=gate, learner=learner)
            return [gate]

        run = train_with(method, sources[algo], tmp_path / "run", steps=steps, prepare=prepare, **options)
        return run, seen["gate"], seen["learner"]

    return go


def test_where_transfer_helps_it_goes_with_the_transferred_learner(gated):
    run, gate, _ = gated(Auto(), steps=300, eval_every=150, eval_episodes=20)
    assert run.curve[-1]["chosen"] == "finetune"
    assert run.curve[-1]["return_mean"] > run.curve[0]["return_mean"] + 3.0
    acted = [turn.arm for turn in gate.turns]
    assert acted.count("finetune") > acted.count("scratch") > 0


@pytest.mark.slow
def test_where_transfer_harms_it_goes_with_the_one_from_scratch(gated, sources, tmp_path):
    run, _, _ = gated(Auto(), steps=600, world=INVERTED, eval_every=200, eval_episodes=20)
    assert [point["chosen"] for point in run.curve] == ["zero-shot", "scratch", "scratch", "scratch"]
    final = {"auto": run.curve[-1]["return_mean"]}
    for method in (FineTune(), Scratch()):
        out = tmp_path / method.name
        other = train_with(method, sources["sac"], out, steps=600, world=INVERTED, eval_every=600, eval_episodes=20)
        final[method.name] = other.curve[-1]["return_mean"]
    assert final["auto"] > final["finetune"]
    assert final["auto"] > final["scratch"] - 2.5  # of the 20 that are to be learned


def test_where_all_learning_does_harm_it_returns_the_source_policy_itself(gated, sources, monkeypatch):
    monkeypatch.setitem(SMALL_OF, "sac", {**SMALL, "learning_rate": 0.3})
    run, gate, _ = gated(Auto(), steps=300, world=SAME)
    assert run.curve[-1]["chosen"] == gate.chosen == "zero-shot"
    for name, array in run.policy.weights.items():
        np.testing.assert_array_equal(array, sources["sac"].weights[name])
    before, after = sources["sac"].metadata, run.policy.metadata
    assert (after.world, after.hyperparameters, after.domains) == (before.world, before.hyperparameters, before.domains)
    assert after.provenance["steps"] == 300  # that of this training
    assert after.provenance["gate"]["chosen"] == "zero-shot"
    assert sum(after.provenance["gate"]["episodes"].values()) == 300 // 20


def test_it_takes_no_step_beyond_the_budget_and_both_learn_from_all_of_them(gated):
    _, gate, learner = gated(Auto(), steps=190)
    assert learner.num_timesteps == learner.replay_buffer.size() == 190
    rival = gate._rival.learner
    assert rival.replay_buffer is learner.replay_buffer
    assert rival._n_updates == 190 - 19  # fine-tuning collects at first
    assert learner._n_updates == 2 * (190 - 60)  # learning_starts; it has less of the budget for itself


@pytest.mark.slow
def test_the_source_policy_acts_first_and_then_no_learner_is_only_a_spectator(gated):
    _, gate, _ = gated(Auto(probe=0.1, share=0.25), steps=800)
    arms = [turn.arm for turn in gate.turns]
    assert arms[:4] == ["zero-shot"] * 4  # 80 steps in episodes of 20
    exploring = [turn.arm for turn in gate.turns if not turn.deterministic and turn.arm != "zero-shot"]
    until = min([*gate.out.values(), 800])
    both = exploring[: (until - 80) // 20]
    for window in zip(*(both[start:] for start in range(4)), strict=False):
        assert set(window) == {"finetune", "scratch"}


def test_in_the_exam_all_that_may_be_returned_take_turns(gated, monkeypatch):
    monkeypatch.setattr(auto, "surely_less", lambda *_: False)
    _, gate, _ = gated(Auto(exam=0.4), steps=400)
    exam = [turn.arm for turn in gate.turns if turn.deterministic]
    assert set(exam) == {"finetune", "scratch", "zero-shot"}
    counts = [exam.count(arm) for arm in set(exam)]
    assert max(counts) - min(counts) <= 1


def test_whoever_is_deterministic_does_what_its_policy_says(gated, sources):
    _, gate, learner = gated(Auto(probe=0.5, exam=0.5), steps=200)
    buffer = learner.replay_buffer
    assert gate.turns[0] == ("zero-shot", True)
    said = sources["sac"].predict(buffer.observations[:20, 0])
    np.testing.assert_allclose(buffer.actions[:20, 0], said, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["finetune", "par"])
def test_it_goes_on_after_an_interruption_as_if_there_had_been_none(sources, tmp_path, method):
    def go(out, **options):
        settings = {"steps": 140, "eval_every": 70, "checkpoint_every": 70, **options}
        return train_with(Auto(transferred=method), sources["sac"], out, **settings)

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "cut", listener=interrupt_at(100))
    assert_same_training(go(tmp_path / "cut"), go(tmp_path / "whole"))


@pytest.mark.parametrize("algo", ["td3", "tqc"])
def test_learners_of_other_algorithms_take_turns_too(gated, algo):
    run, gate, learner = gated(Auto(share=0.5, exam=0.2), steps=300, algo=algo, eval_every=300)
    acted = {(episode.arm, episode.deterministic) for episode in gate.episodes}
    assert acted >= {("zero-shot", True), ("finetune", False), ("scratch", False)}
    assert min(learner._n_updates, gate._rival.learner._n_updates) > 100
    chosen = {"finetune": gate._rival.learner, "scratch": learner}.get(gate.chosen)
    expected = gate.policy().weights if chosen is None else Policy.from_sb3(chosen).weights
    for name, array in run.policy.weights.items():
        np.testing.assert_array_equal(array, expected[name])


def test_on_policy_learners_are_refused(sources, tmp_path):
    with pytest.raises(Sim2RealError) as raised:
        train_with(Auto(), sources["ppo"], tmp_path / "run", steps=64)
    assert str(raised.value) == (
        "auto lets its learners share a replay buffer, which ppo has not; use sac, td3 or tqc."
    )


@pytest.mark.parametrize("name", ["scratch", "zero-shot", "auto"])
def test_what_is_no_transferred_learner_is_refused(name):
    with pytest.raises(Sim2RealError, match=f"unknown transferred learner of auto '{name}'"):
        Auto(transferred=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"probe": 0.6}, "probe = 0.6 must be a number of at least 0 and at most 0.5."),
        ({"exam": -0.1}, "exam = -0.1 must be a number of at least 0 and at most 0.5."),
        ({"transferred": 3}, "transferred = 3 must be the name of a method."),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(Sim2RealError) as raised:
        Auto(**settings)
    assert str(raised.value) == message


def test_the_luck_of_the_first_state_is_taken_out():
    rng = np.random.default_rng(0)
    values = rng.uniform(-30.0, 0.0, 20)
    # One arm is better by 2 whatever the first state, but had the worse ones.
    episodes = [
        Episode("finetune" if value < -10.0 else "scratch", False, 0.8 * value + 2.0 * (value < -10.0), value, 0)
        for value in values
    ]
    returns = {arm: [r for e, r in zip(episodes, adjusted(episodes), strict=True) if e.arm == arm] for arm in ARMS}
    assert np.mean([e.ret for e in episodes if e.arm == "finetune"]) < -10.0
    assert np.mean(returns["finetune"]) - np.mean(returns["scratch"]) == pytest.approx(2.0)
    assert np.ptp(returns["finetune"]) == pytest.approx(0.0, abs=1e-9)


def test_a_few_episodes_say_nothing_of_first_states():
    episodes = [Episode("finetune", False, ret, value, 0) for ret, value in ((1.0, 1.0), (2.0, 2.0), (3.0, 3.0))]
    assert adjusted(episodes) == [1.0, 2.0, 3.0]
    assert adjusted([]) == []


def test_surely_less_needs_episodes_and_a_difference():
    assert surely_less([0.0, 0.1, 0.2, 0.1, 0.0], [1.0, 1.1, 0.9, 1.0, 1.2])
    assert not surely_less([0.0, 0.1, 0.2, 0.1], [1.0, 1.1, 0.9, 1.0, 1.2])
    assert not surely_less([1.0, 1.1, 0.9, 1.0, 1.2], [0.0, 0.1, 0.2, 0.1, 0.0])
    assert not surely_less([0.0, 1.0, 2.0, 3.0, 4.0], [0.5, 1.5, 2.5, 3.5, 4.5])
    assert surely_less([0.0] * 5, [1.0] * 5)
    assert not surely_less([1.0] * 5, [1.0] * 5)


@pytest.mark.slow
def test_a_transfer_says_what_was_chosen_in_how_many_seeds(sources, tmp_path, in_process):
    found = transfer(
        sources["sac"], target=INVERTED, method="auto", steps=100, seeds=2, hyperparameters=SMALL, out=tmp_path / "out"
    )
    assert (
        load_policy(next((tmp_path / "out").rglob("auto/**/policy.zip"))).metadata.provenance["origin"]["method"]
        == "auto"
    )
    chosen = found.result["arms"]["auto"]["chosen"]
    assert sum(chosen.values()) == 2
    assert chosen.keys() <= {"finetune", "scratch", "zero-shot"}
    words = f"chose {', '.join(f'{name} {times}×' for name, times in chosen.items())}"
    assert words in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "chosen" not in found.result["arms"]["scratch"]


def test_who_is_surely_worse_is_dropped_at_the_first_look_that_can_tell(gated):
    _, gate, _ = gated(Auto(share=0.5, probe=0.0), steps=800, world=INVERTED)
    assert gate.out == {"finetune": 200}
    assert "finetune" not in [turn.arm for turn in gate.turns[11:]]  # ten episodes of 20, and the one that had begun
