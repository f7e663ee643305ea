"""The jobs of studies and searches: trainings of sources and arms, and what looks at the policies afterwards.

A job is named by what it does: the same work, wanted by two cells or by two invocations, is one job in one folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym

from sim2real.deployment.bundle import load_policy
from sim2real.domains.space import finite_number
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.robustness import Robustness, sweep
from sim2real.files import make_folder, write_json
from sim2real.studies.video import record, write_video
from sim2real.training.callbacks import Progress
from sim2real.training.folder import RunFolder
from sim2real.training.train import TrainingConfig, run_training
from sim2real.transfer.arms import Arm, run_arm
from sim2real.transfer.base import TransferMethod
from sim2real.transfer.space_map import Overrides

FILM, POSTER = "film.mp4", "film.png"
"""Files of a film's folder; the poster is how its last episode ends."""
ROBUSTNESS = "robustness.json"
"""File of a sweep's folder."""

_ADDRESS = 16  # hexadecimal digits: 64 bits, no two jobs of a study ever share
_WIDTH = 320  # of a policy in a film [pixels]
_EVERY = 2  # control steps from one frame of a film to the next
_PLAYED = 6.0  # env steps that take as long as one that is learned from
_LONGEST = 1_000  # steps of an episode where the env has no limit


@dataclass(frozen=True, kw_only=True)
class Job(ABC):
    """One piece of work, done in a folder of its own."""

    title: str
    """For people."""

    @cached_property
    def address(self) -> str:
        """Its name among jobs, which follows from what it does."""
        return address_of(json.dumps(self.describe(), sort_keys=True, allow_nan=False).encode())

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return everything that determines it, JSON-plain."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Env steps that it takes, about."""

    @property
    def work(self) -> float:
        """Its share of the work: env steps, of which those that nothing is learned from weigh less."""
        return self.steps / _PLAYED

    @property
    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """Addresses of the policies that it starts from: a training's, or a bundle's."""

    @abstractmethod
    def do(self, folder: Path, policies: Mapping[str, Path], listener: Progress) -> dict[str, Any]:
        """Do it, or go on with it; return what :meth:`check` has to know of the result.

        Args:
            folder: Its own.
            policies: Bundles of what it needs, by address.
            listener: Told the steps done.
        """

    @abstractmethod
    def check(self, folder: Path, noted: Mapping[str, Any]) -> None:
        """Check that the result is whole.

        Args:
            folder: Its own.
            noted: What :meth:`do` has returned.

        Raises:
            Sim2RealError: A file is damaged.
        """


def address_of(content: bytes) -> str:
    """Return the address of what such bytes describe."""
    return hashlib.sha256(content).hexdigest()[:_ADDRESS]


