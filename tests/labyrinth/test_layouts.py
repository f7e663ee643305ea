"""Every layout can be played, is the same for everyone, and harder levels are harder."""

import math
from itertools import pairwise

import pytest

from sim2real.errors import Sim2RealError
from sim2real_envs.labyrinth.catalogue import find_layout
from sim2real_envs.labyrinth.domain import LABYRINTH_DOMAIN
from sim2real_envs.labyrinth.layout import HOLE_RADIUS, WALL_THICKNESS, parse_layout
from sim2real_envs.labyrinth.maze import LEVELS, generate
from sim2real_envs.labyrinth.route import PASS_DISTANCE, distance_to_segment

LARGEST = LABYRINTH_DOMAIN["marble_radius"].high
NAMES = [f"{level}-{seed}" for level in LEVELS for seed in range(25)] + ["classic"]


def small(**changes):
    fields = {
        "size": [0.2, 0.1],
        "start": [-0.08, 0.0],
        "waypoints": [[0.0, 0.03], [0.08, 0.0]],
        "walls": [[0.0, -0.05, 0.0, 0.0]],
        "holes": [[-0.03, -0.03], [0.03, -0.03]],
    }
    return {**fields, **changes}


def distance_to_walls(layout, point):
    walls = (*layout.frame, *layout.walls)
    return min(distance_to_segment(point, wall[:2], wall[2:]) for wall in walls) - WALL_THICKNESS / 2


@pytest.mark.parametrize("name", NAMES)
def test_the_route_is_clear_of_holes_and_walls_for_the_largest_marble(name):
    layout = find_layout(name)
    assert min(layout.clearance(hole) for hole in layout.holes) > HOLE_RADIUS + 0.005
    path = (layout.start, *layout.waypoints)
    for a, b in pairwise(path):
        for k in range(11):
            point = tuple(u + k / 10 * (v - u) for u, v in zip(a, b, strict=True))
            assert distance_to_walls(layout, point) > LARGEST
    assert math.dist(layout.start, layout.waypoints[-1]) > 2 * PASS_DISTANCE


@pytest.mark.parametrize("name", NAMES)
def test_no_waypoint_is_passed_from_the_other_side_of_a_wall(name):
    layout = find_layout(name)
    smallest = LABYRINTH_DOMAIN["marble_radius"].low
    for waypoint in layout.waypoints:
        # Behind a wall the middle of a marble is farther away than the wall's far face by its radius.
        assert distance_to_walls(layout, waypoint) + WALL_THICKNESS + smallest > PASS_DISTANCE


def test_holes_are_larger_than_marbles():
    assert HOLE_RADIUS > LARGEST


def test_levels_are_rated_in_their_order():
    ratings = {level: [find_layout(f"{level}-{seed}").difficulty for seed in range(50)] for level in LEVELS}
    for easier, harder in pairwise(LEVELS):
        assert max(ratings[easier]) < min(ratings[harder])


def test_a_name_is_one_layout_and_another_seed_another():
    first = find_layout("medium-3")
    assert generate("medium", 3) == first
    assert find_layout("medium-4").walls != first.walls
    assert first.waypoints[:3] != find_layout("hard-3").waypoints[:3]


def test_the_difficulty_counts_corridors_and_holes_beside_the_route():
    layout = parse_layout(small(holes=[[0.0, 0.01], [0.09, -0.045]]), "mine")
    length = 2 * math.hypot(0.08, 0.03)
    assert layout.difficulty == pytest.approx(length / 0.045 + 2.0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("esay-1", "unknown layout 'esay-1'."),
        ("easy", "unknown layout 'easy'."),
        ("clasic", "unknown layout 'clasic'. Did you mean 'classic'?"),
    ],
)
def test_unknown_layouts_are_refused(name, message):
    with pytest.raises(Sim2RealError) as error:
        find_layout(name)
    assert str(error.value).startswith(message)
    assert str(error.value).endswith("Known: classic, easy-<number>, hard-<number>, medium-<number>.")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"holes": [[0.0, 0.0]]}, "layout 'mine': it has 1 holes; give at least 2."),
        ({"waypoints": []}, "layout 'mine': it has no waypoints; the last one is the finish."),
        (
            {"walls": [[0.0, 0.0, 0.1, 0.1]]},
            "layout 'mine': wall (0.0, 0.0, 0.1, 0.1) must go along the x or the y axis.",
        ),
        ({"start": [0.2, 0.0]}, "layout 'mine': start (0.2, 0.0) is outside of the board of (0.2, 0.1) m."),
        (
            {"holes": [[0.0, 0.0], [0.08, 0.005]]},
            "layout 'mine': the route leads over a hole at (0.08, 0.0); move one of them.",
        ),
        ({"start": [1]}, "layout 'mine': start: [1] must be a list of 2 numbers in metres."),
        ({"walls": 3}, "layout 'mine': walls: 3 must be a list."),
        ({"hole": []}, "layout 'mine': unknown key 'hole'. Did you mean 'holes'?"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(changes, message):
    with pytest.raises(Sim2RealError) as error:
        parse_layout(small(**changes), "mine")
    assert str(error.value).startswith(message)


def test_a_missing_key_is_named():
    content = small()
    del content["holes"]
    with pytest.raises(Sim2RealError, match="layout 'mine': 'holes' is missing"):
        parse_layout(content, "mine")
