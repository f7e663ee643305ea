"""The report of a study: one HTML file that needs nothing else, the verdicts first and the evidence below."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from importlib.resources import files
from pathlib import Path
from shlex import join
from string import Template
from typing import Any

import numpy as np

from sim2real.errors import Sim2RealError
from sim2real.evaluation.aggregate import interquartile_mean, performance_profile, probability_of_improvement
from sim2real.evaluation.metrics import Curves
from sim2real.evaluation.robustness import Robustness
from sim2real.evaluation.statistics import Estimate
from sim2real.files import write_atomic
from sim2real.studies.folder import StudyFolder
from sim2real.studies.jobs import POSTER, check_film
from sim2real.studies.markup import figure, paragraph, section, table, terms, value_cell, video
from sim2real.studies.numbers import count, interval, number
from sim2real.studies.randomization_plots import randomization_figure
from sim2real.studies.results import read_randomization, read_robustness, read_study_curves, read_study_results
from sim2real.studies.robustness_plots import heat_maps_figure, robustness_figure
from sim2real.studies.study_plots import cells_figure, profiles_figure, verdict_map
from sim2real.studies.summary import SHORT_WORDS, SYMBOLS, ending, few_seeds, over_seeds, percent, source_words

PANELS = 24
"""Cells whose curves are drawn."""
FILMS = 12
"""Cells whose films are shown."""
SWEPT = 6
"""Cells whose sweeps are drawn."""
_THRESHOLDS = np.linspace(0.0, 1.0, 101)


def write_study_report(folder: Path) -> Path:
    """Write ``report.html`` into the folder of a study, from what it left there.

    Returns:
        The path of ``report.html``.

    Raises:
        Sim2RealError: A file is missing or damaged (the message names it and the place), or nothing can be written.
    """
    results = read_study_results(folder)
    judged = [cell for cell in results["cells"] if "result" in cell]
    curves = read_study_curves(folder, judged)
    command = join(["sim2real", "report", str(folder)])
    sections = [
        section("Verdicts", _cells(results["cells"])),
        *(_maps(results["cells"], command) if judged else ()),
        _overall(judged, curves, command),
        _learning(judged, curves, command),
        _randomization(results["cells"], folder, command),
        _robustness(judged, folder, command),
        _behaviour(judged, folder, command),
        _failures(results),
        section("Provenance", _provenance(results, judged, folder, command)),
    ]
    counts = Counter(cell["result"]["verdict"] for cell in judged)
    headline, verdict = _headline(counts, len(judged))
    template = Template(files("sim2real.studies").joinpath("template.html").read_text(encoding="utf-8"))
    html = template.substitute(
        title=escape(f"{headline}: {folder.name}"),
        route=escape(results.get("description") or f"Study {folder.name}"),
        verdict=verdict,
        headline=escape(headline),
        harm="",
        reason=escape(_reason(judged, counts)),
        caution=paragraph("caution", _caution(judged)),
        facts=terms(_facts(results, judged)),
        sections="\n".join(part for part in sections if part),
        footer="Written by sim2real.",
    )
    path = folder / "report.html"
    write_atomic(path, html)
    return path


def _headline(counts: Mapping[str, int], cells: int) -> tuple[str, str]:
    if not cells:
        return "Nothing is finished yet", "undecided"
    if len(counts) == 1:
        verdict = next(iter(counts))
        words = {"pays": "Transfer pays", "does-not-pay": "Transfer does not pay", "undecided": "Undecided"}[verdict]
        return f"{words} in {'the one cell' if cells == 1 else f'all {cells} cells'}", verdict
    return f"Transfer pays in {counts.get('pays', 0)} of {count(cells, 'cell')}", "undecided"


def _reason(judged: Sequence[Mapping[str, Any]], counts: Mapping[str, int]) -> str:
    if not judged:
        return "Run the study again to go on with it."
    words = [f"{counts[verdict]} {SHORT_WORDS[verdict]}" for verdict in SHORT_WORDS if verdict in counts]
    each = (
        f", {'each ' if len(judged) > 1 else ''}judged against learning from scratch with the same seeds and budget: "
    )
    listed = f"Of {count(len(judged), 'transfer')}{each}"
    return f"{listed}{', '.join(words)}."


def _caution(judged: Sequence[Mapping[str, Any]]) -> str:
    if judged and len(judged[0]["result"]["seeds"]) == 1:
        return "One seed has no intervals, so that nothing is decided; run at least 5."
    return few_seeds(judged[0]["result"]) if judged else ""


def _facts(results: Mapping[str, Any], judged: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    budgets = sorted({cell["steps"] for cell in results["cells"]})
    facts = [
        ("Cells", f"{len(judged)} of {len(results['cells'])} finished"),
        ("Methods", ", ".join(dict.fromkeys(cell["method"] for cell in results["cells"]))),
        ("Target budget", f"{', '.join(f'{budget:,}' for budget in budgets)} steps"),
    ]
    if judged:
        facts.append(("Paired seeds", str(len(judged[0]["result"]["seeds"]))))
    return facts


def _cells(cells: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for cell in cells:
        start = (
            f'<tr><th scope="row">{escape(source_words(cell))} → {escape(cell["target"])}'
            f"<small>{escape(cell['method'])}, {cell['steps']:,} steps</small></th>"
        )
        if "result" not in cell:
            missing = f"{count(len(cell['missing']), 'job')} missing"
            rows.append(f'{start}<td data-column="Verdict" class="words">{missing}</td></tr>')
            continue
        result = cell["result"]
        verdict, ratio = result["verdict"], result["time_to_threshold_ratio"]
        ends = [
            value_cell(title, *ending(result["arms"].get(arm)))
            for title, arm in (("Scratch", "scratch"), ("Zero-shot", "zero-shot"), ("Method", result["method"]))
        ]
        rows.append(
            f'{start}<td data-column="Verdict" class="words {verdict}">'
            f'<span aria-hidden="true">{SYMBOLS[verdict]}</span> {SHORT_WORDS[verdict]}</td>{"".join(ends)}'
            f"{value_cell('Its time', number(ratio['value']), interval(ratio['ci95']))}</tr>"
        )
    seeds = max((len(cell["result"]["seeds"]) for cell in cells if "result" in cell), default=0)
    head = ("Source → target", "Verdict", "Scratch", "Zero-shot", "Method", "Its time")
    note = (
        f"At the end of the budget: success, or return where the world knows no success"
        f"{'; ' + over_seeds(seeds) if seeds else ''}. "
        "Its time: target steps to the threshold, as a share of scratch's."
    )
    return table("Verdicts", head, rows, cards=True) + f'<p class="note">{note}</p>'


def _maps(cells: Sequence[Mapping[str, Any]], command: str) -> list[str]:
    """Return a section with a map of verdicts for each method and budget."""
    groups: dict[tuple[str, int], dict[tuple[str, str], tuple[str, str]]] = defaultdict(dict)
    for cell in cells:
        verdict, text = "", "not finished"
        if "result" in cell:
            result = cell["result"]
            verdict = result["verdict"]
            text = f"{ending(result['arms']['scratch'])[0]} → {ending(result['arms'][result['method']])[0]}"
        groups[cell["method"], cell["steps"]][source_words(cell), cell["target"]] = (verdict, text)
    body = "".join(
        figure(
            partial(verdict_map, found, f"{method}, {steps:,} steps"),
            "; ".join(
                f"{source} into {target}: {verdict or text}" for (source, target), (verdict, text) in found.items()
            ),
            "▲ pays, ▼ does not pay, ◆ undecided; below it how scratch ends and how the method does.",
        )
        for (method, steps), found in groups.items()
    )
    return [section("Where transfer pays", body + _made_by(command))]


def _overall(
    judged: Sequence[Mapping[str, Any]], curves: Mapping[str, Mapping[str, Mapping[str, Curves]]], command: str
) -> str:
    """Return what each method reaches over all cells that know success; nothing for fewer than two."""
    finals: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for cell in judged:
        arms = curves[cell["title"]]["success_rate"]
        if not arms:
            continue
        named = {cell["method"]: cell["result"]["method"], "scratch": "scratch", "zero-shot": "zero-shot"}
        for name, arm in named.items():
            if arm in arms:
                finals[cell["method"]][name].append(arms[arm].final)
    parts, seeds = [], max((len(cell["result"]["seeds"]) for cell in judged), default=0)
    for method, found in finals.items():
        if len(found["scratch"]) < 2:
            continue
        scores = {name: values for name, values in found.items() if len(values) == len(found["scratch"])}
        rows = []
        for name, values in scores.items():
            better = "–" if name == "scratch" else _rate(probability_of_improvement(values, scores["scratch"]))
            rows.append(
                f'<tr><th scope="row">{escape(name)}</th>'
                f"{value_cell('Interquartile mean', _rate(interquartile_mean(values)))}"
                f"{value_cell('Beats scratch', better)}</tr>"
            )
        head = ("Arm", "Interquartile mean of success", "Beats scratch with probability")
        profiles = {name: performance_profile(values, _THRESHOLDS) for name, values in scores.items()}
        parts.append(
            table(f"{method}, over {len(scores['scratch'])} cells", head, rows, cards=True)
            + figure(
                partial(profiles_figure, profiles),
                f"Share of runs of {', '.join(profiles)} above each final success.",
                f"Share of runs that end with more than a success τ: {' beside '.join(scores)}."
                f"{' Bands are 95 % intervals.' if seeds > 1 else ''}",
            )
        )
    if not parts:
        return ""
    how = ", with 95 % intervals by a bootstrap that draws runs within cells (Agarwal et al., 2021)"
    note = f"Success at the end, over all cells of a method{how if seeds > 1 else ''}."
    return section("Over all cells", f'<p class="note">{note}</p>' + "".join(parts) + _made_by(command))


def _rate(estimate: Estimate) -> str:
    ends = None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high)
    return f"{percent(estimate.value)}{f' ({interval(ends, percent)})' if ends else ''}"


def _learning(
    judged: Sequence[Mapping[str, Any]], curves: Mapping[str, Mapping[str, Mapping[str, Curves]]], command: str
) -> str:
    if not judged:
        return ""
    shown, parts, seeds = judged[:PANELS], [], len(judged[0]["result"]["seeds"])
    for key, label in (("success_rate", "success"), ("return_mean", "return per episode")):
        panels = [(_short(cell), curves[cell["title"]][key]) for cell in shown if curves[cell["title"]][key]]
        if panels:
            parts.append(
                figure(
                    partial(cells_figure, panels, label, rate=key == "success_rate"),
                    f"Learning curves of {len(panels)} cells: {label} over target steps.",
                    "Means over seeds, and thin lines for the seeds, of the evaluations in the target."
                    if seeds > 1
                    else "The evaluations of the one seed in the target.",
                )
            )
    more = f'<p class="note">The first {PANELS} of {len(judged)} cells.</p>' if len(judged) > PANELS else ""
    return section("Learning curves", "".join(parts) + more + _made_by(command))


def _randomization(cells: Sequence[Mapping[str, Any]], folder: Path, command: str) -> str:
    """Return how the domains of the first sources have spread whose randomizers learn."""
    sources = {cell["randomized"]: source_words(cell) for cell in cells if cell.get("randomized")}
    parts = []
    for place, words in list(sources.items())[:SWEPT]:
        try:
            if not (folder / place).resolve().is_relative_to(folder.resolve()):  # a stranger's folder may name any
                raise Sim2RealError(f"{place} is not in {folder}.")
            history, curve = read_randomization(folder / place)
        except Sim2RealError as error:
            parts.append(paragraph("caution", f"The randomization of {words} is left out: {error}"))
            continue
        last = history[-1]["figures"]
        figures = ", ".join(f"{name.replace('_', ' ')} {number(value)}" for name, value in last.items())
        parts.append(
            figure(
                partial(randomization_figure, history, curve),
                f"Ranges that the parameters of {words} were drawn from over its training steps.",
                f"{words}: what each parameter was drawn from, on the scale of how far it may go, and the success in "
                f"domains from all of that. At the end: {figures}.",
            )
        )
    if not parts:
        return ""
    more = f'<p class="note">The first {SWEPT} of {len(sources)} sources.</p>' if len(sources) > SWEPT else ""
    note = "How the training domains of the first seed have spread, where the randomizer learns."
    return section("Randomization", f'<p class="note">{note}</p>' + "".join(parts) + more + _made_by(command))


def _robustness(judged: Sequence[Mapping[str, Any]], folder: Path, command: str) -> str:
    """Return the sweeps of the first cells that have some."""
    swept = [cell for cell in judged if cell.get("sweeps")]
    parts = []
    for cell in swept[:SWEPT]:
        title = f"{source_words(cell)} → {cell['target']}, {cell['method']}, {cell['steps']:,} steps"
        for sweep in cell["sweeps"]:
            found, damaged = _read_sweep(folder, sweep)
            parts += damaged
            if not found:
                continue
            names = [parameter.name for parameter in next(iter(found.values())).parameters]
            draw = robustness_figure if len(names) == 1 else heat_maps_figure
            drawn = (
                "Bands are 95 % intervals over episodes; shaded is what the training of the source drew from, if it "
                "drew."
                if len(names) == 1
                else "Rings are at the nominal values, diamonds at those of the target."
            )
            parts.append(
                figure(
                    partial(draw, found),
                    f"{title}: success or return as {' and '.join(names)} go from end to end. {_summary(found)}",
                    f"{title}. {_summary(found)} {drawn}",
                )
            )
    if not parts:
        return ""
    more = f'<p class="note">The first {SWEPT} of {len(swept)} cells.</p>' if len(swept) > SWEPT else ""
    note = "The policies of the first seed, the same episodes at every value."
    return section("Robustness", f'<p class="note">{note}</p>' + "".join(parts) + more + _made_by(command))


def _read_sweep(folder: Path, sweep: Mapping[str, str]) -> tuple[dict[str, Robustness], list[str]]:
    """Return the sweeps of a cell's arms, and a paragraph for each that cannot be read."""
    found, damaged = {}, []
    for arm, file in sweep.items():
        try:
            found[arm] = read_robustness(folder / file)
        except Sim2RealError as error:
            damaged.append(paragraph("caution", f"A sweep of {arm} is left out: {error}"))
    return found, damaged


