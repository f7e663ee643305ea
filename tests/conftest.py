"""One torch thread in every test process, Ray on this machine alone, and fixtures that many tests share."""

import os
import sys
from pathlib import Path

import pytest
import torch

# Read when Ray is imported: a cluster of this machine, on its loopback interface, whose workers get their share of it.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_worker_niceness", "0")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A policy that has learned the point mass under randomization."""
    from point_mass import ID, SMALL

    from sim2real.training.train import train

    out = tmp_path_factory.mktemp("source") / "run"
    return train(ID, steps=900, hyperparameters=SMALL, eval_every=300, eval_episodes=20, out=out)


@pytest.fixture
def in_process():
    """Jobs of studies, searches and transfers are done in the test's own process."""
    from in_process import jobs_in_process

    with jobs_in_process():
        yield


@pytest.fixture(scope="module")
def scripts():
    """Make the scripts importable, as they are for each other, and forget them when the module is done."""
    folder = Path(__file__).parent.parent / "scripts"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield
    names = {path.stem for path in folder.iterdir()}
    for name in [name for name in sys.modules if name.partition(".")[0] in names]:
        del sys.modules[name]
