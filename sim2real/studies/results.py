"""Reading what a transfer or a study left in its folder, with every damage named by file and place."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sim2real.domains.space import finite_number
from sim2real.errors import Sim2RealError
from sim2real.evaluation.metrics import Curves, arm_curves
from sim2real.evaluation.robustness import Robustness
from sim2real.studies.folder import StudyFolder
from sim2real.training.folder import RunFolder

METRICS = (
    "jumpstart",
    "total_reward_gain",
    "asymptotic_gain",
    "time_to_threshold_ratio",
    "transfer_ratio",
    "success_gain",
    "gain_over_zero_shot",
)
"""The metrics of ``result.json``, in the order they are shown; the last is missing where zero-shot itself is judged, or
where there is none."""

VERDICTS = ("pays", "does-not-pay", "undecided")

_KEYS: dict[str, type | tuple[type, ...]] = {
    "verdict": str,
    "verdict_reason": str,
    "method": str,
    "env": str,
    "target": (str, type(None)),
    "algo": str,
    "seeds": list,
    "steps": int,
    "arms": dict,
    "provenance": dict,
    **dict.fromkeys(METRICS[:-1], dict),
}
_POINT_KEYS: dict[str, type | tuple[type, ...]] = {
    "arm": str,
    "seed": int,
    "step": int,
    "return_mean": (int, float),
    "success_rate": (int, float, type(None)),
}
_CURVE_KEYS = {key: kind for key, kind in _POINT_KEYS.items() if key not in ("arm", "seed")}
_CELL_KEYS: dict[str, type | tuple[type, ...]] = {
    "title": str,
    "source": str,
    "randomizer": (str, type(None)),
    "algo": str,
    "target": str,
    "method": str,
    "steps": int,
    "arms": dict,
}
_NUMBER = (int, float, type(None))


def read_result(folder: Path) -> dict[str, Any]:
    """Return the checked content of ``folder/result.json``.

    Raises:
        Sim2RealError: The file is missing, is not JSON, or lacks what a report needs.
    """
    path = folder / "result.json"
    result = _read_json(path, "transfer")
    _check_result(result, str(path))
    return result


def read_study_results(folder: Path) -> dict[str, Any]:
    """Return the checked content of a study's ``folder/results.json``.

    Raises:
        Sim2RealError: The file is missing, is not JSON, or lacks what a report needs.
    """
    path = folder / "results.json"
    if not path.exists() and StudyFolder(folder).study.exists():
        raise Sim2RealError(f"{folder} holds a study that has not come to results yet; run the study again to go on.")
    results = _read_json(path, "study")
    _check(results, {"study": str, "cells": list, "failures": list}, str(path), "study")
    if not isinstance(results.get("description", ""), str):
        raise Sim2RealError(f"{path}: description = {results['description']!r} is no text; run the study again.")
    for number, cell in enumerate(results["cells"], start=1):
        where = f"{path}, cell {number}"
        _check(cell, _CELL_KEYS, where, "study")
        if "result" in cell:
            _check_result(cell["result"], where, "study")
        else:
            _check(cell, {"missing": list}, where, "study")
        if "film" in cell:
            _check(cell, {"film": str, "film_episodes": int}, where, "study")
        if "randomized" in cell:
            _check(cell, {"randomized": str}, where, "study")
    for failure in results["failures"]:
        _check(failure, {"job": str, "reason": str}, f"{path}, failures", "study")
    return results


def _read_json(path: Path, work: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Sim2RealError(f"{path} does not exist; give the folder of a finished {work}.") from None
    except json.JSONDecodeError as error:
        raise Sim2RealError(
            f"{path}, line {error.lineno}: not valid JSON ({error.msg}); run the {work} again."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Sim2RealError(f"{path} cannot be read: {error}.") from None
    return content


def _check_result(result: Mapping[str, Any], where: str, work: str = "transfer") -> None:
    _check(result, _KEYS, where, work)
    if result["verdict"] not in VERDICTS:
        raise Sim2RealError(f"{where}: verdict = {result['verdict']!r} is not one of {', '.join(VERDICTS)}.")
    if not result["seeds"] or any(isinstance(seed, bool) or not isinstance(seed, int) for seed in result["seeds"]):
        raise Sim2RealError(f"{where}: seeds = {result['seeds']!r} are not whole numbers; run the {work} again.")
    for name in (name for name in METRICS if name in result):
        _check_estimate(result[name], "value", f"{where}: {name}", work)
        if result[name].get("verdict") not in VERDICTS:
            raise Sim2RealError(f"{where}: {name}: verdict = {result[name].get('verdict')!r} is not a verdict.")
    for arm, entry in result["arms"].items():
        _check(entry, {"final_return": dict, "source_steps": int, "target_steps": int}, f"{where}: arm {arm!r}", work)
        _check_estimate(entry["final_return"], "mean", f"{where}: arm {arm!r}: final_return", work)
        if entry.get("final_success") is not None:
            _check_estimate(entry["final_success"], "mean", f"{where}: arm {arm!r}: final_success", work)


def read_points(folder: Path) -> list[dict[str, Any]]:
    """Return the checked curve points of ``folder/curves.jsonl``, one for each line.

    Raises:
        Sim2RealError: The file is missing or empty, or a line is damaged; the message names the line.
    """
    points = _read_lines(folder / "curves.jsonl", _POINT_KEYS, "transfer")
    if not points:
        raise Sim2RealError(f"{folder / 'curves.jsonl'} is empty; run the transfer again.")
    return points


def read_study_curves(folder: Path, cells: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Curves]]]:
    """Return the checked curves of cells of a study by cell, measure and arm.

    A measure that a world does not know has no curves.

    Args:
        folder: Of the study.
        cells: Those of ``results.json`` that are judged.

    Raises:
        Sim2RealError: The file is missing, a line is damaged, or some are lacking; the message names it or the cell.
    """
    points: dict[str, list[dict[str, Any]]] = {cell["title"]: [] for cell in cells}
    for point in _read_lines(folder / "curves.jsonl", {"cell": str, **_POINT_KEYS}, "study"):
        points.setdefault(point["cell"], []).append(point)
    found: dict[str, dict[str, dict[str, Curves]]] = {}
    for cell in cells:
        title, seeds = cell["title"], sorted(cell["result"]["seeds"])
        try:
            for arm in cell["arms"]:
                there = sorted({point["seed"] for point in points[title] if point["arm"] == arm})
                if there != seeds:
                    raise Sim2RealError(f"the arm {arm!r} has curves of the seeds {there}, not of {seeds}.")
            measured = {
                key: {arm: arm_curves(points[title], arm, key) for arm in cell["arms"]}
                for key in ("success_rate", "return_mean")
            }
            known = {
                key: {arm: curves for arm, curves in arms.items() if curves is not None}
                for key, arms in measured.items()
            }
            if any(0 < len(arms) < len(cell["arms"]) for arms in known.values()):
                raise Sim2RealError("some arms lack a success rate that others have.")
        except Sim2RealError as error:
            raise Sim2RealError(f"{folder / 'curves.jsonl'}, cell {title}: {error} Run the study again.") from None
        found[title] = known
    return found


def read_robustness(path: Path) -> Robustness:
    """Return a sweep of a study.

    Raises:
        Sim2RealError: The file is missing or damaged; the message names it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Sim2RealError(f"{path} cannot be read: {error}; run the study again.") from None
    try:
        return Robustness.from_dict(content)
    except Sim2RealError as error:
        raise Sim2RealError(f"{path}: {error} Run the study again.") from None


