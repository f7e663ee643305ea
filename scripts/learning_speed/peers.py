"""The peers: SBX, which is Stable-Baselines3 in JAX, and panda-gym with Stable-Baselines3."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from speed.peers import Peer, install

SBX, JAX, PANDA_GYM = "0.28.0", "0.10.2", "3.0.7"
"""The versions that are measured."""


def python(folder: Path) -> Path:
    """Return the Python of the peers' virtual environment; made if it is not there, with our version of torch."""
    ours = ("torch", "stable-baselines3", "gymnasium", "pybullet", "numpy")
    pins = [f"{name}=={version(name).partition('+')[0]}" for name in ours]
    return install(folder, [*pins, f"sbx-rl=={SBX}", f"jax=={JAX}", f"panda-gym=={PANDA_GYM}"])


class Peers(Peer):
    """A process that measures the peers on demand.

    Args:
        folder: The virtual environment.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(python(folder), Path(__file__).with_name("peer.py"))

    def seconds(self, task: str, **arguments: object) -> float:
        """Return how long a task of ``peer.py`` takes for one of what it repeats [s]."""
        answer: float = self.ask(task=task, **arguments)
        return answer
