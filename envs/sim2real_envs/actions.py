"""What every world asks of an action before it is applied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sim2real.domains.channels import Channel, element_name
from sim2real.errors import Sim2RealError


def check_action(action: Any, channels: Sequence[Channel], needed_by: str) -> list[float]:
    """Return an action of a ``[-1, 1]`` box as numbers, clipped to it.

    Args:
        action: What the agent sent.
        channels: What its numbers are.
        needed_by: Who needs them, for the message: ``"control 'ee'"``.

    Raises:
        Sim2RealError: It is no vector of numbers, has another shape, or a number is not finite.
    """
    try:
        values = np.asarray(action, dtype=np.float64)
    except (TypeError, ValueError):
        raise Sim2RealError(f"action {action!r} is not a vector of numbers.") from None
    numbers = values.ravel().tolist()
    width = sum([channel.width for channel in channels])
    if values.ndim != 1 or len(numbers) != width:
        raise Sim2RealError(f"action has shape {values.shape}; {needed_by} needs ({width},).")
    if not all(map(math.isfinite, numbers)):
        index, number = next((i, number) for i, number in enumerate(numbers) if not math.isfinite(number))
        raise Sim2RealError(f"action {element_name(channels, index)} = {number} must be a finite number.")
    # One by one: for a few numbers any function of numpy takes longer.
    return [-1.0 if number < -1.0 else 1.0 if number > 1.0 else number for number in numbers]
