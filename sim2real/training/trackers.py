"""Experiment trackers: what a training logs goes to MLflow or to Weights & Biases, too.

A tracker is one more output of Stable-Baselines3's logger. Where it writes, and under which names, is said to the tool
itself, by its environment variables (``MLFLOW_TRACKING_URI``, ``WANDB_MODE``, ...). It sees a training and changes
nothing in it.
"""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter

from sim2real.errors import Sim2RealError, missing_extra, unknown_name


class Tracker(KVWriter):
    """A run in an experiment tracker, for as long as the ``with`` block lasts.

    Args:
        module: The tracker's package.
        name: Name of the run.
        config: Content of the training's ``config.yaml``.

    Raises:
        Sim2RealError: From any method: the tracker refuses, as where it wants a login or its server is not there.
    """

    title: str
    """What people call it."""

    def __init__(self, module: ModuleType, name: str, config: Mapping[str, Any]) -> None:
        self._module = module
        with self._explained("begin a run"):
            self._begin(name, config)

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._explained("end its run"):
            self._end(failed=error is not None)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Log the numbers among what Stable-Baselines3 logs, by env step."""
        tool = self._module.__name__
        numbers = {
            key: float(value)
            for key, value in key_values.items()
            if isinstance(value, (int, float, np.number)) and tool not in (key_excluded.get(key) or ())
        }
        if numbers:
            with self._explained("log"):
                self._log(numbers, step)

    def close(self) -> None:
        """Do nothing: the run outlives the logger, since the policy comes after the last number."""

    def keep(self, file: Path) -> None:
        """Keep a file with the run."""
        with self._explained(f"keep {file.name}"):
            self._keep(file)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._refusal as error:
            raise Sim2RealError(f"{self.title} cannot {what}: {' '.join(str(error).split())}") from error

    @property
    @abstractmethod
    def _refusal(self) -> type[Exception]:
        """The base of the tracker's own errors."""

    @abstractmethod
    def _begin(self, name: str, config: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def _log(self, numbers: Mapping[str, float], step: int) -> None: ...

    @abstractmethod
    def _keep(self, file: Path) -> None: ...

    @abstractmethod
    def _end(self, *, failed: bool) -> None: ...


class MlflowTracker(Tracker):
    """A run in MLflow, inside the caller's own where there is one."""

    title = "MLflow"

    @property
    def _refusal(self) -> type[Exception]:
        refusal: type[Exception] = self._module.exceptions.MlflowException
        return refusal

    def _begin(self, name: str, config: Mapping[str, Any]) -> None:
        self._module.start_run(run_name=name, nested=True)
        try:
            self._module.log_params(flat(config))
        except BaseException:
            self._end(failed=True)
            raise

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        self._module.log_metrics(dict(numbers), step=step)

    def _keep(self, file: Path) -> None:
        self._module.log_artifact(str(file))

    def _end(self, *, failed: bool) -> None:
        self._module.end_run("FAILED" if failed else "FINISHED")


class WandbTracker(Tracker):
    """A run in Weights & Biases; the files it keeps are artifacts of the type ``policy``."""

    title = "W&B"

    @property
    def _refusal(self) -> type[Exception]:
        refusal: type[Exception] = self._module.Error
        return refusal

    def _begin(self, name: str, config: Mapping[str, Any]) -> None:
        self._name = name
        # A run of its own beside one that the caller may have begun.
        self._run = self._module.init(name=name, config=dict(config), reinit="create_new")

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        self._run.log(dict(numbers), step=step)

    def _keep(self, file: Path) -> None:
        self._run.log_artifact(str(file), name=self._name, type="policy")

    def _end(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


TRACKERS: Mapping[str, type[Tracker]] = {"mlflow": MlflowTracker, "wandb": WandbTracker}
"""By the name of package and extra."""

Begin = Callable[[str, Mapping[str, Any]], Tracker]
"""Begins a run of a name, for a training with such a ``config.yaml``."""


def find_tracker(name: str) -> Begin:
    """Return what begins a run in a tracker.

    Args:
        name: ``"mlflow"`` or ``"wandb"``.

    Raises:
        Sim2RealError: There is no such tracker, or it is not installed.
    """
    if name not in TRACKERS:
        raise unknown_name("tracker", name, TRACKERS)
    tracker = TRACKERS[name]
    try:
        return partial(tracker, importlib.import_module(name))
    except ImportError as error:
        raise missing_extra(name, tracker.title) from error


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level, ``{"hyperparameters.gamma": 0.98}``; empty mappings vanish."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return values
