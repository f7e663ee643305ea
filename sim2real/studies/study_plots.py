"""Figures of a study: the map of its verdicts, the curves of its cells, and what methods reach over all of them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from sim2real.evaluation.aggregate import Profile
from sim2real.evaluation.metrics import Curves
from sim2real.studies.plots import LIGHT, arm_style, plain, style
from sim2real.studies.summary import SYMBOLS

_COLUMNS = {False: 4, True: 2}
"""Panels beside each other, by whether the page is narrow."""
_LETTER = 0.55 / 72
"""Width of a letter over its size in points [inch]."""


def verdict_map(verdicts: Mapping[tuple[str, str], tuple[str, str]], title: str, *, narrow: bool = False) -> Figure:
    """Draw a field for each pair of source (row) and target (column), in the colour of its verdict.

    Args:
        verdicts: By (source, target): the verdict, ``""`` where there is none, and what to write below its symbol.
        title: Above the map.
        narrow: Whether to draw for a phone.
    """
    sources = list(dict.fromkeys(source for source, _ in verdicts))
    targets = list(dict.fromkeys(target for _, target in verdicts))
    width = 4.4 if narrow else 9.6
    figure = Figure(figsize=(width, 0.9 + 0.62 * len(sources)), layout="constrained", facecolor="none")
    axes = figure.subplots()
    style(axes)
    axes.set_title(plain(title), loc="left", color=LIGHT.text, fontsize=11, fontweight="bold", pad=10)
    for (source, target), (verdict, text) in verdicts.items():
        x, y = targets.index(target), sources.index(source)
        color = LIGHT.verdicts.get(verdict, LIGHT.grid)
        axes.add_patch(Rectangle((x + 0.04, y + 0.06), 0.92, 0.88, color=color, alpha=0.2 if verdict else 0.5))
        axes.text(x + 0.5, y + 0.32, SYMBOLS.get(verdict, "·"), color=color, ha="center", va="center", fontsize=11)
        axes.text(x + 0.5, y + 0.68, text, color=LIGHT.text, ha="center", va="center", fontsize=7.5 if narrow else 9)
    axes.set_xlim(0, len(targets))
    axes.set_ylim(len(sources), 0)
    size = 8 if narrow else 9
    for axis, names, room in ((axes.xaxis, targets, 0.7 * width / len(targets)), (axes.yaxis, sources, 0.25 * width)):
        axis.set_ticks([place + 0.5 for place in range(len(names))], [_wrapped(name, room, size) for name in names])
    axes.tick_params(length=0, labelsize=size)
    axes.set_xlabel("target", color=LIGHT.muted, fontsize=9)
    axes.set_ylabel("source", color=LIGHT.muted, fontsize=9)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    return figure


def cells_figure(
    cells: Sequence[tuple[str, Mapping[str, Curves]]],
    label: str,
    *,
    rate: bool = False,
    narrow: bool = False,
) -> Figure:
    """Draw the mean learning curves of every cell, one panel each, with a thin line for every seed.

    Args:
        cells: Title and curves by arm.
        label: Of the vertical axes.
        rate: Whether values are shares, shown in percent on the same scale everywhere.
        narrow: Whether to draw for a phone.
    """
    columns = min(_COLUMNS[narrow], len(cells))
    rows = -(-len(cells) // columns)
    width, size = (4.4, 7.5) if narrow else (9.6, 8.5)
    figure = Figure(figsize=(width, 2.0 * rows + 0.5), layout="constrained", facecolor="none")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(cells) :]:
        axes.set_axis_off()
    for index, (title, arms) in enumerate(cells):
        axes = panels[index]
        style(axes)
        axes.set_title(_wrapped(title, width / columns - 0.4, size), loc="left", color=LIGHT.text, fontsize=size)
        budget = max(curves.budget for curves in arms.values())
        for arm, curves in arms.items():
            color, line = arm_style(arm)
            constant = curves.steps.size == 1
            steps = [0, budget] if constant else curves.steps
            for values in () if constant else curves.values:
                axes.plot(steps, values, color=color, linewidth=0.6, alpha=0.4)
            mean = [curves.mean[0]] * 2 if constant else curves.mean
            axes.plot(steps, mean, color=color, linestyle=line, linewidth=1.8, label=arm)
        axes.set_xlim(0, budget)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.grid(axis="y", color=LIGHT.grid, linewidth=0.6)
        if rate:
            axes.set_ylim(-0.04, 1.04)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
            axes.tick_params(labelleft=index % columns == 0)
        if index % columns == 0:
            axes.set_ylabel(label, color=LIGHT.muted, fontsize=8)
        if index + columns >= len(cells):
            axes.set_xlabel("target steps", color=LIGHT.muted, fontsize=8)
    lines = {line.get_label(): line for axes in panels[: len(cells)] for line in axes.get_lines()}
    named = {str(name): line for name, line in lines.items() if not str(name).startswith("_")}
    figure.legend(
        named.values(), named.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=8.5,
        labelcolor=LIGHT.text,
    )  # fmt: skip
    return figure


def profiles_figure(profiles: Mapping[str, Profile], *, narrow: bool = False) -> Figure:
    """Draw which share of runs reaches more than each success, one line with its band an arm.

    Args:
        profiles: By arm.
        narrow: Whether to draw for a phone.
    """
    figure = Figure(figsize=(4.4 if narrow else 7.0, 3.3), layout="constrained", facecolor="none")
    axes = figure.subplots()
    style(axes)
    for number, (arm, profile) in enumerate(profiles.items()):
        color, line = arm_style(arm)
        axes.step(
            profile.thresholds, profile.share, where="post", color=color, linestyle=line, linewidth=2, label=plain(arm)
        )
        axes.fill_between(
            profile.thresholds, profile.low, profile.high, step="post", color=color, alpha=0.14, linewidth=0,
            zorder=number,
        )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("final success τ", color=LIGHT.muted, fontsize=9)
    axes.set_ylabel("runs with more than τ", color=LIGHT.muted, fontsize=9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(color=LIGHT.grid, linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9, labelcolor=LIGHT.text)
    return figure


def _wrapped(text: str, room: float, size: float) -> str:
    """Return a text in lines that fit into so much room [inch] at a size [points]: three of each of its own at most."""
    letters = max(6, int(room / (size * _LETTER)))
    lines = (
        textwrap.fill(line, letters, max_lines=3, placeholder=" …", break_on_hyphens=False) for line in text.split("\n")
    )
    return plain("\n".join(lines))
