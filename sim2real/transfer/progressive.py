"""Progressive networks: a new column beside that of the source, which reads its hidden layers.

Rusu et al. (2016), "Progressive neural networks", eq. 1: with the activations h_i of hidden layer i in the source's
column (1), which is frozen, and in the new one (2),

    h_i^(2) = f(W_i^(2) h_{i-1}^(2) + U_i^(2:1) h_{i-1}^(1)).

What the source has learned cannot be lost, and the new column takes of it what is of use. Actor and critics have such
columns, see :mod:`~sim2real.transfer.columns`.

It differs from the paper in two points. The outputs of the two columns add, and those of the new one are 0 at first, so
that learning starts from the source policy; in the paper the new column has outputs of its own, random at first, that
read the source's last hidden layer as all layers do. And the adapters U are linear, without the paper's learned scaling
and the hidden layer of their own (its eq. 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim2real.transfer.columns import Columns


@dataclass(frozen=True, kw_only=True)
class Progressive(Columns):
    """Learns a new column for actor and critics, which reads the hidden layers of the source's."""

    name: ClassVar[str] = "progressive"
    crosses_spaces: ClassVar[bool] = True
    adapters: ClassVar[bool] = True
    critics: ClassVar[bool] = True
