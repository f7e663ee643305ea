"""What every world asks of an action before it is applied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sim2real.domains.channels import Channel, element_name
from sim2real.errors import Sim2RealError


class ActionCheck:
    """Turns an action of a ``[-1, 1]`` box into numbers.

    Args:
        channels: What the numbers are.
        needed_by: Who needs them, for the message: ``"control 'ee'"``.
    """

    def __init__(self, channels: Sequence[Channel], needed_by: str) -> None:
        self._channels, self._needed_by = tuple(channels), needed_by
        self._width = sum(channel.width for channel in channels)

    def __call__(self, action: Any) -> list[float]:
        """Return an action as numbers, clipped to the box.

        Args:
            action: What the agent sent.

        Raises:
            Sim2RealError: It is no vector of numbers, has another shape, or a number is not finite.
        """
        # Number by number: for so few any function of numpy takes longer. The usual case comes first.
        if isinstance(action, np.ndarray) and action.shape == (self._width,) and action.dtype.kind == "f":
            numbers: list[float] = action.tolist()
            if max(numbers) <= 1.0 and min(numbers) >= -1.0 and sum(numbers) < math.inf:  # NaN fails one of them
                return numbers
        try:
            values = np.asarray(action)
        except ValueError:  # rows of different lengths
            values = np.asarray(None)
        if values.dtype.kind not in "biuf":
            raise Sim2RealError(f"action {action!r} is not a vector of numbers.")
        numbers = values.astype(np.float64).ravel().tolist()
        if values.ndim != 1 or len(numbers) != self._width:
            raise Sim2RealError(f"action has shape {values.shape}; {self._needed_by} needs ({self._width},).")
        if not all(map(math.isfinite, numbers)):
            index, number = next((i, number) for i, number in enumerate(numbers) if not math.isfinite(number))
            raise Sim2RealError(f"action {element_name(self._channels, index)} = {number} must be a finite number.")
        return [-1.0 if number < -1.0 else 1.0 if number > 1.0 else number for number in numbers]
