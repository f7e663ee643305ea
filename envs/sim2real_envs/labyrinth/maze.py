"""Generated layouts: a perfect maze, holes in its dead ends and beside the route, and in the harder ones short cuts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sim2real_envs.labyrinth.layout import CORRIDOR, Layout, Wall
from sim2real_envs.labyrinth.route import Point

_HOLE_OFFSET = 0.0125
"""Of a hole beside the route from the middle of the corridor [m]; a marble has to pass on the other side."""
_EVASION = 0.005
"""How far the route keeps to the other side there [m]."""

Cell = tuple[int, int]
Edge = frozenset[Cell]


@dataclass(frozen=True, kw_only=True)
class Level:
    """What makes a layout easy or hard."""

    cells: Cell
    """Columns and rows."""
    steps: tuple[int, int]
    """Fewest and most cells from start to finish."""
    beside: int
    """Holes beside the route."""
    dead_ends: int
    """Holes in dead ends, at most."""
    short_cuts: int
    """Walls taken out of the perfect maze."""


LEVELS: Mapping[str, Level] = {
    "easy": Level(cells=(4, 3), steps=(5, 6), beside=1, dead_ends=2, short_cuts=0),
    "medium": Level(cells=(5, 4), steps=(9, 11), beside=3, dead_ends=3, short_cuts=1),
    "hard": Level(cells=(6, 5), steps=(15, 18), beside=5, dead_ends=5, short_cuts=2),
}


def generate(level: str, seed: int) -> Layout:
    """Return the layout of a level and a seed, always the same one."""
    settings = LEVELS[level]
    rng = np.random.default_rng([list(LEVELS).index(level), seed])
    while True:
        doors = _perfect_maze(settings.cells, rng)
        route = _find_route(settings, doors, rng)
        if route is not None:
            return _lay(f"{level}-{seed}", settings, doors, route, rng)


def _neighbours(cell: Cell, cells: Cell) -> list[Cell]:
    x, y = cell
    around = ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1))
    return [(i, j) for i, j in around if 0 <= i < cells[0] and 0 <= j < cells[1]]


def _perfect_maze(cells: Cell, rng: np.random.Generator) -> set[Edge]:
    """Return the doors between cells: a spanning tree, by a random walk that backs out of dead ends."""
    path: list[Cell] = [(int(rng.integers(cells[0])), int(rng.integers(cells[1])))]
    seen, doors = set(path), set()
    while path:
        fresh = [cell for cell in _neighbours(path[-1], cells) if cell not in seen]
        if not fresh:
            path.pop()
            continue
        cell = fresh[int(rng.integers(len(fresh)))]
        doors.add(frozenset((path[-1], cell)))
        seen.add(cell)
        path.append(cell)
    return doors


def _find_route(level: Level, doors: set[Edge], rng: np.random.Generator) -> list[Cell] | None:
    """Return the cells from a random start to a finish as far away as the level asks for, if there is one."""
    start = (int(rng.integers(level.cells[0])), int(rng.integers(level.cells[1])))
    paths = {start: [start]}
    queue = [start]
    for cell in queue:
        for other in _neighbours(cell, level.cells):
            if other not in paths and frozenset((cell, other)) in doors:
                paths[other] = [*paths[cell], other]
                queue.append(other)
    fewest, most = level.steps
    found = [path for path in paths.values() if fewest <= len(path) - 1 <= most]
    return found[int(rng.integers(len(found)))] if found else None


def _lay(name: str, level: Level, doors: set[Edge], route: list[Cell], rng: np.random.Generator) -> Layout:
    size = (level.cells[0] * CORRIDOR, level.cells[1] * CORRIDOR)

    def middle(cell: Cell) -> Point:
        return ((cell[0] + 0.5) * CORRIDOR - size[0] / 2, (cell[1] + 0.5) * CORRIDOR - size[1] / 2)

    walls_at = {
        cell: [o for o in _neighbours(cell, level.cells) if frozenset((cell, o)) not in doors] for cell in _all(level)
    }
    holes: list[Point] = []
    waypoints = {cell: middle(cell) for cell in route}
    # Beside the route: close to an inner wall, with the waypoint moved away from it. Not beside start and finish.
    closed = [cell for cell in route[1:-1] if walls_at[cell]]
    for index in rng.permutation(len(closed))[: level.beside]:
        cell = closed[int(index)]
        other = walls_at[cell][int(rng.integers(len(walls_at[cell])))]
        dx, dy = other[0] - cell[0], other[1] - cell[1]
        x, y = middle(cell)
        holes.append((x + dx * _HOLE_OFFSET, y + dy * _HOLE_OFFSET))
        waypoints[cell] = (x - dx * _EVASION, y - dy * _EVASION)
        walls_at[cell] = []
    ends = [cell for cell in _all(level) if cell not in waypoints and _doors_of(cell, level, doors) == 1]
    holes += [middle(ends[int(i)]) for i in rng.permutation(len(ends))[: level.dead_ends]]
    # Short cuts save at least four cells, so that keeping to the route costs something.
    order = {cell: index for index, cell in enumerate(route)}
    cuts = [
        frozenset((a, b))
        for a in route
        for b in _neighbours(a, level.cells)
        if order.get(b, -1) > order[a] + 4 and a in walls_at and walls_at[a] and walls_at.get(b)
    ]
    opened = {cuts[int(i)] for i in rng.permutation(len(cuts))[: level.short_cuts]}
    points = [waypoints[cell] for cell in route]
    return Layout(
        name=name,
        size=size,
        start=points[0],
        waypoints=tuple(points[1:]),
        walls=_walls(level.cells, doors | opened, size),
        holes=tuple(holes),
    )


def _all(level: Level) -> list[Cell]:
    return [(x, y) for x in range(level.cells[0]) for y in range(level.cells[1])]


def _doors_of(cell: Cell, level: Level, doors: set[Edge]) -> int:
    return sum(frozenset((cell, other)) in doors for other in _neighbours(cell, level.cells))


def _walls(cells: Cell, doors: set[Edge], size: Point) -> tuple[Wall, ...]:
    """Return the walls between cells without a door, those in one line and touching as one."""
    walls: list[Wall] = []
    for axis in (0, 1):
        for line in range(1, cells[axis]):
            begin = None
            for place in range(cells[1 - axis] + 1):
                a, b = ((line - 1, place), (line, place)) if axis == 0 else ((place, line - 1), (place, line))
                wall = place < cells[1 - axis] and frozenset((a, b)) not in doors
                if wall and begin is None:
                    begin = place
                elif not wall and begin is not None:
                    at = line * CORRIDOR - size[axis] / 2
                    low, high = (k * CORRIDOR - size[1 - axis] / 2 for k in (begin, place))
                    walls.append((at, low, at, high) if axis == 0 else (low, at, high, at))
                    begin = None
    return tuple(walls)
