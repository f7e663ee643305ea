"""What ``scripts/benchmark_learning.py`` measures: updates, collection, whole trainings, beside those of peers."""

from __future__ import annotations

import os

# Everything is measured on one thread, here and in the processes that are started; before numpy is imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
