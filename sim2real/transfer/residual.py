"""Residual learning: the source policy stays as it is, and a correction of its actions is learned in the target.

Silver et al. (2018), "Residual policy learning", and Johannink et al. (2019), "Residual reinforcement learning for
robot control": with the source policy π_s and a network f_θ whose output is 0 at first, the learner's policy is

    π(o) = π_s(o) + f_θ(o).

Here the sum is taken before the tanh of SAC, TQC and TD3, so that it stays an action; for PPO it is that of the means.
The standard deviations of SAC and TQC, being outputs of the network, are corrected likewise: their logarithms add. f_θ
is a column beside the source's that reads nothing of it, see :mod:`~sim2real.transfer.columns`.

The critics are those of the source, and learn as a whole; as in Silver et al. they learn first, alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim2real.transfer.columns import Columns


@dataclass(frozen=True, kw_only=True)
class Residual(Columns):
    """Learns a correction of the source policy's actions."""

    name: ClassVar[str] = "residual"
    crosses_spaces: ClassVar[bool] = True
    adapters: ClassVar[bool] = False
    critics: ClassVar[bool] = False
