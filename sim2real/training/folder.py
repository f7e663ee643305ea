"""The folder of a training: where each of its files stands, and who may write into it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sim2real.errors import Sim2RealError
from sim2real.files import cannot_write, make_folder, read_jsonl, read_yaml, write_atomic


class RunFolder:
    """Files of one training, or of one arm of a transfer.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.policy = path / "policy.zip"
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.jsonl"
        self.checkpoints = path / "checkpoints"
        self.tensorboard = path / "tensorboard"

    @property
    def finished(self) -> bool:
        """Whether the training ran to its end."""
        return self.policy.exists()

    def claim(self, config: Mapping[str, Any], *, resume: bool) -> bool:
        """Make the folder this run's own.

        Args:
            config: Everything needed to run it again, JSON-plain.
            resume: Go on with what is there, if it is the same run.

        Returns:
            Whether the folder is new.

        Raises:
            Sim2RealError: It holds another run, or cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise Sim2RealError(f"--out {self.path} is a file; choose a folder.")
        if self.config.exists():
            self._check_same(config, resume)
            return False
        if self.path.exists() and any(self.path.iterdir()):
            raise Sim2RealError(f"--out {self.path} exists and is not empty; choose another folder.")
        make_folder(self.path)
        write_atomic(self.config, yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False))
        return True

    def _check_same(self, config: Mapping[str, Any], resume: bool) -> None:
        if not resume:
            state = "a finished run" if self.finished else "an unfinished run"
            raise Sim2RealError(f"--out {self.path} holds {state}; add --resume to go on with it, or choose another.")
        there, here = read_yaml(self.config), json.loads(json.dumps(config))
        different = [key for key in {**there, **here} if there.get(key) != here.get(key)]
        if different:
            key = different[0]
            raise Sim2RealError(
                f"--out {self.path} holds another run: its {key} is {there.get(key)!r}, not {here.get(key)!r}; choose "
                f"another folder."
            )

    def discard(self) -> None:
        """Remove the folder, unless there is a checkpoint to go on from."""
        if not any(self.checkpoints.glob("step_*")) and not self.finished:
            shutil.rmtree(self.path, ignore_errors=True)

    def read_curve(self) -> list[dict[str, Any]]:
        """Return the evaluations so far, one mapping each."""
        return read_jsonl(self.metrics)

    def append_curve(self, point: Mapping[str, Any]) -> None:
        """Add one evaluation."""
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(point, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(self.metrics, error) from None

    def cut_curve(self, step: int) -> None:
        """Forget the evaluations after a step."""
        points = [point for point in self.read_curve() if point["step"] <= step]
        if points or self.metrics.exists():
            write_atomic(self.metrics, "".join(json.dumps(point) + "\n" for point in points))
