"""Independent jobs in spawned processes of this machine, one torch thread each."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from sim2real.errors import Sim2RealError
from sim2real.processes import end_with_parent
from sim2real.training.callbacks import Progress

Job = TypeVar("Job")
Result = TypeVar("Result")

_POLL_SECONDS = 0.2

_reports: Any = None  # a worker's end of the queue of progress, set when it starts


def run_jobs(
    function: Callable[[Job, Progress], Result],
    jobs: Sequence[Job],
    listeners: Sequence[Progress],
    workers: int | None = None,
) -> list[Result]:
    """Run every job in a pool of spawned processes.

    Args:
        function: At the top of a module; called with the job and with a listener for its progress.
        jobs: Picklable.
        listeners: One for each job, called here with the progress of the job there.
        workers: Processes; as many as cores if ``None``. They end with this process, however it ends.

    Returns:
        The results, in the order of the jobs.

    Raises:
        Exception: The first one that a job raised; jobs not yet started are dropped.
    """
    context = multiprocessing.get_context("spawn")
    count = min(workers or os.cpu_count() or 1, len(jobs))
    reports = context.SimpleQueue()
    with ProcessPoolExecutor(count, context, initializer=_begin_worker, initargs=(reports,)) as pool:
        futures = [pool.submit(_run_job, function, index, job) for index, job in enumerate(jobs)]
        try:
            waiting: Iterable[Any] = futures
            while waiting:
                done, waiting = wait(waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                while not reports.empty():
                    index, progress = reports.get()
                    listeners[index](progress)
                for future in done:
                    future.result()
        except BrokenProcessPool:
            raise Sim2RealError(
                "a worker process ended before its work was done: out of memory, killed, or unable to start; in a "
                "script, the call must stand under: if __name__ == '__main__':"
            ) from None
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]


def _begin_worker(reports: Any) -> None:
    global _reports
    _reports = reports
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=end_with_parent, daemon=True).start()


def _run_job(function: Callable[[Job, Progress], Result], index: int, job: Job) -> Result:
    return function(job, lambda steps: _reports.put((index, steps)))
