"""Waypoints count in their order, and nothing else counts."""

import math

import pytest

from sim2real_envs.labyrinth.route import PASS_DISTANCE, Route, distance_to_segment

START = (0.0, 0.0)
WAYPOINTS = ((0.1, 0.0), (0.1, 0.1), (0.0, 0.1))  # a U turn, whose end is beside its start


@pytest.fixture
def route():
    route = Route(START, WAYPOINTS)
    route.begin(START)
    return route


def test_the_whole_route_is_worth_its_length(route):
    assert route.length == pytest.approx(0.3)
    path = [(0.05, 0.0), *WAYPOINTS]
    gains = [route.advance(point) for point in path]
    assert sum(gains) == pytest.approx(0.3)
    assert route.finished
    assert route.progress == 1.0


def test_the_short_cut_to_the_finish_counts_for_nothing(route):
    gained = route.advance(WAYPOINTS[-1])
    assert gained < 0.0
    assert not route.finished
    assert route.passed == 0
    assert route.progress == 0.0


def test_a_waypoint_that_was_left_out_has_to_be_gone_back_for(route):
    route.advance(WAYPOINTS[0])
    assert route.passed == 1
    route.advance((0.05, 0.05))
    route.advance(WAYPOINTS[2])
    assert route.passed == 1
    route.advance(WAYPOINTS[1])
    assert route.passed == 2
    route.advance(WAYPOINTS[2])
    assert route.finished


def test_going_back_and_forth_gains_nothing(route):
    gains = [route.advance((x, 0.0)) for x in (0.05, 0.0, 0.05, 0.0)]
    assert sum(gains) == pytest.approx(0.0)


def test_a_waypoint_is_passed_at_its_pass_distance(route):
    route.advance((0.1 - PASS_DISTANCE - 1e-6, 0.0))
    assert route.passed == 0
    assert route.ahead(2) == (WAYPOINTS[0], WAYPOINTS[1])
    route.advance((0.1 - PASS_DISTANCE + 1e-6, 0.0))
    assert route.passed == 1
    assert route.ahead(3) == (WAYPOINTS[1], WAYPOINTS[2], WAYPOINTS[2])
    assert route.remaining == pytest.approx(math.dist((0.1 - PASS_DISTANCE, 0.0), WAYPOINTS[1]) + 0.1, abs=1e-5)


def test_begin_forgets(route):
    for point in WAYPOINTS:
        route.advance(point)
    route.begin(START)
    assert route.passed == 0
    assert route.remaining == pytest.approx(route.length)


@pytest.mark.parametrize(
    ("point", "distance"), [((0.5, 0.2), 0.2), ((-3.0, 4.0), 5.0), ((4.0, 4.0), 5.0), ((0.3, 0.0), 0.0)]
)
def test_distance_to_a_segment(point, distance):
    assert distance_to_segment(point, (0.0, 0.0), (1.0, 0.0)) == pytest.approx(distance)


def test_distance_to_a_segment_of_no_length():
    assert distance_to_segment((3.0, 4.0), (0.0, 0.0), (0.0, 0.0)) == 5.0