@dataclass(frozen=True, kw_only=True)
class Training(Job):
    """A training of a source, or one arm of a transfer with one seed."""

    config: TrainingConfig
    """What it does."""
    method: TransferMethod | None = None
    """Of an arm."""
    source: str | None = None
    """Address of the source policy that an arm starts from."""
    space_map: Overrides | None = None
    """Along which that policy is translated, see :class:`~sim2real.transfer.arms.Arm`; it stands in ``config``, too."""

    def describe(self) -> dict[str, Any]:
        """Return the content of ``config.yaml``."""
        return self.config.to_dict()

    @property
    def steps(self) -> int:
        """Env steps of the training."""
        return self.config.steps

    @property
    def work(self) -> float:
        """See :attr:`Job.work`; evaluations are played."""
        config = self.config
        evaluations = 1 + (config.steps // config.eval_every if config.eval_every else 0)
        return config.steps + evaluations * config.eval_episodes * _longest(config.world) / _PLAYED

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the address of its source, if it has one."""
        return () if self.source is None else (self.source,)

    def do(self, folder: Path, policies: Mapping[str, Path], listener: Progress) -> dict[str, Any]:
        """Train, or go on; what is kept of the result is its policy and its curve."""
        if self.method is None:
            run_training(self.config, folder, resume=True, listener=listener)
        else:
            source = None if self.source is None else policies[self.source]
            arm = Arm(method=self.method, config=self.config, source=source, folder=folder, space_map=self.space_map)
            run_arm(arm, listener)
        # The replay buffers of a grid would fill any disk.
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        return {"evaluations": len(RunFolder(folder).read_curve())}

    def check(self, folder: Path, noted: Mapping[str, Any]) -> None:
        """Check that the policy can be loaded and that no evaluation is missing."""
        files = RunFolder(folder)
        if self.method is None or self.method.learns:
            load_policy(files.policy)
        curve = files.read_curve()
        if len(curve) != noted["evaluations"] or curve[-1]["step"] < self.steps:
            raise Sim2RealError(f"{files.metrics} lacks evaluations.")
        for point in curve:
            finite_number(point["return_mean"], f"{files.metrics}: return_mean")
            if point["success_rate"] is not None:
                finite_number(point["success_rate"], f"{files.metrics}: success_rate")


@dataclass(frozen=True, kw_only=True)
class Film(Job):
    """The same episodes played by several policies, side by side."""

    actors: Mapping[str, tuple[str, World]]
    """By caption: the address of the policy, and where it acts."""
    episodes: int
    """How many, one after the other."""
    seed: int
    """From which their seeds derive."""

    def describe(self) -> dict[str, Any]:
        """Return who is filmed where, and how."""
        actors = {caption: [policy, world.to_dict()] for caption, (policy, world) in self.actors.items()}
        return {"film": actors, "episodes": self.episodes, "seed": self.seed, "width": _WIDTH, "every": _EVERY}

    @property
    def steps(self) -> int:
        """Env steps at most."""
        return self.episodes * sum(_longest(world) for _, world in self.actors.values())

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the addresses of the policies."""
        return tuple(dict.fromkeys(policy for policy, _ in self.actors.values()))

    def do(self, folder: Path, policies: Mapping[str, Path], listener: Progress) -> dict[str, Any]:
        """Film them."""
        import imageio.v2

        loaded = {address: load_policy(path) for address, path in policies.items()}
        frames, fps = record(
            {caption: (loaded[policy].predict, world) for caption, (policy, world) in self.actors.items()},
            seed=self.seed,
            episodes=self.episodes,
            every=_EVERY,
            width=_WIDTH,
        )
        make_folder(folder)
        write_video(frames, folder / FILM, fps)
        imageio.v2.imwrite(folder / POSTER, frames[-1])
        listener(self.steps)
        return {"bytes": {name: (folder / name).stat().st_size for name in (FILM, POSTER)}}

    def check(self, folder: Path, noted: Mapping[str, Any]) -> None:
        """Check that film and poster have the length they had."""
        check_film(folder, noted)


def check_film(folder: Path, noted: Mapping[str, Any]) -> None:
    """Check that a film and its poster are whole, see :meth:`Job.check`.

    Raises:
        Sim2RealError: A file is damaged or missing; the message names it.
    """
    for name, size in noted["bytes"].items():
        if not (folder / name).exists() or (folder / name).stat().st_size != size:
            raise Sim2RealError(f"{folder / name} is not whole.")


@dataclass(frozen=True, kw_only=True)
class Sweep(Job):
    """How a policy does as one or two parameters of its world go from end to end."""

    policy: str
    """Its address."""
    world: World
    """Where; what is not swept stays as it is there."""
    parameters: tuple[str, ...]
    """One, or two."""
    points: int
    """Values of each."""
    episodes: int
    """At each value, or pair of values."""
    seed: int
    """Of the episodes, the same everywhere."""

    def describe(self) -> dict[str, Any]:
        """Return what is swept, and how."""
        how = {"points": self.points, "episodes": self.episodes, "seed": self.seed}
        return {"sweep": self.policy, "world": self.world.to_dict(), "parameters": list(self.parameters), **how}

    @property
    def steps(self) -> int:
        """Env steps at most."""
        cells: int = self.points ** len(self.parameters)
        return cells * self.episodes * _longest(self.world)

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the address of the policy."""
        return (self.policy,)

    def do(self, folder: Path, policies: Mapping[str, Path], listener: Progress) -> dict[str, Any]:
        """Evaluate it at every value."""
        found = sweep(
            load_policy(policies[self.policy]),
            self.world,
            parameters=self.parameters,
            points=self.points,
            episodes=self.episodes,
            seed=self.seed,
        )
        make_folder(folder)
        write_json(folder / ROBUSTNESS, found.to_dict())
        listener(self.steps)
        return {"cells": len(found.cells)}

    def check(self, folder: Path, noted: Mapping[str, Any]) -> None:
        """Check that every value is there."""
        found = Robustness.from_dict(json.loads((folder / ROBUSTNESS).read_text(encoding="utf-8")))
        if len(found.cells) != noted["cells"]:
            raise Sim2RealError(f"{folder / ROBUSTNESS} lacks values.")


def _longest(world: World) -> int:
    spec = gym.registry.get(world.env.rpartition(":")[2])
    limit: int | None = spec.max_episode_steps if spec is not None else None
    return limit or _LONGEST
