"""Races to success against panda-gym with Stable-Baselines3; each is kept as soon as it is over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from speed.figures import Figure, figure, ratio

from learning_speed.kept import Kept
from learning_speed.peers import python
from sim2real.errors import Sim2RealError

SEEDS = (0, 1, 2)
TASKS: dict[str, tuple[tuple[str, ...], int, float]] = {
    "PandaReach": (("PandaReach",), 500, 1 / 3),
    "PandaPush": (("PandaPush, small", "PandaPush"), 5000, 1 / 4),
}
"""Of each task the peer's settings, of which the faster one counts for every seed; the env steps between evaluations;
and which part of the peer's time ours may take."""
LIMIT, PATIENCE = 3600.0, 4.5
"""After how long we give up [s], and after how many times our own time on a cold cache the peer does."""


class Races:
    """Runs races, or remembers them.

    Args:
        kept: Those that are over.
        peers: Folder of the peers' virtual environment.
    """

    def __init__(self, kept: Kept, peers: Path) -> None:
        self._kept, self._peers = kept, peers

    def figures(self) -> Iterator[Figure]:
        """Return how long each task takes, and which part of the peer's time that is."""
        for task, (settings, every, goal) in TASKS.items():
            cold, warm, theirs, unfinished = [], [], [], []
            for seed in SEEDS:
                ours = self._ours(task, seed, every)
                if any(found["seconds"] is None for found in ours.values()):
                    raise Sim2RealError(f"{task}, seed {seed}: no success of 0.95 in {LIMIT:g} s.")
                limit = PATIENCE * _seconds(ours["cold"])
                tries: list[dict[str, Any]] = []
                for name in settings:  # the fastest counts: nobody need be watched for longer than it took
                    tries.append(self._theirs(name, seed, every, min([limit, *map(_seconds, tries)])))
                cold.append(_seconds(ours["cold"]))
                warm.append(_seconds(ours["warm"]))
                theirs.append(min(map(_seconds, tries)))
                unfinished += [f"seed {seed}"] * all(found["seconds"] is None for found in tries)
            stopped = f" (stopped: {', '.join(unfinished)})" if unfinished else ""
            yield figure("race", f"{task}, cold cache", cold, "s", digits=0)
            yield figure("race", f"{task}, warm cache", warm, "s", digits=0)
            yield figure("race", f"{task}, panda-gym{stopped}", theirs, "s", digits=0)
            yield figure("race", f"{task}, part of panda-gym's time, cold cache", ratio(cold, theirs), "", most=goal)
            yield figure("race", f"{task}, part of panda-gym's time, warm cache", ratio(warm, theirs), "", most=goal)

    def _ours(self, task: str, seed: int, every: int) -> dict[str, Any]:
        def run() -> dict[str, Any]:
            request = {"side": "sim2real", "task": task, "seed": seed, "every": every, "limit": LIMIT}
            with TemporaryDirectory() as cache:
                env = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
                return {kind: _race(Path(sys.executable), request, env) for kind in ("cold", "warm")}

        found: dict[str, Any] = self._kept.get(f"sim2real, {task}, seed {seed}", run)
        return found

    def _theirs(self, settings: str, seed: int, every: int, limit: float) -> dict[str, Any]:
        def run() -> dict[str, Any]:
            request = {"side": "peer", "task": settings, "seed": seed, "every": every, "limit": limit}
            return _race(python(self._peers), request, os.environ)

        found: dict[str, Any] = self._kept.get(f"peer, {settings}, seed {seed}", run)
        return found


def _seconds(found: Mapping[str, Any]) -> float:
    """Return how long a race took, or until when it was watched [s]."""
    seconds: float = found["curve"][-1][1]
    return seconds


def _race(interpreter: Path, request: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    command = [interpreter, Path(__file__).with_name("race.py"), json.dumps(request)]
    print(f"race: {json.dumps(request)}", file=sys.stderr, flush=True)
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Sim2RealError(f"a race ended with exit code {done.returncode}: {request}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
