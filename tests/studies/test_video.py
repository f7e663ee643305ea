"""A video shows the same episodes for every policy, at the pace of the env, and browsers can play it."""

import imageio.v2 as imageio
import numpy as np
import pytest
from point_mass import ID

from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.studies.video import record, write_video

WORLD = World.of(ID)


def push(_observation):
    return np.ones(1, np.float32)


def rest(_observation):
    return np.zeros(1, np.float32)


def test_two_policies_meet_the_same_starts_and_only_then_differ():
    frames, fps = record({"push": (push, WORLD), "rest": (rest, WORLD)}, seed=1, episodes=2)
    assert fps == 10
    assert len(frames) == 2 * (20 + 5)  # and half a second of standstill after each
    assert frames[0].shape == (20 + 36, 80, 3)
    again, _ = record({"push": (push, WORLD), "rest": (rest, WORLD)}, seed=1, episodes=2)
    assert np.array_equal(frames, again)
    alike, _ = record({"rest": (rest, WORLD), "rest too": (rest, WORLD)}, seed=1, episodes=2)
    for frame in alike:
        assert np.array_equal(frame[36:, :40], frame[36:, 40:])
    assert not np.array_equal(frames[10][36:, :40], frames[10][36:, 40:])


def test_every_second_step_halves_the_frames_and_keeps_the_pace():
    frames, fps = record({"rest": (rest, WORLD)}, seed=0, episodes=1, every=2, columns=1)
    assert fps == 5
    assert len(frames) == 10 + 2


def test_three_policies_fill_two_rows():
    frames, _ = record(dict.fromkeys("abc", (rest, WORLD)), seed=0, episodes=1)
    assert frames[0].shape == (2 * 56, 80, 3)
    assert (frames[0][56:, 40:] == 255).all()


def test_what_is_written_can_be_read_back(tmp_path):
    frames, fps = record({"rest": (rest, WORLD)}, seed=0, episodes=1, columns=1)
    write_video(frames, tmp_path / "film.mp4", fps)
    with imageio.get_reader(tmp_path / "film.mp4") as film:
        assert film.get_meta_data()["fps"] == fps
        assert film.get_meta_data()["codec"] == "h264"
        assert film.count_frames() == len(frames)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_an_env_that_draws_nothing_is_named(monkeypatch):
    from point_mass import PointMass

    monkeypatch.setattr(PointMass, "render", lambda self: None)
    with pytest.raises(Sim2RealError, match="draws no pictures"):
        record({"rest": (rest, WORLD)}, seed=0, episodes=1)
