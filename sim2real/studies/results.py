"""Reading what a transfer left in its folder, with every damage named by file and place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim2real.errors import Sim2RealError

METRICS = (
    "jumpstart",
    "total_reward_gain",
    "asymptotic_gain",
    "time_to_threshold_ratio",
    "transfer_ratio",
    "success_gain",
    "gain_over_zero_shot",
)
"""The metrics of ``result.json``, in the order they are shown; the last is missing where zero-shot itself is judged."""

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
_NUMBER = (int, float, type(None))


def read_result(folder: Path) -> dict[str, Any]:
    """Return the checked content of ``folder/result.json``.

    Raises:
        Sim2RealError: The file is missing, is not JSON, or lacks what a report needs.
    """
    path = folder / "result.json"
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Sim2RealError(f"{path} does not exist; give the folder of a finished transfer.") from None
    except json.JSONDecodeError as error:
        raise Sim2RealError(
            f"{path}, line {error.lineno}: not valid JSON ({error.msg}); run the transfer again."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Sim2RealError(f"{path} cannot be read: {error}.") from None
    where = str(path)
    _check(result, _KEYS, where)
    if result["verdict"] not in VERDICTS:
        raise Sim2RealError(f"{where}: verdict = {result['verdict']!r} is not one of {', '.join(VERDICTS)}.")
    for name in (name for name in METRICS if name in result):
        _check_estimate(result[name], "value", f"{where}: {name}")
        if result[name].get("verdict") not in VERDICTS:
            raise Sim2RealError(f"{where}: {name}: verdict = {result[name].get('verdict')!r} is not a verdict.")
    for arm, entry in result["arms"].items():
        _check(entry, {"final_return": dict, "source_steps": int, "target_steps": int}, f"{where}: arm {arm!r}")
        _check_estimate(entry["final_return"], "mean", f"{where}: arm {arm!r}: final_return")
        if entry.get("final_success") is not None:
            _check_estimate(entry["final_success"], "mean", f"{where}: arm {arm!r}: final_success")
    return dict(result)


def read_points(folder: Path) -> list[dict[str, Any]]:
    """Return the checked curve points of ``folder/curves.jsonl``, one for each line.

    Raises:
        Sim2RealError: The file is missing or empty, or a line is damaged; the message names the line.
    """
    path = folder / "curves.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise Sim2RealError(f"{path} does not exist; give the folder of a finished transfer.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Sim2RealError(f"{path} cannot be read: {error}.") from None
    if not lines:
        raise Sim2RealError(f"{path} is empty; run the transfer again.")
    points = []
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        try:
            point = json.loads(line)
        except json.JSONDecodeError as error:
            raise Sim2RealError(f"{where}: not valid JSON ({error.msg}); run the transfer again.") from None
        _check(point, _POINT_KEYS, where)
        points.append(point)
    return points


def _check(entry: object, keys: Mapping[str, type | tuple[type, ...]], where: str) -> None:
    if not isinstance(entry, Mapping):
        raise Sim2RealError(f"{where}: expected a mapping, got {entry!r}.")
    for key, kind in keys.items():
        if key not in entry:
            raise Sim2RealError(f"{where}: {key!r} is missing; run the transfer again.")
        if not isinstance(entry[key], kind) or isinstance(entry[key], bool):
            raise Sim2RealError(f"{where}: {key} = {entry[key]!r} has the wrong type; run the transfer again.")


def _check_estimate(entry: Mapping[str, Any], key: str, where: str) -> None:
    _check(entry, {key: _NUMBER, "ci95": (list, type(None))}, where)
    interval = entry["ci95"]
    if interval is not None and (len(interval) != 2 or not all(isinstance(end, (int, float)) for end in interval)):
        raise Sim2RealError(f"{where}: ci95 = {interval!r} is not a pair of numbers; run the transfer again.")