def read_randomization(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what a training has drawn its domains from, and its curve, in the same places.

    Args:
        folder: Of the training.

    Raises:
        Sim2RealError: A file is missing or damaged, or one has other steps than the other; the message names it.
    """
    files = RunFolder(folder)
    curve = _read_lines(files.metrics, _CURVE_KEYS, "study")
    try:
        history = files.read_randomization()
        for point in history:
            if point["limits"].keys() != history[0]["limits"].keys():
                raise ValueError("lines with other parameters")
            for name, ends in point["limits"].items():
                for low, high in (ends, point["ranges"][name]):
                    finite_number(finite_number(high, name) - finite_number(low, name), name)
            for name, value in point["figures"].items():
                finite_number(value, name)
        same = [point["step"] for point in history] == [point["step"] for point in curve]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Sim2RealError(f"{files.randomization} is damaged ({type(error).__name__}: {error}).") from None
    if not same or not history:
        raise Sim2RealError(f"{files.randomization} has other steps than {files.metrics.name} beside it.")
    return history, curve


def _read_lines(path: Path, keys: Mapping[str, type | tuple[type, ...]], work: str) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise Sim2RealError(f"{path} does not exist; give the folder of a finished {work}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Sim2RealError(f"{path} cannot be read: {error}.") from None
    points = []
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        try:
            point = json.loads(line)
        except json.JSONDecodeError as error:
            raise Sim2RealError(f"{where}: not valid JSON ({error.msg}); run the {work} again.") from None
        _check(point, keys, where, work)
        rate = point["success_rate"]
        if point["step"] < 0 or (rate is not None and not 0 <= rate <= 1) or not math.isfinite(point["return_mean"]):
            raise Sim2RealError(
                f"{where}: step = {point['step']}, return_mean = {point['return_mean']} and success_rate = {rate} "
                f"cannot be; run the {work} again."
            )
        points.append(point)
    return points


def _check(entry: object, keys: Mapping[str, type | tuple[type, ...]], where: str, work: str = "transfer") -> None:
    if not isinstance(entry, Mapping):
        raise Sim2RealError(f"{where}: expected a mapping, got {entry!r}.")
    for key, kind in keys.items():
        if key not in entry:
            raise Sim2RealError(f"{where}: {key!r} is missing; run the {work} again.")
        if not isinstance(entry[key], kind) or isinstance(entry[key], bool):
            raise Sim2RealError(f"{where}: {key} = {entry[key]!r} has the wrong type; run the {work} again.")


def _check_estimate(entry: Mapping[str, Any], key: str, where: str, work: str) -> None:
    _check(entry, {key: _NUMBER, "ci95": (list, type(None))}, where, work)
    interval = entry["ci95"]
    numbers = [*([] if entry[key] is None else [entry[key]]), *(interval or ())]
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in numbers) or not all(
        map(math.isfinite, numbers)
    ):
        raise Sim2RealError(
            f"{where}: {key} = {entry[key]!r}, ci95 = {interval!r} are not numbers; run the {work} again."
        )
    if interval is not None and not (len(interval) == 2 and interval[0] <= interval[1]):
        raise Sim2RealError(f"{where}: ci95 = {interval!r} is not a pair, low end first; run the {work} again.")
