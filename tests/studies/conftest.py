"""A study with films and sweeps, run once for the tests that look at what it left."""

import pytest
import yaml
from in_process import jobs_in_process
from study_grid import GRID, LOOKS

from sim2real.studies.run import run_study


@pytest.fixture(scope="session")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump({**GRID, **LOOKS}))
    with jobs_in_process():
        return run_study(file, folder / "out")
