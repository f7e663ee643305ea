"""Figures of a transfer: learning curves with interval bands, and the metrics with their intervals.

Colours are Okabe & Ito's (2008), which colour-blind readers tell apart; line styles, direct labels and words say the
same again. Figures are built without pyplot, so nothing is left in global state and no display is needed.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator

from sim2real.evaluation.metrics import Curves
from sim2real.evaluation.statistics import mean_interval
from sim2real.files import write_atomic
from sim2real.studies.numbers import number
from sim2real.studies.summary import METRIC_WORDS, SHORT_WORDS, metric_number, shown_metrics


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours of a figure on one background; figures are drawn in those of :data:`LIGHT`."""

    text: str
    muted: str
    grid: str
    transfer: str
    scratch: str
    zero_shot: str
    verdicts: Mapping[str, str]


LIGHT = Theme(
    text="#22262b",
    muted="#5c636b",
    grid="#e4e6e8",
    transfer="#0072b2",
    scratch="#d55e00",
    zero_shot="#007a5a",
    verdicts={"pays": "#007a5a", "does-not-pay": "#b84300", "undecided": "#5c636b"},
)
DARK = Theme(
    text="#e7e9ec",
    muted="#a3abb5",
    grid="#343a42",
    transfer="#56b4e9",
    scratch="#e69f00",
    zero_shot="#2fc39a",
    verdicts={"pays": "#2fc39a", "does-not-pay": "#ff9b57", "undecided": "#a3abb5"},
)

_DARKER = {
    getattr(LIGHT, name): getattr(DARK, name) for name in ("text", "muted", "grid", "transfer", "scratch", "zero_shot")
} | {LIGHT.verdicts[verdict]: DARK.verdicts[verdict] for verdict in LIGHT.verdicts}
_FONTS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"  # as the page around it
_NEEDLESS = (r"font-family: 'DejaVu Sans'[^;\"]*; ", r"<metadata>.*?</metadata>", r' transform="rotate\(-0 [^"]*"')
_LABEL_GAP = 0.06  # of the axes height: direct labels closer than this would touch
_MARKERS = {"pays": "^", "does-not-pay": "v", "undecided": "D"}


def curves_figure(
    returns: Mapping[str, Curves],
    success: Mapping[str, Curves],
    threshold: float | None,
    *,
    narrow: bool = False,
) -> Figure:
    """Draw mean learning curves with 95 % bands over seeds, one panel for return and one for success.

    An arm with a single evaluation (zero-shot, which does not learn) is a horizontal line.

    Args:
        returns: Return by arm.
        success: Success rate by arm; empty where the env reports no success.
        threshold: Return that the time to threshold is measured to, drawn as a dotted line.
        narrow: Whether to stack the panels, for a phone.
    """
    panels = 2 if success else 1
    size = (4.4, 3.5 * panels) if narrow else (9.6, 3.9)
    figure = Figure(figsize=size, layout="constrained", facecolor="none")
    figure.get_layout_engine().set(hspace=0.08, wspace=0.04)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(panels if narrow else 1, 1 if narrow else panels, squeeze=False).ravel()
    _draw_panel(axes[0], returns, threshold, "Return", "mean return per episode")
    if success:
        shares = {arm: Curves(curve.steps, 100 * curve.values) for arm, curve in success.items()}
        axes[1].set_ylim(-3, 103)
        _draw_panel(axes[1], shares, None, "Success", "episodes that end in success [%]")
    return figure


def metrics_figure(result: Mapping[str, Any], *, narrow: bool = False) -> Figure:
    """Draw each metric with its interval on an axis of its own, beside the value that means 'no difference'.

    Args:
        result: The content of ``result.json``.
        narrow: Whether to draw for a phone.
    """
    names = shown_metrics(result)
    height = 0.86 if narrow else 0.62
    figure = Figure(figsize=(4.4 if narrow else 9.6, height * len(names) + 0.3), layout="constrained", facecolor="none")
    figure.get_layout_engine().set(hspace=0.06)  # type: ignore[union-attr, call-arg]
    for axis, name in zip(figure.subplots(len(names), 1, squeeze=False).ravel(), names, strict=True):
        _draw_metric(axis, name, result[name], narrow)
    return figure


