"""Where each file of a study stands, and of a search: its jobs in folders of their own, named by what they do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class JobsFolder:
    """Where the files of jobs stand.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def job(self, address: str) -> Path:
        """Return the run folder of a job."""
        return self.path / "jobs" / address

    def seconds(self, address: str) -> Path:
        """Return the file that says how long a finished job took, and what tells whether its result is whole."""
        return self.job(address) / "seconds.json"

    def noted(self, address: str) -> dict[str, Any] | None:
        """Return the content of :meth:`seconds`; ``None`` where the job is not finished, or the file is damaged."""
        try:
            content = json.loads(self.seconds(address).read_text(encoding="utf-8"))
            return content if isinstance(content["seconds"], (int, float)) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


class StudyFolder(JobsFolder):
    """Where each file of a study stands.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.results = path / "results.json"
        self.curves = path / "curves.jsonl"
        self.table = path / "results.md"
        self.parquet = path / "results.parquet"
        self.hparams = path / "hparams"
        self.study = path / "study.yaml"

    def bundle(self, address: str) -> Path:
        """Return where a policy that was there is kept."""
        return self.path / "policies" / f"{address}.zip"
