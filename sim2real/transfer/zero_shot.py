"""Zero-shot: the source policy acts in the target as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim2real.transfer.base import TransferMethod


@dataclass(frozen=True, kw_only=True)
class ZeroShot(TransferMethod):
    """No learning and no target data; every other method has to beat it."""

    name: ClassVar[str] = "zero-shot"
    learns: ClassVar[bool] = False
