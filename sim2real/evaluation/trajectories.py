"""Trajectories: what happened in episodes, step by step, as it is logged in a target; kept in Minari's format."""

from __future__ import annotations

import copy
import shutil
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.domains.contract import Env
from sim2real.domains.guard import GuardFinite
from sim2real.domains.randomize import RandomizeDomain
from sim2real.domains.space import Domain
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError, missing_extra
from sim2real.evaluation.rollouts import Episode, stack
from sim2real.files import cannot_write


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """An episode as it is logged: what the policy saw and did, T control steps long.

    Raises:
        Sim2RealError: The numbers of observations, actions and rewards do not go together.
    """

    observations: Any
    """As the policy saw them, shape (T + 1, ...), the first one that of the reset; or a dict of such arrays."""
    actions: NDArray[Any]
    """As the policy gave them, shape (T, ...)."""
    rewards: NDArray[np.float64]
    """Shape (T,)."""
    terminated: bool
    """Whether it ended in a state from which nothing more can happen."""
    truncated: bool
    """Whether it was cut off, as by a limit of time."""
    seed: int | None = None
    """What its reset was seeded with; ``None`` on a machine."""
    domain: Domain = field(default_factory=dict)
    """The domain it ran in, as far as known; empty on a machine."""
    is_success: bool | None = None
    """Whether it ended in success; ``None`` where that is not known."""

    def __post_init__(self) -> None:
        parts = self.observations if isinstance(self.observations, Mapping) else {"": self.observations}
        for name, part in parts.items():
            if not len(part) - 1 == len(self.actions) == len(self.rewards):
                raise Sim2RealError(
                    f"a trajectory of {len(self.actions)} actions and {len(self.rewards)} rewards has {len(part)} "
                    f"observations{f' {name!r}' if name else ''}; it needs as many rewards as actions, and one "
                    f"observation more."
                )

    def __len__(self) -> int:
        """Return the number of its control steps, T."""
        return len(self.rewards)


class TrajectoryRecorder:
    """Keeps the episodes of an :class:`~sim2real.evaluation.rollouts.Evaluator` as trajectories."""

    def __init__(self) -> None:
        self._running: dict[int, list[tuple[Any, ...]]] = {}
        self._done: dict[int, Trajectory] = {}

    @property
    def trajectories(self) -> list[Trajectory]:
        """The episodes that have ended, in the order of their seeds."""
        return [self._done[index] for index in sorted(self._done)]

    def begin(self, index: int, observation: Any) -> None:
        """Keep the first observation of an episode."""
        self._running[index] = [(copy.deepcopy(observation),)]

    def step(self, index: int, action: Any, observation: Any, reward: float, terminated: bool, truncated: bool) -> None:
        """Keep a step of it."""
        self._running[index].append((copy.deepcopy(observation), np.array(action), reward, terminated, truncated))

    def end(self, index: int, episode: Episode) -> None:
        """Make a trajectory of it."""
        moments = self._running.pop(index)
        _, actions, rewards, terminated, truncated = zip(*moments[1:], strict=True)
        self._done[index] = Trajectory(
            observations=stack([moment[0] for moment in moments]),
            actions=np.stack(actions),
            rewards=np.array(rewards),
            terminated=terminated[-1],
            truncated=truncated[-1],
            seed=episode.seed,
            domain=episode.domain,
            is_success=episode.success,
        )


def write_minari(trajectories: Sequence[Trajectory], dataset: str, world: World, *, algorithm: str = "") -> Path:
    """Write trajectories as a Minari dataset of this machine, with nothing lost.

    Where it stands is said by ``MINARI_DATASETS_PATH``, as Minari reads it. Each episode's domain is among the options
    of its reset, so that the env that the dataset recovers repeats the episode.

    Args:
        trajectories: At least one.
        dataset: Id of the new dataset, ``"namespace/name-v0"``.
        world: Where they were logged.
        algorithm: What the policy was learned with.

    Returns:
        The dataset's folder.

    Raises:
        Sim2RealError: Minari is not installed, or the dataset exists or has an id that Minari does not take.
    """
    minari = check_dataset(dataset)
    from minari.data_collector import EpisodeBuffer

    folder = dataset_folder(dataset)
    buffers = []
    for trajectory in trajectories:
        before = [False] * (len(trajectory) - 1)
        buffers.append(
            EpisodeBuffer(
                seed=trajectory.seed,
                options={"domain": dict(trajectory.domain)} if trajectory.domain else None,
                observations=trajectory.observations,
                actions=trajectory.actions,
                rewards=list(trajectory.rewards),
                terminations=[*before, trajectory.terminated],
                truncations=[*before, trajectory.truncated],
            )
        )
    try:
        with closing(world.make()) as env, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="minari")  # it misses an author and a link to code
            made = minari.create_dataset_from_buffers(
                dataset,
                buffers,
                env=_recoverable(env),
                observation_space=env.observation_space,
                action_space=env.action_space,
                algorithm_name=algorithm,
                description=f"{world.env}, target {world.target}" if world.target else world.env,
                data_format="arrow",
                jpeg_encoding=False,
            )
        made.storage.update_episode_metadata([{"is_success": trajectory.is_success} for trajectory in trajectories])
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise cannot_write(folder, error) from None
        raise
    return folder


def read_minari(dataset: str) -> list[Trajectory]:
    """Return the episodes of a Minari dataset of this machine, whoever wrote it.

    Args:
        dataset: Its id.

    Raises:
        Sim2RealError: Minari is not installed, or there is no such dataset.
    """
    minari = _minari()
    try:
        found = minari.load_dataset(dataset)
    except FileNotFoundError:
        raise Sim2RealError(
            f"there is no Minari dataset {dataset!r} at {dataset_folder(dataset)}; MINARI_DATASETS_PATH says where "
            f"they are."
        ) from None
    trajectories = []
    for episode in found.iterate_episodes():
        (about,) = found.storage.get_episode_metadata([episode.id])
        options = about.get("options")
        trajectories.append(
            Trajectory(
                observations=episode.observations,
                actions=episode.actions,
                rewards=episode.rewards,
                terminated=bool(episode.terminations[-1]),
                truncated=bool(episode.truncations[-1]),
                seed=about.get("seed"),
                domain=dict(options.get("domain", {})) if isinstance(options, Mapping) else {},
                is_success=about.get("is_success"),
            )
        )
    return trajectories


def check_dataset(dataset: str) -> ModuleType:
    """Refuse the id of a dataset that cannot be written, before there is anything to write; return Minari.

    Raises:
        Sim2RealError: See :func:`write_minari`.
    """
    minari = _minari()
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        parse_dataset_id(dataset)
    except (TypeError, ValueError):  # the first where the version is missing
        raise Sim2RealError(f"dataset {dataset!r} must be an id of Minari's form, e.g. 'panda/worn-v0'.") from None
    if dataset_folder(dataset).exists():
        raise Sim2RealError(
            f"Minari dataset {dataset!r} exists at {dataset_folder(dataset)}; choose another name or version."
        )
    return minari


def dataset_folder(dataset: str) -> Path:
    """Return where a Minari dataset of this machine stands, or would stand."""
    from minari.storage import get_dataset_path

    return Path(get_dataset_path(dataset))


def _recoverable(env: Env) -> Env:
    """Return the env beneath the wrappers that :meth:`World.make` alone builds, so that Gymnasium can make it again."""
    while isinstance(env, (RandomizeDomain, GuardFinite)):
        env = env.env
    return env


def _minari() -> ModuleType:
    try:
        import minari
    except ImportError as error:
        raise missing_extra("minari", "Minari") from error
    module: ModuleType = minari
    return module
