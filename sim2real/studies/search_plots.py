"""The picture of a search: what its trials came to one after another, and over each thing that was searched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from sim2real.studies.plots import LIGHT, style
from sim2real.studies.search import Search
from sim2real.studies.search_space import Choice, Dimension

if TYPE_CHECKING:
    from sim2real.studies.trials import Trial

_COLUMNS = 3
_MARGIN = 1.1  # factor beyond the ends of a logarithmic axis


def search_figure(search: Search, trials: Sequence[Trial]) -> Figure:
    """Draw the value of each trial over its number, with the best so far, and over the values that it had.

    Args:
        search: What was searched.
        trials: Those that are done are drawn.
    """
    done = [trial for trial in trials if trial.state == "done"]
    panels = 1 + len(search.dimensions)
    columns = min(_COLUMNS, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(3.2 * columns, 2.5 * rows), layout="constrained", facecolor="none")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes in grid[panels:]:
        axes.set_axis_off()
    for index, axes in enumerate(grid[:panels]):
        style(axes)
        axes.grid(axis="y", color=LIGHT.grid, linewidth=0.8)
        if search.objective.measure == "success":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        if index % columns == 0:
            axes.set_ylabel(search.objective.measure, color=LIGHT.muted, fontsize=9)
    _draw_history(grid[0], done)
    for axes, dimension in zip(grid[1:panels], search.dimensions, strict=True):
        _draw_slice(axes, dimension, done)
    return figure


def _draw_history(axes: Axes, done: Sequence[Trial]) -> None:
    numbers = [trial.number for trial in done]
    values = [trial.value or 0.0 for trial in done]
    best = [max(values[: index + 1]) for index in range(len(values))]
    axes.scatter(numbers, values, color=LIGHT.transfer, s=16, zorder=2)
    axes.step(numbers, best, where="post", color=LIGHT.scratch, linewidth=1.4, zorder=1)
    axes.set_xlabel("trial (line: best so far)", color=LIGHT.muted, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _draw_slice(axes: Axes, dimension: Dimension, done: Sequence[Trial]) -> None:
    values = [trial.value or 0.0 for trial in done]
    given = [trial.values[dimension.name] for trial in done]
    axes.set_xlabel(dimension.name, color=LIGHT.muted, fontsize=9)
    if isinstance(dimension, Choice):
        labels = [str(label) for label in dimension.labels]
        given = [labels.index(str(dimension.label(value))) for value in given]
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    elif dimension.log:
        axes.set_xscale("log")
        ends = (dimension.low, dimension.high)
        axes.set_xlim(ends[0] / _MARGIN, ends[1] * _MARGIN)
        ticks = (ends[0], math.sqrt(ends[0] * ends[1]), ends[1])
        axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        axes.xaxis.set_minor_formatter(NullFormatter())
    # Later trials are darker: where the search has looked last.
    axes.scatter(
        given, values, c=[trial.number for trial in done], cmap="Blues", edgecolors=LIGHT.transfer, linewidths=0.8,
        s=20, vmin=-0.5 * max(1, len(done)), zorder=2,
    )  # fmt: skip
