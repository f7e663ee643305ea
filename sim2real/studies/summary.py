"""A transfer's result in words and in a terminal table; the report shares the words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sim2real.studies.numbers import MISSING, count, interval, number
from sim2real.studies.results import METRICS

VERDICT_WORDS = {"pays": "Transfer pays", "does-not-pay": "Transfer does not pay", "undecided": "Undecided"}
SHORT_WORDS = {"pays": "pays", "does-not-pay": "does not pay", "undecided": "undecided"}
SYMBOLS = {"pays": "▲", "does-not-pay": "▼", "undecided": "◆"}

METRIC_WORDS = {
    "jumpstart": ("Jumpstart", "Lead in return before any step in the target."),
    "total_reward_gain": (
        "Total reward gain",
        "Lead in return on average over the whole budget; it decides the verdict.",
    ),
    "asymptotic_gain": ("Asymptotic gain", "Lead in return at the end, over the last quarter of the evaluations."),
    "time_to_threshold_ratio": (
        "Time to threshold",
        "Target steps to the threshold, as a share of scratch's; below 1 saves.",
    ),
    "transfer_ratio": (
        "Transfer ratio",
        "Average lead, relative to what scratch gains on average over the untrained policy.",
    ),
    "success_gain": ("Success gain", "Lead in success rate at the end, in percentage points."),
    "gain_over_zero_shot": ("Gain over zero-shot", "Lead in return at the end over the source policy as it is."),
}
"""Title of each metric and what it measures: transfer against scratch, and last against zero-shot."""

_STYLES = {"pays": "green", "does-not-pay": "red", "undecided": "yellow"}
_RATIOS = ("time_to_threshold_ratio", "transfer_ratio")


def metric_number(name: str, value: float | None) -> str:
    """Return the value of a metric: a gain with its sign, success in percentage points, a ratio as it is."""
    if value is None or name in _RATIOS:
        return number(value)
    text = number(100 * value if name == "success_gain" else value)
    return f"+{text}" if value > 0 else text


def percent(value: float | None) -> str:
    """Return a share as a percentage, with a space that does not break; a dash for ``None``."""
    return MISSING if value is None else f"{100 * value:.0f}\N{NO-BREAK SPACE}%"


def pair(result: Mapping[str, Any]) -> str:
    """Return the env and the target of a result, e.g. ``"CartPole-v1 → worn"``."""
    return f"{result['env']} → {result['target'] or 'target'}"


def shown_metrics(result: Mapping[str, Any]) -> list[str]:
    """Return the metrics worth a row: those there are, without the success gain where the env reports no success."""
    listed = [name for name in METRICS if name in result]
    return [name for name in listed if name != "success_gain" or result[name]["value"] is not None]


def few_seeds(result: Mapping[str, Any]) -> str:
    """Return what to make of the intervals of two or three seeds; ``""`` for more, and for one, which has none."""
    seeds = len(result["seeds"])
    return f"Intervals of {seeds} seeds are nearly useless; run at least 5." if 1 < seeds < 4 else ""


def jumpstart_alarm(result: Mapping[str, Any]) -> str:
    """Return when the transferred learner lost what it had started with; ``""`` if it did not."""
    if not result.get("lost_jumpstart"):
        return ""
    lost, back = result["lost_jumpstart"]
    return f"The jumpstart was lost at step {lost:,}, " + (
        f"and back at step {back:,}." if back else "and not won back: warm the critic up longer, or lower the rate."
    )


def over_seeds(seeds: int) -> str:
    """Return what a value with its interval is, as a caption says it."""
    return "means over seeds with 95 % intervals" if seeds > 1 else "values of the one seed"


def did_harm(result: Mapping[str, Any]) -> bool:
    """Return whether training further surely ended worse than the source policy as it was."""
    ends = result.get("gain_over_zero_shot", {}).get("ci95")
    return ends is not None and bool(ends[1] < 0)


def reason_alone(result: Mapping[str, Any]) -> str:
    """Return the reason without the verdict it starts with."""
    reason: str = result["verdict_reason"]
    words = f"{VERDICT_WORDS[result['verdict']]}: "
    if reason.startswith(words):
        reason = reason.removeprefix(words)
        reason = reason[:1].upper() + reason[1:]
    return reason


def summary_table(result: Mapping[str, Any]) -> Group:
    """Return what a terminal shows of a result: the arms, the metrics, and the verdict in one sentence.

    Args:
        result: The content of ``result.json``.
    """
    seeds = len(result["seeds"])
    arms = _table(f"{pair(result)}, {seeds} seed{'s' if seeds != 1 else ''}")
    for column in ("arm", "source\nsteps", "target\nsteps", "final success", "final return"):
        arms.add_column(column, justify="left" if column == "arm" else "right", no_wrap=True)
    for arm, entry in result["arms"].items():
        final, success = entry["final_return"], entry.get("final_success") or {"mean": None, "ci95": None}
        arms.add_row(
            f"{arm}\n{choice_words(entry)}".rstrip(),
            f"{entry['source_steps']:,}",
            f"{entry['target_steps']:,}",
            _with_interval(percent(success["mean"]), success["ci95"], lambda end: f"{100 * end:.0f}"),
            _with_interval(number(final["mean"]), final["ci95"], number),
        )
    metrics = _table(f"{result['method']} against scratch")
    for column in ("metric", "value", "95 % interval", "verdict"):
        metrics.add_column(column, justify="right" if column in ("value", "95 % interval") else "left", no_wrap=True)
    for name in shown_metrics(result):
        entry = result[name]
        metrics.add_row(
            METRIC_WORDS[name][0],
            metric_number(name, entry["value"]),
            interval(entry["ci95"], partial(metric_number, name)),
            Text(SHORT_WORDS[entry["verdict"]], style=_STYLES[entry["verdict"]]),
        )
    verdict = Text(f"{VERDICT_WORDS[result['verdict']]}. ", style=f"bold {_STYLES[result['verdict']]}")
    verdict.append(reason_alone(result), style="default not bold")
    note = [Text(words, style="dim") for words in (jumpstart_alarm(result), few_seeds(result)) if words]
    return Group(arms, metrics, Padding(verdict, (1, 0)), *note)


MAP_TITLES = {"observation": "Observations", "action": "Actions"}
"""Parts of a space map, and what they are called."""
FATES = ("copied", "mapped", "fresh")
"""What may have become of a tensor."""


def map_table(space_map: Mapping[str, Any]) -> Group:
    """Return what a terminal shows of a space map: what becomes of each channel.

    Args:
        space_map: Under this name in ``result.json``.
    """
    shown: list[RenderableType] = []
    for kind, title in MAP_TITLES.items():
        table = _table(title)
        for column in ("", "of the policy", "of the env", "how"):
            table.add_column(column, overflow="fold")
        for link in space_map[kind]:
            table.add_row(link["what"], *(Text(link[key] or MISSING) for key in ("policy", "env")), Text(link["how"]))
        shown.append(table)
    return Group(*shown, *(Text(words, style="yellow") for words in space_map["warnings"]))


def tensors_table(tensors: Sequence[Mapping[str, Any]]) -> Table:
    """Return what a terminal shows of translated networks: what became of each tensor.

    Args:
        tensors: Under this name in ``result.json``.
    """
    table = _table("Networks")
    for column in ("", "tensor", "shape"):
        table.add_column(column)
    for tensor in tensors:
        shape = " × ".join(map(str, tensor["shape"])) or "1"
        table.add_row(tensor["what"], Text(tensor["name"]), shape)
    return table


_STUDY_COLUMNS = ("source", "target", "method", "steps", "verdict", "scratch", "zero-shot", "method ends", "its time")


def choice_words(arm: Mapping[str, Any]) -> str:
    """Return what an arm that chooses has chosen in how many seeds, ``""`` for any other arm."""
    chosen = arm.get("chosen")
    if not isinstance(chosen, Mapping):
        return ""
    return "chose " + ", ".join(f"{name} {times}\N{MULTIPLICATION SIGN}" for name, times in chosen.items())


def study_table(results: Mapping[str, Any]) -> Table:
    """Return the cells of a study and their verdicts, for the terminal.

    Args:
        results: The content of ``results.json``.
    """
    table = _table("Final success, or return where there is none; time to threshold as a share of scratch's")
    for column in _STUDY_COLUMNS:
        table.add_column(column, overflow="fold")
    for cell in results["cells"]:
        style = _STYLES[cell["result"]["verdict"]] if "result" in cell else "dim"
        table.add_row(*(Text(text, style=style if at == 4 else "") for at, text in enumerate(_study_row(cell))))
    return table


def study_markdown(results: Mapping[str, Any]) -> str:
    """Return the same table in Markdown."""
    rows = [_STUDY_COLUMNS, ("---",) * len(_STUDY_COLUMNS), *map(_study_row, results["cells"])]
    cells = ([text.replace("|", "\\|") for text in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _study_row(cell: Mapping[str, Any]) -> tuple[str, ...]:
    labels = (source_words(cell), cell["target"], cell["method"], f"{cell['steps']:,}")
    if "result" not in cell:
        return (*labels, f"{count(len(cell['missing']), 'job')} missing", *(MISSING,) * 4)
    result = cell["result"]
    ends = [ending(result["arms"].get(arm))[0] for arm in ("scratch", "zero-shot", result["method"])]
    return (*labels, SHORT_WORDS[result["verdict"]], *ends, number(result["time_to_threshold_ratio"]["value"]))


def source_words(cell: Mapping[str, Any]) -> str:
    """Return where the policies of a cell come from, e.g. ``"panda, uniform, sac"``."""
    return ", ".join(str(cell[key]) for key in ("source", "randomizer", "algo") if cell[key] is not None)


def ending(arm: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return how an arm ends, with its interval: success, or return where there is none; a dash for no arm."""
    if arm is None:
        return MISSING, ""
    success, final = arm["final_success"], arm["final_return"]
    if success is None:
        return number(final["mean"]), interval(final["ci95"])
    return percent(success["mean"]), interval(success["ci95"], percent)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)


def _with_interval(text: str, ends: Sequence[float] | None, show: Callable[[float], str]) -> str:
    return text if ends is None else f"{text} ({interval(ends, show)})"
