"""Tracks: closed, smooth, of constant width, as winding as they are rated, and apart from themselves."""

import numpy as np
import pytest

from sim2real.errors import Sim2RealError
from sim2real_envs.driving.track import LENGTH, MIN_RADIUS, SPACING, Track, is_drivable, make_track

TRACKS = [(seed, difficulty) for difficulty in (0.0, 0.3, 0.6, 1.0) for seed in range(12)]


@pytest.mark.parametrize(("seed", "difficulty"), TRACKS)
def test_a_track_is_closed_even_and_smooth(seed, difficulty):
    track = make_track(seed, difficulty=difficulty)
    steps = np.linalg.norm(np.roll(track.points, -1, axis=0) - track.points, axis=1)
    np.testing.assert_allclose(steps, SPACING, rtol=1e-3)
    assert track.length == pytest.approx(LENGTH)
    assert np.abs(track.curvature).max() <= 1.0 / MIN_RADIUS
    assert np.abs(np.diff(track.curvature)).max() < 0.5  # [1/m] over 0.1 m
    assert abs(track.curvature.sum() * SPACING) == pytest.approx(2 * np.pi, rel=3e-3)


@pytest.mark.parametrize(("seed", "difficulty"), TRACKS)
def test_walls_keep_their_distance(seed, difficulty):
    track = make_track(seed, difficulty=difficulty)
    left, right = track.offset_line(0.6), track.offset_line(-0.6)
    gaps = np.linalg.norm(left[:, None] - right[None], axis=2)
    # From every place of one wall the other is exactly a width away, and nowhere nearer.
    np.testing.assert_allclose(gaps.min(axis=0), 1.2, atol=0.01)
    np.testing.assert_allclose(gaps.min(axis=1), 1.2, atol=0.01)


@pytest.mark.parametrize(("seed", "difficulty"), TRACKS)
def test_difficulty_is_how_much_the_track_turns(seed, difficulty):
    assert make_track(seed, difficulty=difficulty).turning == pytest.approx(1.0 + difficulty, abs=0.03)


def test_tracks_differ_and_go_both_ways_round():
    tracks = [make_track(seed) for seed in range(12)]
    assert len({track.points.tobytes() for track in tracks}) == 12
    assert {np.sign(track.curvature.sum()) for track in tracks} == {-1.0, 1.0}


def test_same_seed_same_track():
    fresh = make_track.__wrapped__(3, difficulty=0.7)
    np.testing.assert_array_equal(fresh.points, make_track(3, difficulty=0.7).points)


def test_curvature_of_a_circle():
    angle = np.arange(240) * (2 * np.pi / 240)
    circle = 3.0 * np.stack((np.cos(angle), np.sin(angle)), axis=1)
    track = Track(circle, 1.2, 2 * np.pi * 3.0 / 240)
    np.testing.assert_allclose(track.curvature, 1.0 / 3.0, rtol=1e-3)
    assert track.turning == pytest.approx(1.0, rel=1e-3)
    np.testing.assert_allclose(np.linalg.norm(track.offset_line(0.6), axis=1), 2.4)
    assert is_drivable(track)


def test_a_figure_of_eight_and_a_sharp_bend_are_not_drivable():
    angle = np.arange(240) * (2 * np.pi / 240)
    eight = np.stack((4 * np.sin(angle), 4 * np.sin(angle) * np.cos(angle)), axis=1)
    assert not is_drivable(Track(eight, 1.2, 0.1))
    small = 0.7 * np.stack((np.cos(angle), np.sin(angle)), axis=1)
    assert not is_drivable(Track(small, 1.2, 2 * np.pi * 0.7 / 240))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"seed": -1}, "track seed = -1 must be a whole number that is not negative."),
        ({"seed": 0, "difficulty": 1.5}, "difficulty = 1.5 must be between 0 (a circle) and 1."),
        ({"seed": 0, "width": 3.0}, "width = 3.0 must be between 0.8 and 1.5 metres."),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(Sim2RealError) as error:
        make_track(**kwargs)
    assert str(error.value) == message
