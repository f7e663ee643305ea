"""Which trackers there are, and what they are told; tests/ecosystem logs to the real ones."""

import sys

import pytest
from point_mass import ID

from sim2real.errors import Sim2RealError
from sim2real.training.trackers import flat
from sim2real.training.train import train


@pytest.mark.parametrize(("name", "title"), [("mlflow", "MLflow"), ("wandb", "W&B")])
def test_a_tracker_that_is_not_installed_is_named_before_anything_is_done(name, title, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Sim2RealError) as caught:
        train(ID, steps=100, out=tmp_path / "run", track=name)
    assert str(caught.value) == f"{title} is not installed; install it with: pip install 'sim2real[{name}]'."
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_tracker_is_refused(tmp_path):
    with pytest.raises(Sim2RealError) as caught:
        train(ID, steps=100, out=tmp_path / "run", track="mlfow")
    assert str(caught.value) == "unknown tracker 'mlfow'. Did you mean 'mlflow'? Known: mlflow, wandb."


def test_settings_are_parameters_of_one_level():
    config = {"steps": 5, "world": {"env": "A-v0", "kwargs": {}, "domain": None}, "origin": {"a": {"b": [1, 2]}}}
    assert flat(config) == {"steps": 5, "world.env": "A-v0", "world.domain": None, "origin.a.b": [1, 2]}
