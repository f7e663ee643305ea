"""How the domains of a training have spread: a panel for every parameter, and one for the success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from sim2real.studies.plots import LIGHT, plain, style

SHOWN = 39
"""Parameters that are drawn, the first ones."""
_COLUMNS = {False: 5, True: 2}
"""Panels beside each other, by whether the page is narrow."""


def randomization_figure(
    history: Sequence[Mapping[str, Any]], curve: Sequence[Mapping[str, Any]], *, narrow: bool = False
) -> Figure:
    """Draw what each of the first parameters was drawn from over the steps of a training, on the scale of its limits.

    Args:
        history: Its ``randomization.jsonl``.
        curve: Its evaluations, at the same steps.
        narrow: Whether to draw for a phone.
    """
    limits = {name: ends for name, ends in history[-1]["limits"].items() if ends[0] < ends[1]}
    limits = dict(list(limits.items())[:SHOWN])
    knows_success = all(point["success_rate"] is not None for point in curve)
    columns = _COLUMNS[narrow]
    rows = -(-(1 + len(limits)) // columns)
    figure = Figure(figsize=(4.4 if narrow else 9.6, 1.5 * rows + 0.4), layout="constrained", facecolor="none")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    steps = [point["step"] for point in history]
    for axes in panels[1 + len(limits) :]:
        axes.set_axis_off()
    for index, axes in enumerate(panels[: 1 + len(limits)]):
        style(axes)
        axes.set_xlim(0, max(steps) or 1)
        axes.xaxis.set_major_locator(MaxNLocator(2, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.tick_params(labelsize=7)
        if index + columns > len(limits):
            axes.set_xlabel("steps", color=LIGHT.muted, fontsize=8)
    measure = "success_rate" if knows_success else "return_mean"
    panels[0].plot(steps, [point[measure] for point in curve], color=LIGHT.transfer, linewidth=1.8)
    panels[0].set_title("success" if knows_success else "return", loc="left", color=LIGHT.text, fontsize=8)
    if knows_success:
        panels[0].set_ylim(-0.04, 1.04)
        panels[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    for axes, (name, (low, high)) in zip(panels[1:], limits.items(), strict=False):
        ends = [point["ranges"][name] for point in history]
        lows, highs = ([pair[end] for pair in ends] for end in (0, 1))
        axes.fill_between(steps, lows, highs, color=LIGHT.transfer, alpha=0.25, linewidth=0)
        for line in (lows, highs):
            axes.plot(steps, line, color=LIGHT.transfer, linewidth=1.0)
        axes.set_ylim(low, high)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.set_title(plain(name), loc="left", color=LIGHT.text, fontsize=8)
    return figure
