"""Figures of sweeps: what policies reach along one parameter, and what one reaches over two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter

from sim2real.evaluation.robustness import Robustness, Swept
from sim2real.studies.numbers import number
from sim2real.studies.plots import LIGHT, Theme, arm_style, style
from sim2real.studies.summary import percent

_COLOURS = "cividis"
"""Even in lightness, and the same to colour-blind readers (Nuñez et al., 2018)."""


_MARKERS = {"nominal": "o", "target": "D"}


def robustness_figure(found: Mapping[str, Robustness], *, theme: Theme = LIGHT, narrow: bool = False) -> Figure:
    """Draw what several policies reach along one parameter, with 95 % bands over episodes.

    The range that training draws from is shaded; dotted lines mark the nominal value and that of the target.

    Args:
        found: Sweeps of the same parameter, by arm.
        theme: Colours.
        narrow: Whether to draw for a phone.
    """
    first = next(iter(found.values()))
    (parameter,) = first.parameters
    success = all(result.knows_success for result in found.values())
    figure = Figure(figsize=(4.4, 3.2) if narrow else (9.6, 3.4), layout="constrained", facecolor="none")
    axes = figure.subplots()
    style(axes, theme)
    axes.axvspan(*parameter.train, color=theme.grid, alpha=0.5, linewidth=0, label="range of training")
    marks = {parameter.nominal: "nominal", parameter.target: "target"}
    if parameter.nominal == parameter.target:
        marks = {parameter.nominal: "nominal"}
    for value, words in marks.items():
        axes.axvline(
            value, color=theme.muted, linestyle=":" if words == "nominal" else "--", linewidth=1.2, label=words
        )
    for arm, result in found.items():
        color, line = arm_style(arm, theme)
        scores = np.array(result.scores)
        axes.plot(
            parameter.values, scores, color=color, linestyle=line, linewidth=2, marker="o", markersize=4, label=arm
        )
        ends = [cell.success_ci95 if success else cell.return_ci95 for cell in result.cells]
        low, high = (
            [score if end is None else end[side] for score, end in zip(scores, ends, strict=True)] for side in (0, 1)
        )
        axes.fill_between(parameter.values, low, high, color=color, alpha=0.14, linewidth=0)
    axes.margins(x=0.015)
    axes.set_xlabel(_label(parameter), color=theme.muted, fontsize=9)
    axes.set_ylabel("success" if success else "return per episode", color=theme.muted, fontsize=9)
    if success:
        axes.set_ylim(-0.03, 1.03)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(color=theme.grid, linewidth=0.6)
    figure.legend(
        loc="outside lower center", ncols=2 if narrow else 6, frameon=False, fontsize=8 if narrow else 9,
        labelcolor=theme.text,
    )  # fmt: skip
    return figure


def common_limits(found: Iterable[Robustness]) -> tuple[float, float]:
    """Return the scores at the ends of a scale of colours that fits several sweeps: 0 and 1 where all are successes."""
    results = list(found)
    if all(result.knows_success for result in results):
        return 0.0, 1.0
    scores = [score for result in results for score in result.scores]
    return min(scores), max(scores)


def heat_map_figure(
    result: Robustness, limits: tuple[float, float], *, theme: Theme = LIGHT, narrow: bool = False
) -> Figure:
    """Draw what a policy reaches over two parameters: a field for each pair of values, its number in it.

    A ring is where the nominal world is, a diamond where the target is, between fields or in one.

    Args:
        result: A sweep of two parameters; the first goes up, the second to the right.
        limits: Scores at the ends of the scale of colours, see :func:`common_limits`.
        theme: Colours.
        narrow: Whether to draw for a phone.
    """
    down, across = result.parameters
    grid = np.array(result.scores).reshape(len(down.values), len(across.values))
    figure = Figure(
        figsize=(4.4, 0.9 + 0.42 * len(down.values)) if narrow else (9.6, 1.0 + 0.44 * len(down.values)),
        layout="constrained", facecolor="none",
    )  # fmt: skip
    axes = figure.subplots()
    style(axes, theme)
    image = axes.imshow(grid, cmap=_COLOURS, vmin=limits[0], vmax=limits[1], aspect="auto", origin="lower")
    middle = (limits[0] + limits[1]) / 2
    for (row, column), score in np.ndenumerate(grid):
        text = percent(float(score)) if result.knows_success else number(float(score))
        ink, edge = ("#ffffff", "#000000") if score <= middle else ("#000000", "#ffffff")
        axes.text(
            column, row, text, color=ink, ha="center", va="center", fontsize=6.5 if narrow else 9,
            path_effects=[withStroke(linewidth=1.2, foreground=edge)],  # over ring and diamond, too
        )  # fmt: skip
    for axis, parameter in ((axes.yaxis, down), (axes.xaxis, across)):
        axis.set_ticks(range(len(parameter.values)), [number(value) for value in parameter.values])
        axis.set_label_text(_label(parameter), color=theme.muted, fontsize=9)
    axes.tick_params(length=0, labelsize=7 if narrow else 9)
    for words, marker in _MARKERS.items():
        row, column = (_place(parameter, getattr(parameter, words)) for parameter in (down, across))
        for color, width in (("#ffffff", 4.0), ("#000000", 1.4)):
            axes.plot(
                column, row, marker, markersize=20 if narrow else 26, markerfacecolor="none", markeredgecolor=color,
                markeredgewidth=width, clip_on=False, label=words,
            )  # fmt: skip
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    bar.ax.tick_params(colors=theme.muted, labelsize=8)
    bar.outline.set_visible(False)
    bar.set_label("success" if result.knows_success else "return per episode", color=theme.muted, fontsize=9)
    if result.knows_success:
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    return figure


def _place(parameter: Swept, value: float) -> float:
    """Return where a value is on an axis whose unit is from one field to the next."""
    low, high = parameter.values[0], parameter.values[-1]
    return (value - low) / (high - low) * (len(parameter.values) - 1)


def _label(parameter: Swept) -> str:
    name = parameter.name.replace("_", " ")
    return f"{name} [{parameter.unit}]" if parameter.unit not in ("", "1") else name
