"""sim2real: train in a cheap simulated world, carry the policy into one that differs, and judge whether that paid.

The public functions are attributes of this package and are imported when they are first used, so that
``import sim2real`` pulls in neither torch nor matplotlib::

    run = sim2real.train("sim2real/PandaReach-v0", steps=20_000)
    print(sim2real.evaluate(run.policy, target="sagging").to_dict())
    result = sim2real.transfer(run.policy, target="sagging", steps=3_000)
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sim2real.errors import Sim2RealError

if TYPE_CHECKING:
    from sim2real.deployment.bundle import load_policy
    from sim2real.deployment.policy import Policy
    from sim2real.domains.channels import Channel
    from sim2real.domains.check_env import EnvReport, check_env
    from sim2real.domains.space import DomainSpace, Parameter
    from sim2real.domains.world import World
    from sim2real.evaluation.evaluate import Evaluation, evaluate, record_trajectories
    from sim2real.evaluation.robustness import Robustness, sweep
    from sim2real.evaluation.trajectories import Trajectory, read_minari, write_minari
    from sim2real.studies.report import write_report
    from sim2real.studies.run import StudyResult, run_study
    from sim2real.studies.search_run import SearchResult, run_search
    from sim2real.training.train import Run, train
    from sim2real.transfer.adviser import Advice, advise
    from sim2real.transfer.transfer import TransferResult, transfer

try:
    __version__ = version("sim2real")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+unknown"

_MODULES = {
    "Advice": "sim2real.transfer.adviser",
    "Channel": "sim2real.domains.channels",
    "DomainSpace": "sim2real.domains.space",
    "EnvReport": "sim2real.domains.check_env",
    "Evaluation": "sim2real.evaluation.evaluate",
    "Parameter": "sim2real.domains.space",
    "Policy": "sim2real.deployment.policy",
    "Robustness": "sim2real.evaluation.robustness",
    "Run": "sim2real.training.train",
    "SearchResult": "sim2real.studies.search_run",
    "StudyResult": "sim2real.studies.run",
    "Trajectory": "sim2real.evaluation.trajectories",
    "TransferResult": "sim2real.transfer.transfer",
    "World": "sim2real.domains.world",
    "advise": "sim2real.transfer.adviser",
    "check_env": "sim2real.domains.check_env",
    "evaluate": "sim2real.evaluation.evaluate",
    "load_policy": "sim2real.deployment.bundle",
    "read_minari": "sim2real.evaluation.trajectories",
    "record_trajectories": "sim2real.evaluation.evaluate",
    "run_search": "sim2real.studies.search_run",
    "run_study": "sim2real.studies.run",
    "sweep": "sim2real.evaluation.robustness",
    "train": "sim2real.training.train",
    "write_minari": "sim2real.evaluation.trajectories",
    "write_report": "sim2real.studies.report",
}

__all__ = [
    "Advice",
    "Channel",
    "DomainSpace",
    "EnvReport",
    "Evaluation",
    "Parameter",
    "Policy",
    "Robustness",
    "Run",
    "SearchResult",
    "Sim2RealError",
    "StudyResult",
    "Trajectory",
    "TransferResult",
    "World",
    "__version__",
    "advise",
    "check_env",
    "evaluate",
    "load_policy",
    "read_minari",
    "record_trajectories",
    "run_search",
    "run_study",
    "sweep",
    "train",
    "transfer",
    "write_minari",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _CallableRoom(ModuleType):
    """The room ``sim2real.transfer`` has the name of the public function in it: calling the room calls the function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function()(*args, **kwargs)

    @property
    def __signature__(self) -> Any:
        from inspect import signature

        return signature(self._function())

    def _function(self) -> Any:
        return import_module(f"{self.__name__}.transfer").transfer


# Importing any module of the room sets this package's attribute `transfer` to the room, so it cannot be the function.
import_module("sim2real.transfer")
sys.modules["sim2real.transfer"].__class__ = _CallableRoom
