"""Independent jobs in spawned processes of this machine, one torch thread each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Literal, Protocol, TypeVar

import cloudpickle

from sim2real.errors import Sim2RealError
from sim2real.processes import end_with_parent, how_it_ended, warn_in_one_line
from sim2real.training.callbacks import Progress

Job = TypeVar("Job")
Result = TypeVar("Result")

_CONTEXT = multiprocessing.get_context("spawn")
_LAST_WORDS = 5.0  # in which a process that has closed its pipe has to end [s]


@dataclass(frozen=True)
class Report:
    """What is heard of a task."""

    task: int
    """The number it was submitted with."""
    kind: Literal["progress", "done", "failed", "lost"]
    """The last three are heard once, and nothing after them. A task is lost with the machine that it was done on."""
    value: Any
    """The progress, the result, or the exception."""


class Pool(Protocol[Job]):
    """Does tasks somewhere, one after another in each of several places."""

    @property
    def free(self) -> int:
        """Tasks that can be submitted now."""

    def submit(self, task: int, function: Callable[[Job, Progress], Any], job: Job) -> None:
        """Let a task be done; there has to be a free place.

        Args:
            task: Number by which reports name it.
            function: At the top of a module; called with the job and with a listener for its progress.
            job: Picklable.
        """

    def reports(self, timeout: float | None = None) -> list[Report]:
        """Wait for news of the tasks under way and return them; none if there were none in so many seconds."""


class Workers:
    """Spawned processes that each do one task at a time; one that dies takes no other with it.

    Args:
        count: How many at most; they start when they are needed, and end with this process, however it ends.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        """Tasks that can be under way at a time."""
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, _Worker] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._busy.values():
            worker.end()
        for worker in self._idle:
            worker.let_go()
        for worker in self._idle:
            worker.end(_LAST_WORDS)

    @property
    def free(self) -> int:
        """Tasks that can be submitted now."""
        return self.count - len(self._busy)

    def submit(self, task: int, function: Callable[[Job, Progress], Any], job: Job) -> None:
        """Let a process do a task; there has to be a free one.

        Args:
            task: Number by which reports name it.
            function: At the top of a module; called with the job and with a listener for its progress.
            job: Picklable.
        """
        worker = self._idle.pop() if self._idle else _Worker()
        worker.task = task
        self._busy[worker.pipe] = worker
        with suppress(OSError):  # that it is gone is noticed when it is heard
            worker.pipe.send_bytes(cloudpickle.dumps((function, job)))

    def reports(self, timeout: float | None = None) -> list[Report]:
        """Wait for news of the tasks under way and return them; none if there were none in so many seconds.

        Raises:
            Sim2RealError: A process cannot start; then none can.
        """
        heard = [self._hear(self._busy[pipe]) for pipe in wait(list(self._busy), timeout)]  # type: ignore[index]
        return [report for report in heard if report is not None]

    def _hear(self, worker: _Worker) -> Report | None:
        task = worker.task
        try:
            kind, value = cloudpickle.loads(worker.pipe.recv_bytes())
        except (EOFError, OSError):
            del self._busy[worker.pipe]
            how = worker.bury()
            if not worker.started:
                raise Sim2RealError(
                    f"a worker process cannot start ({how}); in a script, the call must stand under: "
                    f"if __name__ == '__main__':"
                ) from None
            error = Sim2RealError(f"a worker process ended before its work was done ({how}).")
            return Report(task, "failed", error)
        if kind == "started":
            worker.started = True
            return None
        if kind != "progress":
            del self._busy[worker.pipe]
            self._idle.append(worker)
        return Report(task, kind, value)


class _Worker:
    """The end of a process that is here."""

    task = -1
    started = False

    def __init__(self) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs,), daemon=False)
        with _interrupts_ignored():
            self._process.start()
        theirs.close()

    def let_go(self) -> None:
        """Let the process end, which has nothing to do."""
        self.pipe.close()

    def end(self, seconds: float = 0.0) -> None:
        """End the process: it gets so many seconds to do so by itself."""
        self.pipe.close()
        self._process.join(seconds)
        self._process.terminate()
        self._process.join()

    def bury(self) -> str:
        """Forget a process that has ended by itself; return how it did."""
        self._process.join(_LAST_WORDS)
        code = self._process.exitcode
        self.end()
        return how_it_ended(code)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let a process start that never hears Ctrl-C, which reaches all of a terminal's; its parent ends it.

    Only from the start on: until it had said so itself it would have printed the traceback of an import.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Connection) -> None:
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it was started from another thread
    threading.Thread(target=end_with_parent, daemon=True).start()
    warn_in_one_line()
    with suppress(OSError):
        pipe.send_bytes(cloudpickle.dumps(("started", None)))
    while True:
        try:
            message = pipe.recv_bytes()
        except EOFError:
            return

        def say(kind: str, value: Any) -> None:
            pipe.send_bytes(cloudpickle.dumps((kind, value)))

        try:
            function, job = cloudpickle.loads(message)
            say("done", function(job, lambda steps: say("progress", steps)))
        except Exception as error:
            error.add_note(f"in a worker process:\n{traceback.format_exc()}")
            say("failed", sendable(error))


def sendable(error: Exception) -> Exception:
    """Return an exception, or one that tells of it if it does not survive the way to another process."""
    try:
        cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:  # those of users' envs raise anything when they are made anew
        return Sim2RealError(f"{type(error).__name__}: {error}")
    return error


def run_jobs(
    function: Callable[[Job, Progress], Result],
    jobs: Sequence[Job],
    listeners: Sequence[Progress],
    workers: int | None = None,
) -> list[Result]:
    """Run every job in spawned processes.

    Args:
        function: At the top of a module; called with the job and with a listener for its progress.
        jobs: Picklable.
        listeners: One for each job, called here with the progress of the job there.
        workers: Processes; as many as cores if ``None``. They end with this process, however it ends.

    Returns:
        The results, in the order of the jobs.

    Raises:
        Exception: The first one that a job raised; jobs under way are ended, others dropped.
    """
    waiting = deque(range(len(jobs)))
    results: dict[int, Result] = {}
    with Workers(workers or os.cpu_count() or 1) as pool:
        while len(results) < len(jobs):
            while waiting and pool.free:
                task = waiting.popleft()
                pool.submit(task, function, jobs[task])
            for report in pool.reports():
                if report.kind == "failed":
                    raise report.value
                if report.kind == "progress":
                    listeners[report.task](report.value)
                else:
                    results[report.task] = report.value
    return [results[task] for task in range(len(jobs))]
