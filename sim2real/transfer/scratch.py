"""Scratch: a fresh learner in the target, on the same budget. The baseline of every transfer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim2real.transfer.base import TransferMethod


@dataclass(frozen=True, kw_only=True)
class Scratch(TransferMethod):
    """The source policy is not used; the hyperparameters are the tuned ones for the target."""

    name: ClassVar[str] = "scratch"
    asymmetric: ClassVar[bool] = True
    uses_source: ClassVar[bool] = False