def _summary(found: Mapping[str, Robustness]) -> str:
    """Return mean, worst decile and worst of several sweeps."""

    def words(result: Robustness) -> str:
        show = percent if result.knows_success else number
        return f"mean {show(result.mean)}, worst tenth {show(result.worst_decile)}, worst {show(result.worst)}"

    return "; ".join(f"{arm}: {words(result)}" for arm, result in found.items()) + "."


def _behaviour(judged: Sequence[Mapping[str, Any]], folder: Path, command: str) -> str:
    """Return the films of the first cells that have one."""
    filmed = [cell for cell in judged if cell.get("film")]
    if not filmed:
        return ""
    parts = []
    for cell in filmed[:FILMS]:
        film = folder / cell["film"]
        title = f"{source_words(cell)} → {cell['target']}, {cell['method']}, {cell['steps']:,} steps"
        try:
            if not film.resolve().is_relative_to(folder.resolve()):  # a stranger's folder may name any file
                raise Sim2RealError(f"{film} is not in {folder}.")
            check_film(film.parent, StudyFolder(folder).noted(film.parent.name) or {"bytes": {}})
            count = cell["film_episodes"]
            shown = f"{count} episodes, one after the other" if count > 1 else "one episode"
            parts.append(video(film, film.with_name(POSTER), f"Film: {title}", f"{title}: {shown}."))
        except Sim2RealError as error:
            parts.append(paragraph("caution", f"The film of {title} is left out: {error} Run the study again."))
    more = f'<p class="note">The first {FILMS} of {len(filmed)} films.</p>' if len(filmed) > FILMS else ""
    note = (
        "The same episodes, played by the policies of the first seed. Until a film is played it shows how its "
        "last episode ends."
    )
    return section("Behaviour", f'<p class="note">{note}</p>' + "".join(parts) + more + _made_by(command))