def to_svg(figure: Figure) -> str:
    """Return a figure as SVG text: the same figure gives the same text.

    Letters are left to the fonts of whoever shows it, which have more of them than Matplotlib's own.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "sim2real", "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        # Not savefig, which draws everything once more to find out how large it is.
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace("<svg", f'<svg font-family="{_FONTS}"', 1)
    for needless in _NEEDLESS:
        text = re.sub(needless, "", text, flags=re.DOTALL)
    text = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", text)  # hundredths of a point are enough
    return re.sub(r"\n\s*", "\n", text)


def darkened(svg: str) -> str:
    """Return a figure as SVG with the colours for a dark page in the place of those for a light one."""
    return re.sub("|".join(_DARKER), lambda color: _DARKER[color[0]], svg)


def plain(text: str) -> str:
    """Return a text that Matplotlib takes for nothing but text: between dollars it would see mathematics."""
    return text.replace("$", r"\$")


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG image.

    Raises:
        Sim2RealError: The file cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160, facecolor="white", bbox_inches="tight", pad_inches=0.25)
    write_atomic(path, buffer.getvalue())


def arm_style(arm: str) -> tuple[str, str]:
    """Return colour and line style of an arm."""
    return {"scratch": (LIGHT.scratch, "--"), "zero-shot": (LIGHT.zero_shot, "-.")}.get(arm, (LIGHT.transfer, "-"))


def _draw_panel(axes: Axes, arms: Mapping[str, Curves], threshold: float | None, title: str, label: str) -> None:
    style(axes)
    axes.set_title(title, loc="left", color=LIGHT.text, fontsize=11, fontweight="bold", pad=10)
    axes.set_xlabel("target steps", color=LIGHT.muted, fontsize=9)
    axes.set_ylabel(label, color=LIGHT.muted, fontsize=9)
    axes.grid(axis="y", color=LIGHT.grid, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep="") if _budget(arms) >= 10_000 else FuncFormatter(_thousands))
    labels = []
    for arm, curves in arms.items():
        color, line = arm_style(arm)
        constant = curves.steps.size == 1
        steps = np.array([0, _budget(arms)]) if constant else curves.steps
        mean = np.repeat(curves.mean, 2) if constant else curves.mean
        axes.plot(steps, mean, color=color, linestyle=line, linewidth=1.4 if constant else 2.2, zorder=3)
        bands = [mean_interval(column) for column in curves.values.T] * (2 if constant else 1)
        if all(band.low is not None for band in bands):
            low, high = ([getattr(band, end) for band in bands] for end in ("low", "high"))
            axes.fill_between(steps, low, high, color=color, alpha=0.08 if constant else 0.18, linewidth=0, zorder=2)
        labels.append((float(mean[-1]), arm, color))
    axes.set_xlim(0, _budget(arms))
    if axes.get_autoscaley_on():  # by the curves, not by the bands of two seeds, which leave any scale
        ends = [end for curves in arms.values() for end in (curves.values.min(), curves.values.max())]
        ends += [] if threshold is None else [threshold]
        pad = 0.05 * (max(ends) - min(ends)) or 1.0
        axes.set_ylim(min(ends) - pad, max(ends) + pad)
        if pad > 1 and max(map(abs, ends)) >= 1000:
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    if threshold is not None:
        axes.axhline(threshold, color=LIGHT.muted, linestyle=":", linewidth=1.2, zorder=1)
        labels.append((threshold, "threshold", LIGHT.muted))
    _label_at_right(axes, labels)


def _draw_metric(axes: Axes, name: str, entry: Mapping[str, Any], narrow: bool) -> None:
    style(axes)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    neutral = 1.0 if name == "time_to_threshold_ratio" else 0.0
    value, ends, verdict = entry["value"], entry["ci95"], entry["verdict"]
    color = LIGHT.verdicts[verdict]
    shown = [neutral, *([] if value is None else [value]), *(ends or [])]
    spread = max(shown) - min(shown) or 1.0
    axes.set_xlim(min(shown) - 0.08 * spread, max(shown) + 0.08 * spread)
    axes.set_ylim(-1, 1)
    axes.axvline(neutral, color=LIGHT.muted, linewidth=1.2)
    if ends is not None:
        axes.plot(ends, [0, 0], color=color, linewidth=5, alpha=0.45, solid_capstyle="round")
    if value is not None:
        axes.plot(value, 0, marker=_MARKERS[verdict], color=color, markersize=8)
    else:
        axes.text(0.5, 0.62, "not defined here", transform=axes.transAxes, color=LIGHT.muted, fontsize=9, ha="center")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: metric_number(name, x)))
    axes.tick_params(labelsize=8)
    words = f"{METRIC_WORDS[name][0]}{' [points]' if name == 'success_gain' else ''}"
    if narrow:
        axes.set_title(words, loc="left", fontsize=9.5, color=LIGHT.text, pad=2)
        axes.set_title(SHORT_WORDS[verdict], loc="right", fontsize=9.5, color=color, pad=2, fontweight="bold")
    else:
        axes.text(-0.02, 0.5, words, transform=axes.transAxes, ha="right", va="center", fontsize=10, color=LIGHT.text)
        axes.text(
            1.02, 0.5, SHORT_WORDS[verdict], transform=axes.transAxes, va="center", fontsize=10, color=color,
            fontweight="bold",
        )  # fmt: skip


def style(axes: Axes) -> None:
    """Give axes the look of all figures."""
    axes.set_facecolor("none")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LIGHT.grid)
    axes.tick_params(colors=LIGHT.muted, labelsize=8.5, length=3)
    axes.set_axisbelow(True)


def _label_at_right(axes: Axes, labels: list[tuple[float, str, str]]) -> None:
    """Write labels beside the ends of their lines, in the order of these; a thin line leads from each to its label."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top)
    ends = sorted((((value - bottom) / (top - bottom)), text, color) for value, text, color in labels)
    heights = _spread([end for end, _, _ in ends], _LABEL_GAP)
    for (end, text, color), height in zip(ends, heights, strict=True):
        axes.add_artist(
            Line2D(
                [1.0, 1.01, 1.04, 1.05], [end, end, height, height], transform=axes.transAxes, color=color,
                linewidth=0.8, clip_on=False,
            )
        )  # fmt: skip
        axes.text(1.06, height, text, transform=axes.transAxes, color=color, fontsize=9, va="center")


def _spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return rising heights within [0, 1], moved as little as possible (least squares) to be at least ``gap`` apart."""
    groups: list[tuple[float, int]] = []  # mean and size of runs that touch, with the gaps taken out
    for index, height in enumerate(heights):
        mean, size = height - gap * index, 1
        while groups and groups[-1][0] > mean:
            other, count = groups.pop()
            mean, size = (other * count + mean * size) / (count + size), count + size
        groups.append((mean, size))
    top = 1 - gap * (len(heights) - 1)
    flat = [min(max(mean, 0.0), top) for mean, size in groups for _ in range(size)]
    return [height + gap * index for index, height in enumerate(flat)]


def _budget(arms: Mapping[str, Curves]) -> int:
    return max(curves.budget for curves in arms.values())


def _thousands(value: float, _position: int) -> str:
    return f"{value:,.0f}"
