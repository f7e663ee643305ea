"""Grafting: the networks of a policy, given first and last layers that fit another world's spaces, learn on there.

Trunk, matching columns of the first layers and matching rows of the last ones are the source's; what is new begins at
zero. See :mod:`~sim2real.transfer.translate` for how, and :mod:`~sim2real.transfer.space_map` for what matches. From
there on it is fine-tuning with an anchor: the new columns of the actor stay 0 while those of the critics find out what
the new numbers are worth, and as long as they know little of the new world the actor stays near what it was.

Between equal spaces it is fine-tuning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim2real.transfer.finetune import FineTune


@dataclass(frozen=True, kw_only=True)
class Graft(FineTune):
    """Fine-tunes a policy in a world of other spaces."""

    name: ClassVar[str] = "graft"
    asymmetric: ClassVar[bool] = False
    crosses_spaces: ClassVar[bool] = True

    anchor: float = 1.0
