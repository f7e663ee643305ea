"""The peers: panda-gym and highway-env, installed apart, since what they need is nothing that sim2real should need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from sim2real.errors import Sim2RealError

PANDA_GYM, HIGHWAY_ENV = "3.0.7", "1.12.1"
"""The versions that are measured."""
_PACKAGES = (f"panda-gym=={PANDA_GYM}", f"highway-env=={HIGHWAY_ENV}", "gymnasium==1.4.0", "pybullet==3.2.7")


def default_folder() -> Path:
    """Return where the peers are installed unless told otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sim2real" / "peers"


def install(folder: Path) -> Path:
    """Make the peers' virtual environment, if it is not there yet.

    Returns:
        Its Python.

    Raises:
        Sim2RealError: Something could not be installed.
    """
    python = folder / "bin" / "python"
    done = folder / "installed"
    wanted = "\n".join(_PACKAGES)
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return python
    print(f"setting up {folder}: {', '.join(_PACKAGES)}", file=sys.stderr)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "-qq", "install"]
    for command in ([sys.executable, "-m", "venv", "--without-pip", str(folder)], [*pip, *_PACKAGES]):
        if subprocess.run(command, check=False).returncode:
            raise Sim2RealError(f"could not set up the peers; this failed: {' '.join(command)}")
    done.write_text(wanted, encoding="utf-8")
    return python


class Peers:
    """A process that steps the peers' envs on demand, and rests in between.

    Args:
        folder: The virtual environment.
    """

    def __init__(self, folder: Path) -> None:
        python = install(folder)
        self._process = subprocess.Popen(
            [python, Path(__file__).with_name("peer.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Peers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # the end of its input ends it

    def step_times(self, env: str, count: int, seed: int) -> tuple[list[float], float]:
        """Return how long each step of an env takes, and how long it lasts in the world [s].

        Raises:
            Sim2RealError: The process has died.
        """
        assert self._process.stdin is not None  # it is a pipe
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"env": env, "steps": count, "seed": seed}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Sim2RealError(f"the peers' process ended at {env!r}; remove its folder to set it up anew.")
        answer = json.loads(line)
        return answer["times"], answer["control_dt"]
