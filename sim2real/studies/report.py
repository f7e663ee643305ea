"""The report of a transfer: one HTML file that needs nothing else, the verdict first and the evidence below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from sim2real.errors import Sim2RealError
from sim2real.evaluation.metrics import Curves, arm_curves
from sim2real.files import write_atomic
from sim2real.studies.folder import StudyFolder
from sim2real.studies.markup import figure, paragraph, section, table, terms, value_cell, video
from sim2real.studies.numbers import MISSING, interval, number
from sim2real.studies.plots import curves_figure, metrics_figure, write_png
from sim2real.studies.results import read_points, read_result
from sim2real.studies.study_report import write_study_report
from sim2real.studies.summary import (
    FATES,
    MAP_TITLES,
    METRIC_WORDS,
    SHORT_WORDS,
    SYMBOLS,
    VERDICT_WORDS,
    choice_words,
    did_harm,
    few_seeds,
    jumpstart_alarm,
    metric_number,
    over_seeds,
    pair,
    percent,
    reason_alone,
    shown_metrics,
)

_ARM_WORDS = {
    "zero-shot": "source policy, not trained further",
    "scratch": "learns in the target from nothing",
    "finetune": "source policy, trained further in the target",
    "freeze": "source policy, trained further with frozen layers",
    "kickstart": "learns in the target from nothing, drawn to the source policy",
    "auto": "the better of a transferred learner, one from scratch and the source policy, in one budget",
    "distill": "smaller copy of the source policy, trained further in the target",
    "replay-mix": "learns in the target from nothing, with transitions of the source",
    "darc": "source policy, trained further in the source with the reward corrected for the target",
    "par": "source policy, trained further in both worlds, the source's rewards corrected",
    "gat": "source policy, trained further in the source with its actions grounded in the target",
    "progressive": "source policy, frozen, beside new columns that read its layers",
    "residual": "source policy, frozen, and a correction learned in the target",
}


def write_report(folder: str | Path) -> Path:
    """Write ``report.html`` into the folder of a transfer or of a study, from what it left there.

    Of a transfer it reads ``result.json`` and ``curves.jsonl``, embeds ``demo.mp4`` where it is there, with
    ``demo.png`` as its poster, and writes ``transfer.png``, too. Of a study it reads ``results.json`` and
    ``curves.jsonl``.

    Args:
        folder: The output folder of a transfer or of a study.

    Returns:
        The path of ``report.html``.

    Raises:
        Sim2RealError: A file is missing or damaged (the message names it and the place), or nothing can be written.
    """
    folder = Path(folder)
    if any(path.exists() for path in (StudyFolder(folder).results, StudyFolder(folder).study)):
        return write_study_report(folder)
    result = read_result(folder)
    points = read_points(folder)
    try:
        returns, success = _curves(points, result)
    except Sim2RealError as error:
        raise Sim2RealError(f"{folder / 'curves.jsonl'}: {error} Run the transfer again.") from None
    threshold, many = result.get("threshold"), len(result["seeds"]) > 1
    sections = [
        section("Arms", _arms(result)),
        section(
            "Learning curves",
            figure(
                partial(curves_figure, returns, success, threshold),
                _describe_curves(result, returns),
                "Means over seeds of the evaluations in the target world; bands are 95 % intervals over seeds."
                if many
                else "The evaluations of the one seed in the target world.",
            )
            + _curve_notes(result),
        ),
        section(
            "Metrics",
            _metrics(result)
            + figure(
                partial(metrics_figure, result),
                f"The metrics of the table above as points{' with their 95 % intervals' if many else ''}.",
                f"Point{' and 95 % interval' if many else ''} of each metric, each on its own axis. The vertical line "
                "means no difference.",
            ),
        ),
        _demonstration(folder),
        _space_map(result),
        _domain(result),
        section("Provenance", _provenance(result)),
    ]
    template = Template(files("sim2real.studies").joinpath("template.html").read_text(encoding="utf-8"))
    html = template.substitute(
        title=escape(f"{VERDICT_WORDS[result['verdict']]}: {pair(result)}"),
        route=escape(pair(result)),
        verdict=result["verdict"],
        headline=escape(VERDICT_WORDS[result["verdict"]]),
        harm=_harm(result),
        reason=escape(reason_alone(result)).replace(" %", "&nbsp;%"),
        caution=paragraph("caution", " ".join(filter(None, (jumpstart_alarm(result), few_seeds(result))))),
        facts=terms(_facts(result)),
        sections="\n".join(part for part in sections if part),
        footer=escape(
            f"Written by sim2real {result['provenance'].get('versions', {}).get('sim2real', '')}".strip() + "."
        ),
    )
    write_png(curves_figure(returns, success, threshold), folder / "transfer.png")
    path = folder / "report.html"
    write_atomic(path, html)
    return path


def _curves(points: list[dict[str, Any]], result: Mapping[str, Any]) -> tuple[dict[str, Curves], dict[str, Curves]]:
    """Return the return and success curves by arm, in the order of ``result.json``."""
    returns, success = {}, {}
    for arm in result["arms"]:
        curves = arm_curves(points, arm)
        if curves is not None:
            returns[arm] = curves
        rates = arm_curves(points, arm, "success_rate")
        if rates is not None:
            success[arm] = rates
    return returns, success


def _harm(result: Mapping[str, Any]) -> str:
    """Return the line under the headline that keeps it from hiding harm."""
    if not did_harm(result):
        return ""
    words = "But training" if result["verdict"] == "pays" else "Training"
    text = f"{SYMBOLS['does-not-pay']} {words} ended worse than the source policy as it is"
    return paragraph("harm does-not-pay", text)


def _facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    seeds = result["seeds"]
    return [
        ("Method", f"{result['method']}, {result['algo'].upper()}"),
        ("Target budget", f"{result['steps']:,} steps"),
        ("Seeds", f"{len(seeds)} in pairs" if len(seeds) > 1 else "1"),
        *([("Episodes per evaluation", f"{result['episodes']:,}")] if "episodes" in result else []),
        *_over_zero_shot(result),
    ]


def _over_zero_shot(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    name = "gain_over_zero_shot"
    if name not in result:
        return []
    show = partial(metric_number, name)
    value, ends = show(result[name]["value"]), result[name]["ci95"]
    return [(METRIC_WORDS[name][0], f"{value} ({interval(ends, show)})" if ends else value)]


def _arms(result: Mapping[str, Any]) -> str:
    with_success = any(entry.get("final_success") for entry in result["arms"].values())
    rows = []
    for arm, entry in result["arms"].items():
        final, success = entry["final_return"], entry.get("final_success") or {"mean": None, "ci95": None}
        words = "; ".join(filter(None, (_ARM_WORDS.get(arm, "starts from the source policy"), choice_words(entry))))
        rate = value_cell("Success", percent(success["mean"]), interval(success["ci95"], percent))
        rows.append(
            f'<tr><th scope="row">{escape(arm)}<small>{escape(words)}</small></th>'
            f"{rate if with_success else ''}"
            f"{value_cell('Return', number(final['mean']), interval(final['ci95']))}"
            f"{value_cell('Source steps', format(entry['source_steps'], ','))}"
            f"{value_cell('Target steps', format(entry['target_steps'], ','))}</tr>"
        )
    head = ("Arm", *(("Success",) if with_success else ()), "Return", "Source steps", "Target steps")
    note = f"At the end of the budget: {over_seeds(len(result['seeds']))}. Steps are for each seed."
    return table("Arms: how they end, and the steps they used", head, rows, cards=True) + f'<p class="note">{note}</p>'


def _space_map(result: Mapping[str, Any]) -> str:
    """Return what became of the channels and the networks of a policy in a world of other spaces."""
    if "space_map" not in result:
        return ""
    space_map, parts = result["space_map"], []
    for kind, title in MAP_TITLES.items():
        rows = [
            f'<tr><th scope="row">{escape(link["what"])}</th>'
            f"{value_cell('Of the policy', escape(link['policy']) or MISSING)}"
            f"{value_cell('Of the target', escape(link['env']) or MISSING)}"
            f"{value_cell('How', escape(link['how']) or MISSING)}</tr>"
            for link in space_map[kind]
        ]
        parts.append(table(title, (title, "Of the policy", "Of the target", "How"), rows, cards=True))
    counts = Counter(tensor["what"] for tensor in result["tensors"])
    words = ", ".join(f"{counts[what]} {what}" for what in FATES if counts[what])
    parts.append(f'<p class="note">Tensors of the networks: {words}.</p>')
    parts += [paragraph("caution", warning) for warning in space_map["warnings"]]
    return section("What became of each number", "".join(parts))


def _metrics(result: Mapping[str, Any]) -> str:
    rows = []
    for name in shown_metrics(result):
        entry, (title, words) = result[name], METRIC_WORDS[name]
        ends = interval(entry["ci95"], partial(metric_number, name))
        rows.append(
            f'<tr><th scope="row">{escape(title)}<small>{escape(words)}</small></th>'
            f"{value_cell('Value', metric_number(name, entry['value']), ends)}"
            f'<td data-column="Verdict" class="words {entry["verdict"]}">'
            f'<span aria-hidden="true">{SYMBOLS[entry["verdict"]]}</span> {SHORT_WORDS[entry["verdict"]]}</td></tr>'
        )
    last = ", the last one with zero-shot," if "gain_over_zero_shot" in result else ""
    lead = f"<p>Each metric compares {escape(result['method'])} with scratch{last} and is judged on its own.</p>"
    head = ("Metric", "Value, 95\N{NO-BREAK SPACE}% interval", "Verdict")
    return lead + table("Transfer metrics", head, rows, cards=True)


def _describe_curves(result: Mapping[str, Any], returns: Mapping[str, Curves]) -> str:
    ends = "; ".join(
        f"{arm} from {number(float(curves.mean[0]))} to {number(float(curves.mean[-1]))}"
        for arm, curves in returns.items()
    )
    return f"Learning curves over {result['steps']:,} target steps. Mean return: {ends}."


def _curve_notes(result: Mapping[str, Any]) -> str:
    notes = []
    if result.get("threshold") is not None:
        notes.append(
            f"The threshold, {number(result['threshold'])}, is 90 % of the way from the untrained policy to what "
            "scratch reaches with its full budget."
        )
    crossover = result.get("crossover_step")
    if crossover is None:
        notes.append("Scratch does not end above transfer within this budget.")
    elif crossover == 0:
        notes.append("Scratch is above transfer from the start.")
    else:
        notes.append(f"From step {crossover:,} on, scratch stays above transfer.")
    return f'<p class="note">{escape(" ".join(notes))}</p>'


def _demonstration(folder: Path) -> str:
    film, poster = folder / "demo.mp4", folder / "demo.png"
    if not film.is_file():
        return ""
    label = "The same episodes played by each policy"
    return section("Demonstration", video(film, poster, label, "The same episodes, played by each policy."))


def _domain(result: Mapping[str, Any]) -> str:
    """Return the table of the target's parameters beside their nominal values; what differs stands out."""
    domain, space = result.get("domain"), result.get("domain_space") or {}
    if not domain:
        return ""
    rows = []
    for name, value in domain.items():
        parameter = space.get(name, {})
        nominal, unit = parameter.get("nominal"), parameter.get("unit") or ""
        same = ' class="same"' if nominal == value else ""
        rows.append(
            f'<tr{same}><th scope="row">{escape(name)}</th><td>{number(nominal)}</td><td>{number(value)}</td>'
            f'<td class="words">{escape(unit)}</td></tr>'
        )
    head = ("Parameter", "Nominal", result["target"] or "Target", "Unit")
    return section("Target world", table("Domain of the target", head, rows))


def _provenance(result: Mapping[str, Any]) -> str:
    provenance = result["provenance"]
    source = provenance.get("source_policy") or {}
    versions = provenance.get("versions") or {}
    entries = {
        "Created": provenance.get("created"),
        "Seeds": ", ".join(str(seed) for seed in result["seeds"]),
        "Source policy": ", ".join(
            f"{name} {source[name]}" for name in ("steps", "seed", "created") if source.get(name) is not None
        ),
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    listed = "".join(f"<dt>{term}</dt><dd>{escape(str(text))}</dd>" for term, text in entries.items() if text)
    commands = (("The source policy comes from", source), ("This transfer comes from", provenance))
    return f'<dl class="plain">{listed}</dl>' + "".join(
        f'<p class="note">{words}</p><pre><code>{escape(made["command"])}</code></pre>'
        for words, made in commands
        if made.get("command")
    )
