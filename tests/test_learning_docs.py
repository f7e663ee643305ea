"""What docs/learning.md says was measured, and measured as it says."""

import json
from pathlib import Path

import numpy as np
import pytest

from sim2real.errors import Sim2RealError

REPO = Path(__file__).parent.parent
PAGE = (REPO / "docs/learning.md").read_text(encoding="utf-8")
RESULTS = json.loads((REPO / "docs/results/learning.json").read_text(encoding="utf-8"))
pytestmark = pytest.mark.usefixtures("scripts")


def test_the_page_is_rendered_from_the_figures_that_are_kept():
    import benchmark_learning

    assert benchmark_learning.rendered(PAGE, RESULTS) == PAGE
    assert RESULTS["rounds"] >= 5


def test_a_part_that_is_measured_again_leaves_the_others():
    import benchmark_learning

    before = {"figures": [{"part": part, "name": part, "value": 1.0} for part in ("ppo", "updates")]}
    after = benchmark_learning.renewed(before, "ppo", [{"part": "ppo", "name": "new", "value": 2.0}], rounds=5)
    assert [(entry["part"], entry["value"]) for entry in after["figures"]] == [("updates", 1.0), ("ppo", 2.0)]


def test_updates_are_made_on_a_full_buffer_of_batches():
    from learning_speed.subjects import BATCH, make_updated, seconds_an_update
    from stable_baselines3 import SAC

    learner = make_updated(SAC, 8, device="cpu")
    before = learner.actor.mu.weight.detach().clone()
    assert learner.replay_buffer.size() == learner.replay_buffer.buffer_size
    assert learner.batch_size == BATCH
    assert seconds_an_update(learner, calls=2, steps=3) > 0.0
    assert learner._n_updates == 6
    assert not np.array_equal(before, learner.actor.mu.weight.detach())


class Learner:
    """Always right in even episodes."""

    def get_vec_normalize_env(self):
        return None

    def predict(self, observation, deterministic):
        assert deterministic
        return observation, None


class Episodes:
    def reset(self, *, seed):
        self.seed, self.steps = seed, 0
        return seed, {}

    def step(self, action):
        self.steps += 1
        return self.seed, 0.0, False, self.steps == 3, {"is_success": self.seed % 2 == 0 or self.steps < 3}


def test_success_in_a_race_is_that_of_the_last_step_of_an_episode():
    from learning_speed.race import success

    assert success(Learner(), Episodes(), seed=3) == 0.5


def answers(asked, wins=True):
    def race(interpreter, request, env):
        asked.append((request["side"], request["task"], request["seed"], round(request["limit"])))
        seconds = {"sim2real": 10.0, "PandaReach": 40.0, "PandaPush": 50.0, "PandaPush, small": 30.0}
        took = seconds["sim2real" if request["side"] == "sim2real" else request["task"]]
        won = wins or request["side"] == "sim2real"
        return {"seconds": took if won else None, "steps": 1 if won else None, "curve": [[1, took, 1.0]]}

    return race


def test_races_are_run_once_and_the_faster_settings_of_the_peer_count(tmp_path, monkeypatch):
    from learning_speed import races
    from learning_speed.kept import Kept

    asked = []
    monkeypatch.setattr(races, "_race", answers(asked))
    monkeypatch.setattr(races, "python", lambda folder: folder)
    figures = {found.name: found for found in races.Races(Kept(tmp_path / "races.json"), tmp_path).figures()}
    assert figures["PandaReach, part of panda-gym's time, warm cache"].value == 0.25
    assert figures["PandaReach, part of panda-gym's time, warm cache"].verdict == "met"
    assert figures["PandaPush, part of panda-gym's time, cold cache"].value == pytest.approx(1 / 3)
    assert figures["PandaPush, part of panda-gym's time, cold cache"].verdict == "missed"
    assert ("peer", "PandaReach", 2, 45) in asked
    assert ("peer", "PandaPush", 2, 30) in asked  # no longer than the small one took
    count = len(asked)
    assert count == 2 * 3 * 2 + 3 * 3
    again = {found.name: found for found in races.Races(Kept(tmp_path / "races.json"), tmp_path).figures()}
    assert len(asked) == count
    assert again == figures


def test_a_peer_that_was_stopped_is_named(tmp_path, monkeypatch):
    from learning_speed import races
    from learning_speed.kept import Kept

    monkeypatch.setattr(races, "_race", answers([], wins=False))
    monkeypatch.setattr(races, "python", lambda folder: folder)
    names = [found.name for found in races.Races(Kept(tmp_path / "races.json"), tmp_path).figures()]
    assert "PandaReach, panda-gym (stopped: seed 0, seed 1, seed 2)" in names


def test_a_race_of_ours_that_is_lost_is_an_error(tmp_path, monkeypatch):
    from learning_speed import races
    from learning_speed.kept import Kept

    lost = {"seconds": None, "steps": None, "curve": [[1, 3600.0, 0.9]]}
    monkeypatch.setattr(races, "_race", lambda *_: lost)
    monkeypatch.setattr(races, "python", lambda folder: folder)
    with pytest.raises(Sim2RealError, match=r"PandaReach, seed 0: no success of 0\.95 in 3600 s\."):
        list(races.Races(Kept(tmp_path / "races.json"), tmp_path).figures())


def test_the_area_under_a_curve_is_the_mean_over_the_training():
    from learning_speed.curves import area, difference

    curve = [{"step": step, "success_rate": rate} for step, rate in ((0, 0.0), (500, 0.0), (1000, 1.0), (2000, 1.0))]
    assert area(curve, "success_rate") == pytest.approx((0.0 + 250.0 + 1000.0) / 2000.0)
    low, high = difference([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert low == -high
    assert high == pytest.approx(2.776445 * np.sqrt(2.0 / 3.0), rel=1e-6)  # t of 4 degrees of freedom


@pytest.mark.parametrize("world", ["Pendulum-v1", "PandaReach"])
def test_the_fast_learner_learns_what_the_stock_one_does(world):
    found = [one for one in RESULTS["figures"] if one["name"].startswith(f"{world}, difference of the means")]
    assert len(found) == 1
    assert found[0]["low"] <= 0.0 <= found[0]["high"]
