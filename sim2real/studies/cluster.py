"""Jobs on a Ray cluster whose machines share no disk: what a job needs and what it makes travels with it."""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cloudpickle

from sim2real.errors import Sim2RealError, missing_extra
from sim2real.files import make_folder
from sim2real.ray_cluster import Demand, connect, extend_path, one_line
from sim2real.training.callbacks import Progress
from sim2real.training.checkpoint import list_checkpoints
from sim2real.training.folder import RunFolder
from sim2real.training.parallel import Report, sendable

try:
    import ray
    from ray.exceptions import GetTimeoutError, NodeDiedError, RayError
    from ray.util.queue import Empty, Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise missing_extra("ray", "Ray") from error

_PROGRESS_EVERY = 0.5  # s
_LOOK_EVERY = 2.0  # s between two looks whether there is a new checkpoint
_NODES_EVERY = 2.0  # s
_NEWS = 100  # messages taken from the cluster at a time


class TravellingJob(Protocol):
    """A job that can be done elsewhere: a dataclass with these fields."""

    @property
    def folder(self) -> Path:
        """Its run folder: where it goes on from, and where what it makes is put."""

    @property
    def policies(self) -> Mapping[str, Path]:
        """Files that it reads, by name."""


J = TypeVar("J", bound=TravellingJob)


@dataclass(frozen=True)
class _Parcel:
    """A job on its way to another machine."""

    number: int
    folder: bytes
    policies: dict[str, bytes]


@dataclass
class _Attempt:
    task: int
    folder: Path


class RayWorkers:
    """Workers of a Ray cluster, each with one job at a time; :class:`~sim2real.training.parallel.Workers` elsewhere.

    While a job is under way its checkpoints come back into its folder here, so that one whose machine goes away goes on
    from the last of them on another. The machines need the same packages as this one.

    Args:
        address: Of the cluster, as ``ray.init`` takes it; a cluster of this machine alone, ended on exit, if ``None``
            (or the one that ``RAY_ADDRESS`` names). A process that is connected already stays so.
        count: How many jobs at most at a time; as many as the machines have room for if ``None``, more when more of
            them join.
        resources: What a job takes of its machine, by Ray's names: ``CPU``, ``GPU``, ``memory`` [bytes], or custom
            ones; one CPU if left out.

    Raises:
        Sim2RealError: Ray is not installed, there is no cluster at the address, or no machine has the resources.
    """

    def __init__(
        self, address: str | None = None, count: int | None = None, resources: Mapping[str, float] | None = None
    ) -> None:
        self._demand = Demand(resources, "a job")
        self._count = count
        self._attempts: dict[int, _Attempt] = {}
        self._refs: dict[Any, int] = {}
        self._sent = 0
        self._connected = connect(address)
        try:
            self._looked, self._room = -_NODES_EVERY, 0
            self._demand.room()
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            self._news = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        for ref in self._refs:
            with suppress(RayError):
                ray.cancel(ref, force=True)
        if self._connected:
            ray.shutdown()

    @property
    def free(self) -> int:
        """Jobs that can be submitted now."""
        return max(0, (self._count if self._count is not None else self._count_room()) - len(self._refs))

    def submit(self, task: int, function: Callable[[J, Progress], Any], job: J) -> None:
        """Let a machine do a job.

        Args:
            task: Number by which reports name it.
            function: At the top of a module; called there with the job, whose folder and policies are files there, and
                with a listener for its progress.
            job: Picklable.
        """
        self._sent += 1
        policies = {name: file.read_bytes() for name, file in job.policies.items()}
        parcel = _Parcel(self._sent, pack_folder(job.folder) if job.folder.exists() else b"", policies)
        # Whether a job is tried again is for the caller to say, who then sends what has come back of it.
        remote = ray.remote(_do_there).options(**self._demand.options(), max_retries=0)
        message = cloudpickle.dumps((sys.path, cloudpickle.dumps((function, job))))
        self._refs[remote.remote(message, parcel, self._news)] = self._sent
        self._attempts[self._sent] = _Attempt(task, job.folder)

    def reports(self, timeout: float | None = None) -> list[Report]:
        """Wait for news of the jobs under way and return them; none if there were none in so many seconds."""
        ready, _ = ray.wait(list(self._refs), num_returns=1, timeout=timeout, fetch_local=False)
        heard = [report for report in map(self._hear, self._take()) if report is not None]
        return heard + [self._finish(ref) for ref in ready]

    def _take(self) -> list[tuple[int, str, Any]]:
        with suppress(Empty, GetTimeoutError):
            size = min(_NEWS, self._news.size())
            return list(self._news.get_nowait_batch(size)) if size else []
        return []

    def _hear(self, news: tuple[int, str, Any]) -> Report | None:
        number, kind, value = news
        attempt = self._attempts.get(number)
        if attempt is None:  # of one that has been given up
            return None
        if kind == "progress":
            return Report(attempt.task, "progress", value)
        unpack_folder(value, attempt.folder)
        return None

    def _finish(self, ref: Any) -> Report:
        attempt = self._attempts.pop(self._refs.pop(ref))
        try:
            kind, value, folder = cloudpickle.loads(ray.get(ref))
        except NodeDiedError as error:
            return Report(attempt.task, "lost", _ended(error))
        except RayError as error:
            return Report(attempt.task, "failed", _ended(error))
        unpack_folder(folder, attempt.folder)
        return Report(attempt.task, kind, value)

    def _count_room(self) -> int:
        """Return how many jobs the machines have room for."""
        now = time.monotonic()
        if now >= self._looked + _NODES_EVERY:
            self._looked = now
            self._room = self._demand.count_room()
        return self._room