def _short(cell: Mapping[str, Any]) -> str:
    return f"{source_words(cell)} → {cell['target']}\n{cell['method']}, {cell['steps']:,}"


def _failures(results: Mapping[str, Any]) -> str:
    if not results["failures"]:
        return ""
    rows = [
        f'<tr><th scope="row">{escape(failure["job"])}</th>'
        f'<td data-column="Reason" class="text">{escape(failure["reason"])}</td></tr>'
        for failure in results["failures"]
    ]
    return section("Jobs that failed", table("Jobs that failed", ("Job", "Reason"), rows, cards=True))


def _provenance(results: Mapping[str, Any], judged: Sequence[Mapping[str, Any]], folder: Path, command: str) -> str:
    study = join(["sim2real", "study", results["study"], "--out", str(folder)])
    text = f'<p class="note">The study is run, and gone on with, by</p><pre><code>{escape(study)}</code></pre>'
    text += f'<p class="note">This page is made by</p><pre><code>{escape(command)}</code></pre>'
    versions = (cell["result"]["provenance"].get("versions") or {} for cell in judged)
    listed = dict.fromkeys(", ".join(f"{name} {version}" for name, version in those.items()) for those in versions)
    if listed:
        text = f'<dl class="plain"><dt>Versions</dt><dd>{escape("; ".join(listed))}</dd></dl>{text}'
    return text


def _made_by(command: str) -> str:
    return f"<pre><code>{escape(command)}</code></pre>"
