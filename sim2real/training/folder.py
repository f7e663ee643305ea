"""The folders of trainings and transfers: where each file stands, and who may write into them."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from sim2real.errors import Sim2RealError
from sim2real.files import cannot_write, is_leftover, make_folder, read_jsonl, read_yaml, write_atomic


class ClaimedFolder:
    """A folder that belongs to one piece of work, described by its ``config.yaml``.

    Args:
        path: The folder; it need not exist yet.
        product: Name of the file that is there when the work is finished.
        kept: Patterns of what is worth keeping when the work breaks off, from ``path``.
    """

    def __init__(self, path: Path, *, product: str, kept: tuple[str, ...]) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self._product, self._kept = path / product, kept

    @property
    def finished(self) -> bool:
        """Whether the work was done to its end."""
        return self._product.exists()

    @contextmanager
    def claim(self, config: Mapping[str, Any], *, resume: bool) -> Iterator[None]:
        """Hold the folder while the work is done; remove it if that breaks off with nothing worth keeping.

        Args:
            config: Everything needed to do it again, JSON-plain.
            resume: Go on with what is there, if it is the same work.

        Raises:
            Sim2RealError: It holds other work, another process is writing there, or it cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise Sim2RealError(f"{self.path} is a file; choose a folder.")
        is_new = not self.config.exists()
        if not is_new:
            self._check_same(config, resume)
        elif self.path.exists() and any(not is_leftover(entry) for entry in self.path.iterdir()):
            raise Sim2RealError(f"--out {self.path} exists and is not empty; choose another folder.")
        make_folder(self.path)
        with locked(self.path):
            try:
                if is_new:
                    write_atomic(self.config, yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False))
                yield
            except BaseException:
                if is_new and not self.finished and not any(any(self.path.glob(kept)) for kept in self._kept):
                    shutil.rmtree(self.path, ignore_errors=True)
                raise

    def _check_same(self, config: Mapping[str, Any], resume: bool) -> None:
        if not resume:
            state = "a finished run" if self.finished else "an unfinished run"
            raise Sim2RealError(f"--out {self.path} holds {state}; add --resume to go on with it, or choose another.")
        there, here = read_yaml(self.config), json.loads(json.dumps(config))
        if there != here:
            key, before, now = _difference(there, here)
            raise Sim2RealError(
                f"--out {self.path} holds another run: its {key} is {before!r}, not {now!r}; choose another folder."
            )


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """Return the first key, dotted where it is nested, whose values differ, and both values."""
    key = next(key for key in {**there, **here} if there.get(key) != here.get(key))
    before, now = there.get(key), here.get(key)
    if isinstance(before, Mapping) and isinstance(now, Mapping) and before != now:
        nested, before, now = _difference(before, now)
        return f"{key}.{nested}", before, now
    return key, before, now


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes that do so.

    Raises:
        Sim2RealError: Another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # The lock is on the folder itself: it leaves no file, and ends with the process however that ends.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Sim2RealError(
            f"another process is writing to {folder}; wait for it to end, or choose another folder."
        ) from None
    finally:
        os.close(descriptor)


def wait_until_free(folder: Path, seconds: float) -> None:
    """Wait for another process to let go of a folder.

    Args:
        folder: It exists.
        seconds: How long at most.

    Raises:
        Sim2RealError: Another process still holds it.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            with locked(folder):
                return
        except Sim2RealError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


class RunFolder(ClaimedFolder):
    """Files of one training, or of one arm of a transfer.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, product="policy.zip", kept=("checkpoints/step_*",))
        self.policy = path / "policy.zip"
        self.metrics = path / "metrics.jsonl"
        self.randomization = path / "randomization.jsonl"
        self.checkpoints = path / "checkpoints"
        self.tensorboard = path / "tensorboard"

    def read_curve(self) -> list[dict[str, Any]]:
        """Return the evaluations so far, one mapping each."""
        return read_jsonl(self.metrics)

    def append_curve(self, point: Mapping[str, Any]) -> None:
        """Add one evaluation."""
        _append(self.metrics, point)

    def read_randomization(self) -> list[dict[str, Any]]:
        """Return what the domains of an adaptive randomizer were drawn from at each evaluation, one mapping each."""
        return read_jsonl(self.randomization)

    def append_randomization(self, point: Mapping[str, Any]) -> None:
        """Add what domains are drawn from at an evaluation."""
        _append(self.randomization, point)

    def cut_curve(self, step: int) -> None:
        """Forget the evaluations after a step."""
        for file in (self.metrics, self.randomization):
            points = read_jsonl(file)
            if points or file.exists():
                write_atomic(file, "".join(json.dumps(point) + "\n" for point in points if point["step"] <= step))


def _append(file: Path, point: Mapping[str, Any]) -> None:
    try:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(point, allow_nan=False) + "\n")
            lines.flush()
            os.fsync(lines.fileno())
    except OSError as error:
        raise cannot_write(file, error) from None


class TransferFolder(ClaimedFolder):
    """Files of one transfer: those of its arms, and what they amount to.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, product="result.json", kept=("arms/*/*/policy.zip", "arms/*/*/checkpoints/step_*"))
        self.result = path / "result.json"
        self.curves = path / "curves.jsonl"

    def arm(self, method: str, seed: int) -> Path:
        """Return the run folder of one arm with one seed."""
        return self.path / "arms" / method / f"seed_{seed}"