def _ended(error: Exception) -> Sim2RealError:
    reason = f"{type(error).__name__}: {one_line(error)}"
    return Sim2RealError(f"its worker in the cluster ended before the work was done: {reason}")


def _do_there(message: bytes, parcel: _Parcel, news: Any) -> bytes:
    """Do a job on the machine that this runs on; return how it ended, its result or error, and its folder."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="sim2real-") as temporary:
        place = Path(temporary) / "job"
        kind, value = "done", None
        try:
            paths, job_message = cloudpickle.loads(message)
            extend_path(paths)
            function, job = cloudpickle.loads(job_message)
            if parcel.folder:
                unpack_folder(parcel.folder, place)
            policies = {name: Path(temporary) / f"{name}.zip" for name in parcel.policies}
            for name, file in policies.items():
                file.write_bytes(parcel.policies[name])
            value = function(replace(job, folder=place, policies=policies), _Messenger(parcel.number, place, news))
        except Exception as error:
            error.add_note(f"in a worker of the cluster:\n{traceback.format_exc()}")
            kind, value = "failed", sendable(error)
        return cloudpickle.dumps((kind, value, pack_folder(place) if place.exists() else b""))  # type: ignore[no-any-return]


class _Messenger:
    """Listens to the progress of a job and sends it, and each new checkpoint, to the one who has asked for the job."""

    def __init__(self, number: int, folder: Path, news: Any) -> None:
        self._number, self._folder, self._news = number, folder, news
        self._told = self._looked = time.monotonic()
        self._checkpoints = self._list()

    def __call__(self, steps: int) -> None:
        now = time.monotonic()
        if now >= self._told + _PROGRESS_EVERY:
            self._told = now
            self._say("progress", steps)
        if now >= self._looked + _LOOK_EVERY:
            self._looked = now
            if (found := self._list()) != self._checkpoints:
                self._checkpoints = found
                self._say("folder", pack_folder(self._folder))

    def _list(self) -> list[Path]:
        return list_checkpoints(RunFolder(self._folder).checkpoints)

    def _say(self, kind: str, value: Any) -> None:
        self._news.actor.put_nowait.remote((self._number, kind, value))  # nobody waits for it to arrive


def pack_folder(folder: Path) -> bytes:
    """Return the content of a run folder, of its checkpoints only the newest."""
    old = set(list_checkpoints(RunFolder(folder).checkpoints)[:-1])
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not old & set(path.parents) and not path.name.endswith(".tmp"):
                archive.add(path, path.relative_to(folder))
    return content.getvalue()


def unpack_folder(content: bytes, folder: Path) -> None:
    """Put what :func:`pack_folder` has made where the folder stands, in one move; nothing if it is empty.

    Raises:
        Sim2RealError: It cannot be written.
    """
    if not content:
        return
    make_folder(folder.parent)
    new, old = (folder.with_name(f".{folder.name}.{kind}.tmp") for kind in ("new", "old"))
    try:
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(new, filter="data")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise Sim2RealError(f"cannot write to {folder}: {error.strerror}.") from error
