"""What a search leaves: the best trial in a form to go on with, all trials as tables, and a picture of them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Any

import yaml
from rich.box import SIMPLE_HEAD
from rich.table import Table

from sim2real.deployment.bundle import load_policy, provenance
from sim2real.deployment.policy import Policy
from sim2real.files import make_folder, write_atomic, write_json
from sim2real.studies.numbers import MISSING, number
from sim2real.studies.plots import write_png
from sim2real.studies.search import Search
from sim2real.studies.search_plots import search_figure
from sim2real.studies.search_space import Choice
from sim2real.studies.summary import percent
from sim2real.training.train import command_line

if TYPE_CHECKING:
    from sim2real.studies.trials import Trial

_SHOWN = 10  # trials in the terminal


def write_search_results(folder: Path, search: Search, trials: Sequence[Trial], file: str) -> dict[str, Any]:
    """Write what a search has come to into its folder.

    Args:
        folder: Of the search; the run folders of its trainings are in ``jobs/``.
        search: What is searched.
        trials: All there are.
        file: Path of the search, as it was given.

    Returns:
        The content of ``trials.json``.
    """
    ranked = rank(trials)
    tuned = search.tuned()
    whole = len(tuned) == len(search.dimensions)
    results: dict[str, Any] = {
        "search": file,
        "description": search.description,
        "measure": search.objective.measure,
        "selected_on": {**search.objective.to_dict(), "trials": len(ranked)},
        "tuned": 0 if whole else None,
        "best": None,
        "trials": [_entry(trial) for trial in trials],
        "provenance": provenance(seed=search.seeds[0], steps=search.training_steps, command=command_line()),
    }
    if ranked:
        results["best"] = _write_best(folder, search, ranked[0], results["selected_on"])
    results = json.loads(json.dumps(results, allow_nan=False))
    write_json(folder / "trials.json", results)
    write_atomic(folder / "trials.md", search_markdown(results) + "\n")
    _write_parquet(folder / "trials.parquet", search, trials)
    write_png(search_figure(search, trials), folder / "trials.png")
    return results


def rank(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that are done, the best first.

    Of those that are equally good, as several with every episode a success are, the one with the higher return is
    before the other, and then the earlier one.
    """

    def key(trial: Trial) -> tuple[float, float, int]:
        returned = trial.mean("return")
        assert trial.value is not None
        assert returned is not None
        return trial.value, returned, -trial.number

    return sorted((trial for trial in trials if trial.state == "done"), key=key, reverse=True)


def _entry(trial: Trial) -> dict[str, Any]:
    return {**vars(trial), "success": trial.mean("success"), "return": trial.mean("return")}


def _write_best(folder: Path, search: Search, best: Trial, selected_on: Mapping[str, Any]) -> dict[str, Any]:
    config = search.config(best.values)
    recipe: dict[str, Any] = {
        "env": search.world.env,
        "kwargs": dict(search.world.kwargs),
        "domain_file": None if search.domain_file is None else str(search.domain_file),
        "algo": search.algo,
        "steps": config.steps,
        "hyperparameters": search.overrides(best.values),
        "randomizer": search.domains(best.values),
        "selected_on": {**selected_on, "trial": best.number, "value": best.value},
    }
    command = _command(folder, recipe, max(search.seeds) + 1)
    text = yaml.safe_dump(json.loads(json.dumps(recipe)), sort_keys=False)
    write_atomic(folder / "best.yaml", f"# {join(command)}\n{text}")
    if not isinstance(recipe["randomizer"], str):
        spec = json.loads(json.dumps(recipe["randomizer"]))
        write_atomic(folder / "randomizer.yaml", yaml.safe_dump(spec, sort_keys=False))
    make_folder(folder / "best")
    for seed, score in best.scores.items():
        policy = load_policy(folder / "jobs" / score["job"])
        _selected(policy, recipe["selected_on"]).save(folder / "best" / f"seed_{seed}.zip")
    return {**_entry(best), **recipe, "command": command}


def _selected(policy: Policy, selected_on: Mapping[str, Any]) -> Policy:
    """Return a policy that says what it was selected on, so that nobody takes those worlds for test worlds later."""
    known = {**policy.metadata.provenance, "selected_on": dict(selected_on)}
    policy.metadata = replace(policy.metadata, provenance=known)
    return policy


