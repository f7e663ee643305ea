"""The peers: panda-gym and highway-env."""

from __future__ import annotations

from pathlib import Path

from speed.peers import Peer, install

PANDA_GYM, HIGHWAY_ENV = "3.0.7", "1.12.1"
"""The versions that are measured."""
_PACKAGES = (f"panda-gym=={PANDA_GYM}", f"highway-env=={HIGHWAY_ENV}", "gymnasium==1.4.0", "pybullet==3.2.7")


class Peers(Peer):
    """A process that steps the peers' envs on demand.

    Args:
        folder: The virtual environment.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(install(folder, _PACKAGES), Path(__file__).with_name("peer.py"))

    def step_times(self, env: str, count: int, seed: int) -> tuple[list[float], float]:
        """Return how long each step of an env takes, and how long it lasts in the world [s]."""
        answer = self.ask(env=env, steps=count, seed=seed)
        return answer["times"], answer["control_dt"]
