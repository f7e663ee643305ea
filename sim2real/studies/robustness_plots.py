"""Figures of sweeps: what policies reach along one parameter, and what one reaches over two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sim2real.evaluation.robustness import Robustness, Swept
from sim2real.studies.numbers import number
from sim2real.studies.plots import LIGHT, arm_style, plain, style

_COLOURS = "cividis"
"""Even in lightness, and the same to colour-blind readers (Nuñez et al., 2018)."""


def robustness_figure(found: Mapping[str, Robustness], *, narrow: bool = False) -> Figure:
    """Draw what several policies reach along one parameter, with 95 % bands over episodes.

    What a training drew from is shaded, where one did; dotted lines mark the nominal value and that of the target.

    Args:
        found: Sweeps of the same parameter, by arm.
        narrow: Whether to draw for a phone.
    """
    first = next(iter(found.values()))
    (parameter,) = first.parameters
    success = all(result.knows_success for result in found.values())
    figure = Figure(figsize=(4.4, 3.2) if narrow else (9.6, 3.4), layout="constrained", facecolor="none")
    axes = figure.subplots()
    style(axes)
    trained = [each.train for result in found.values() for each in result.parameters if each.train is not None]
    if trained:  # in a study only the source's has a range, the others learn in the target alone
        axes.axvspan(*trained[0], color=LIGHT.grid, alpha=0.5, linewidth=0, label="range of training")
    marks = {parameter.nominal: "nominal", parameter.target: "target"}
    if parameter.nominal == parameter.target:
        marks = {parameter.nominal: "nominal"}
    for value, words in marks.items():
        axes.axvline(
            value, color=LIGHT.muted, linestyle=":" if words == "nominal" else "--", linewidth=1.2, label=words
        )
    for arm, result in found.items():
        color, line = arm_style(arm)
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
    axes.set_xlabel(_label(parameter), color=LIGHT.muted, fontsize=9)
    axes.set_ylabel("success" if success else "return per episode", color=LIGHT.muted, fontsize=9)
    if success:
        axes.set_ylim(-0.03, 1.03)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(color=LIGHT.grid, linewidth=0.6)
    figure.legend(
        loc="outside lower center", ncols=2 if narrow else 6, frameon=False, fontsize=8 if narrow else 9,
        labelcolor=LIGHT.text,
    )  # fmt: skip
    return figure


def heat_maps_figure(found: Mapping[str, Robustness], *, narrow: bool = False) -> Figure:
    """Draw what several policies reach over two parameters: a map each, a field for each pair of values.

    Rings beside a map are at the nominal values, diamonds at those of the target. All maps share their colours.

    Args:
        found: Sweeps of the same two parameters, by arm; the first parameter goes up, the second to the right.
        narrow: Whether to draw for a phone.
    """
    down, across = next(iter(found.values())).parameters
    success = all(result.knows_success for result in found.values())
    scores = [score for result in found.values() for score in result.scores]
    low, high = (0.0, 1.0) if success else (min(scores), max(scores))
    rows, columns = (len(found), 1) if narrow else (1, len(found))
    height = 1.0 + 0.3 * len(down.values)
    figure = Figure(figsize=(4.4, height * rows) if narrow else (9.6, height), layout="constrained", facecolor="none")
    maps = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, (arm, result) in zip(maps, found.items(), strict=True):
        style(axes)
        axes.set_title(arm, loc="left", color=LIGHT.text, fontsize=9.5, pad=14)
        grid = np.array(result.scores).reshape(len(down.values), len(across.values))
        image = axes.imshow(grid, cmap=_COLOURS, vmin=low, vmax=high, aspect="auto", origin="lower")
        for (row, column), score in np.ndenumerate(grid):
            text = f"{100 * score:.0f}" if success else number(float(score))
            ink = "#ffffff" if score <= (low + high) / 2 else "#000000"
            axes.text(
                column, row, text, color=ink, ha="center", va="center", fontsize=_fitting(text, across, narrow),
                in_layout=False,
            )  # fmt: skip
        for axis, parameter in ((axes.yaxis, down), (axes.xaxis, across)):
            axis.set_ticks(range(len(parameter.values)), [number(value) for value in parameter.values])
        axes.tick_params(length=0, labelsize=8)
        _mark(axes, down, across)
    for axes in maps[:: 1 if narrow else len(found)]:
        axes.set_ylabel(_label(down), color=LIGHT.muted, fontsize=9)
    for axes in maps[-1:] if narrow else maps:
        axes.set_xlabel(_label(across), color=LIGHT.muted, fontsize=9)
    bar = figure.colorbar(image, ax=list(maps), pad=0.02, aspect=30)
    bar.ax.tick_params(colors=LIGHT.muted, labelsize=8)
    bar.outline.set_visible(False)
    bar.set_label("success [%]" if success else "return per episode", color=LIGHT.muted, fontsize=9)
    if success:
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    return figure


def _fitting(text: str, across: Swept, narrow: bool) -> float:
    """Return the size at which a number fits into a field [points]."""
    width = (3.2 if narrow else 2.5) * 72 / len(across.values)
    return max(4.0, min(9.0, width / (0.65 * max(3, len(text)))))


def _mark(axes: Axes, down: Swept, across: Swept) -> None:
    """Mark nominal values and those of the target above a map and on its right, where they hide no number."""
    for words, marker, size in (("nominal", "o", 8), ("target", "D", 4)):
        at: dict[str, Any] = {"markersize": size, "markerfacecolor": "none", "clip_on": False}
        at["markeredgecolor"] = LIGHT.text
        x, y = (_place(parameter, getattr(parameter, words)) for parameter in (across, down))
        axes.plot(x, 1.05, marker, transform=axes.get_xaxis_transform(), **at)
        axes.plot(1.03, y, marker, transform=axes.get_yaxis_transform(), **at)


def _place(parameter: Swept, value: float) -> float:
    """Return where a value is on an axis whose unit is from one field to the next."""
    low, high = parameter.values[0], parameter.values[-1]
    return (value - low) / (high - low) * (len(parameter.values) - 1)


def _label(parameter: Swept) -> str:
    name = parameter.name.replace("_", " ")
    return plain(f"{name} [{parameter.unit}]" if parameter.unit not in ("", "1") else name)
