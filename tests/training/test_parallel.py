"""Jobs in worker processes: results in order, errors passed on, and no orphan when the parent is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim2real.errors import Sim2RealError
from sim2real.training.parallel import Workers, run_jobs


def double(job, listener):
    listener(job)
    return 2 * job


def fail(job, listener):
    if job == 1:
        raise Sim2RealError("job 1 cannot be done.")
    time.sleep(60)


def note_and_sleep(job, listener):
    with open(job, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(300)


@pytest.mark.slow
def test_results_come_in_order_and_progress_reaches_the_right_listener():
    heard = {}
    listeners = [lambda steps, index=index: heard.update({index: steps}) for index in range(5)]
    assert run_jobs(double, [5, 6, 7, 8, 9], listeners, workers=2) == [10, 12, 14, 16, 18]
    assert heard == {0: 5, 1: 6, 2: 7, 3: 8, 4: 9}


@pytest.mark.slow
def test_the_first_error_ends_all_jobs_at_once():
    start = time.monotonic()
    with pytest.raises(Sim2RealError, match="job 1 cannot be done"):
        run_jobs(fail, [0, 1], [lambda steps: None] * 2, workers=2)
    assert time.monotonic() - start < 50


def die(job, listener):
    if job:
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def raise_what_cannot_be_sent(job, listener):
    class Local(Exception):
        def __reduce__(self):
            raise TypeError

    raise Local("gone wrong")


class TwoArguments(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def raise_what_cannot_be_received(job, listener):
    raise TwoArguments("gone", "wrong")


def finish(pool, tasks):
    found = {}
    while len(found) < tasks:
        found.update({report.task: report for report in pool.reports(60.0) if report.kind != "progress"})
    return found


@pytest.mark.slow
def test_a_worker_that_dies_takes_no_other_with_it_and_the_next_task_gets_a_new_one():
    with Workers(2) as pool:
        assert pool.free == 2
        pool.submit(0, die, False)
        pool.submit(1, die, True)
        assert pool.free == 0
        found = finish(pool, 2)
        assert (found[0].kind, found[0].value) == ("done", "alive")
        assert found[1].kind == "failed"
        assert str(found[1].value) == (
            "a worker process ended before its work was done (killed by signal 9; was there too little memory?)."
        )
        pool.submit(2, double, 4)
        assert finish(pool, 1)[2].value == 8


@pytest.mark.slow
def test_an_error_that_cannot_be_sent_is_told():
    with Workers(1) as pool:
        pool.submit(0, raise_what_cannot_be_sent, None)
        assert str(finish(pool, 1)[0].value) == "Local: gone wrong"
        pool.submit(1, raise_what_cannot_be_received, None)
        assert str(finish(pool, 1)[1].value) == "TwoArguments: gone wrong"


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(tmp_path):
    paths = [str(tmp_path / name) for name in "ab"]
    program = (
        "from test_parallel import note_and_sleep\n"
        "from sim2real.training.parallel import run_jobs\n"
        f"if __name__ == '__main__': run_jobs(note_and_sleep, {paths!r}, [print] * 2, workers=2)\n"
    )
    (tmp_path / "main.py").write_text(program)
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    parent = subprocess.Popen([sys.executable, tmp_path / "main.py"], env={**os.environ, "PYTHONPATH": path})
    deadline = time.monotonic() + 120
    while not all(os.path.exists(p) and os.path.getsize(p) for p in paths) and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(Path(p).read_text()) for p in paths]
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{pid}") for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)
