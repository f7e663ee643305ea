"""A study's results in the forms that other tools read: a table in Parquet, and TensorBoard's HParams."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sim2real.files import write_atomic

_LABELS = ("source", "randomizer", "algo", "target", "method", "steps")


def write_parquet(path: Path, cells: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]]) -> None:
    """Write one row for every evaluation of every run, for pandas, polars or R.

    Columns are ``source``, ``randomizer``, ``algo``, ``target``, ``method`` and ``steps`` of the cell, its ``verdict``
    (null while it is not known), ``arm`` and ``seed`` of the run, and ``step``, ``return_mean``, ``success_rate`` and
    ``episodes`` of the evaluation. An arm that several cells share is in each of them.

    Args:
        path: The file.
        cells: Those of ``results.json``.
        points: The lines of ``curves.jsonl``.

    Raises:
        Sim2RealError: It cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    schema = pa.schema(
        {
            **dict.fromkeys(_LABELS, text),
            "steps": whole,
            "verdict": text,
            "arm": text,
            "seed": whole,
            "step": whole,
            "return_mean": real,
            "success_rate": real,
            "episodes": whole,
        }
    )
    about = {
        cell["title"]: {**{label: cell[label] for label in _LABELS}, "verdict": cell.get("result", {}).get("verdict")}
        for cell in cells
    }
    rows = [{**about[point["cell"]], **point} for point in points]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), buffer)
    write_atomic(path, buffer.getvalue())


def write_hparams(folder: Path, cells: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]]) -> None:
    """Write every run of every cell for TensorBoard's HParams: what it is, and what it comes to.

    Args:
        folder: For ``tensorboard --logdir``; what is there is replaced.
        cells: Those of ``results.json``.
        points: The lines of ``curves.jsonl``.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from torch.utils.tensorboard.summary import hparams, scalar

    shutil.rmtree(folder, ignore_errors=True)
    labels = {cell["title"]: {label: cell[label] for label in _LABELS if cell[label] is not None} for cell in cells}
    # Names of a user's may hold what a path cannot.
    folders = {title: f"{number:03d}-{re.sub('[^A-Za-z0-9.]+', '-', title)}" for number, title in enumerate(labels)}
    for (title, arm, seed), curve in _runs(points):
        last = max(curve, key=lambda point: int(point["step"]))
        metrics = {
            "final/return": last["return_mean"],
            "mean/return": sum(point["return_mean"] for point in curve) / len(curve),
        }
        if last["success_rate"] is not None:
            metrics["final/success"] = last["success_rate"]
        writer = EventFileWriter(str(folder / folders[title] / arm / f"seed_{seed}"))
        for summary in hparams({**labels[title], "arm": arm, "seed": seed}, metrics):  # type: ignore[no-untyped-call]
            writer.add_event(Event(wall_time=0.0, summary=summary))
        for name, value in metrics.items():
            summary = scalar(name, value)  # type: ignore[no-untyped-call]
            writer.add_event(Event(wall_time=0.0, step=last["step"], summary=summary))
        writer.close()


def _runs(
    points: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[tuple[str, str, int], list[Mapping[str, Any]]]]:
    """Return the curves of all runs, by cell, arm and seed."""
    found: dict[tuple[str, str, int], list[Mapping[str, Any]]] = {}
    for point in points:
        found.setdefault((point["cell"], point["arm"], point["seed"]), []).append(point)
    yield from found.items()
