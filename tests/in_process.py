"""Jobs done in this process, in the place of worker processes, which take seconds to start."""

from contextlib import contextmanager

import cloudpickle
import pytest

from sim2real.training.parallel import Report, sendable


class InProcess:
    """A :class:`~sim2real.training.parallel.Pool` that does each job when it is submitted; it travels as it would."""

    def __init__(self, count):
        self._reports = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @property
    def free(self):
        return 0 if self._reports else 1

    def submit(self, task, function, job):
        function, job = cloudpickle.loads(cloudpickle.dumps((function, job)))
        try:
            result = function(job, lambda steps: self._reports.append(Report(task, "progress", steps)))
        except Exception as error:
            self._reports.append(Report(task, "failed", sendable(error)))
        else:
            self._reports.append(Report(task, "done", result))

    def reports(self, timeout=None):
        found, self._reports = self._reports, []
        return found


@contextmanager
def jobs_in_process():
    """Let studies, searches and transfers do their jobs here, where a test is not about the processes."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("sim2real.training.parallel", "sim2real.studies.run"):
            patch.setattr(f"{module}.Workers", InProcess)
        yield