def _command(folder: Path, recipe: Mapping[str, Any], seed: int) -> list[str]:
    """Return the words of the command that trains with the best, with a seed that the search has not seen."""
    words = ["sim2real", "train", "--env", recipe["env"]]
    for name, value in recipe["kwargs"].items():
        words += ["--env-arg", f"{name}={_plain(value)}"]
    if recipe["domain_file"] is not None:
        words += ["--domain", recipe["domain_file"]]
    spec = recipe["randomizer"]
    words += ["--randomizer", spec if isinstance(spec, str) else str(folder / "randomizer.yaml")]
    words += ["--algo", recipe["algo"], "--steps", str(recipe["steps"])]
    for name, value in recipe["hyperparameters"].items():
        words += ["--set", f"{name}={_plain(value)}"]
    return [*words, "--seed", str(seed)]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def headline(results: Mapping[str, Any]) -> str:
    """Return in a sentence what a search has come to."""
    best, done = results["best"], sum(trial["state"] == "done" for trial in results["trials"])
    failed = len(results["trials"]) - done
    lost = f"; {failed} failed" if failed else ""
    if best is None:
        return f"None of {len(results['trials'])} trials was finished{lost}"
    where = ", ".join(results["selected_on"]["worlds"])
    reached = f"{results['measure']} {_show(results, best['value'])} in {where}"
    return f"Best of {done} trials: {reached}, trial {best['number']}{lost}"


def tuned_words(results: Mapping[str, Any]) -> str:
    """Return in a sentence what the tuned values reach; nothing where they are not among those that are searched."""
    if results["tuned"] is None:
        return ""
    trial = results["trials"][results["tuned"]]
    reached = "failed" if trial["value"] is None else f"reaches {_show(results, trial['value'])}"
    return f"Trial {trial['number']} has the tuned values and {reached}."


def selection_words(results: Mapping[str, Any]) -> str:
    """Return what a search that has a best trial means for what is judged later."""
    worlds = list(results["selected_on"]["worlds"])
    alone = (
        " With a single seed, a lucky training looks like good values." if len(results["best"]["scores"]) == 1 else ""
    )
    gone = "which is no test world" if len(worlds) == 1 else "which are no test worlds"
    return (
        f"It was selected in {', '.join(worlds)}, {gone} any more, and the best of many trials has had luck, too: "
        f"judge it by a training with another seed, in another world.{alone}"
    )


def search_table(results: Mapping[str, Any]) -> Table:
    """Return the best trials of a search, for the terminal."""
    table = Table(title=headline(results), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    head, rows = _rows(results)
    for name in head:
        table.add_column(name, justify="right")
    for row in rows[:_SHOWN]:
        table.add_row(*row)
    if len(rows) > _SHOWN:
        table.caption, table.caption_justify = f"The first {_SHOWN} of {len(rows)} trials.", "left"
    return table


def search_markdown(results: Mapping[str, Any]) -> str:
    """Return all trials in Markdown, the best first, and how to go on with it."""
    head, rows = _rows(results)
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] + ["---:"] * (len(head) - 1), *rows))
    failures = [f"- Trial {trial['number']}: {trial['reason']}" for trial in results["trials"] if trial["reason"]]
    parts = [f"# {headline(results)}", results["description"], tuned_words(results)]
    if results["best"] is not None:
        parts += [
            f"Train with it, with a seed that is new:\n\n    {join(results['best']['command'])}",
            selection_words(results),
        ]
    parts += ["![All trials](trials.png)", table]
    parts += ["Trials that failed:", "\n".join(failures)] if failures else []
    return "\n\n".join(part for part in parts if part)


def _rows(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns, and a row for every trial, the best first."""
    measure, trials = results["measure"], results["trials"]
    other = [] if measure == "return" else ["return"]
    names = list(trials[0]["values"]) if trials else []

    def order(trial: Mapping[str, Any]) -> tuple[float, ...]:
        return (-trial["value"], -trial["return"]) if trial["state"] == "done" else (float("inf"),)

    rows = []
    for trial in sorted(trials, key=order):
        done = trial["state"] == "done"
        shown = [_show(results, trial["value"]) if done else trial["state"]]
        seeds = [_show(results, score[measure]) for score in trial["scores"].values()]
        if len(seeds) > 1:
            shown[0] += f" ({', '.join(seeds)})"
        shown += [number(trial[name]) for name in other]
        values = [_value(value) for value in trial["values"].values()]
        rows.append([str(trial["number"]), *shown, *values])
    return ["trial", measure, *other, *names], rows


def _show(results: Mapping[str, Any], value: float | None) -> str:
    return percent(value) if results["measure"] == "success" else number(value)


def _value(value: Any) -> str:
    if value is None:
        return MISSING
    return f"{value:.4g}" if isinstance(value, float) else _plain(value)


def _write_parquet(path: Path, search: Search, trials: Sequence[Trial]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    kinds = {one.name: text if isinstance(one, Choice) else whole if one.whole else real for one in search.dimensions}
    schema = {"trial": whole, "state": text, "value": real, "success": real, "return": real, "reason": text, **kinds}
    rows = []
    for trial in trials:
        entry = _entry(trial)
        values = {name: _plain(value) if kinds[name] == text else value for name, value in trial.values.items()}
        rows.append({"trial": trial.number, **{name: entry[name] for name in list(schema)[1:6]}, **values})
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(schema)), buffer)
    write_atomic(path, buffer.getvalue())
