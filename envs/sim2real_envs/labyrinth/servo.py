"""A servo that turns the board about one axis: gain, lag, backlash and bias, in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence


class TiltServo:
    """Command -> gain -> first-order lag -> backlash -> bias -> slope of the board.

    The motor approaches ``gain * command`` exponentially. The board follows it with play: it stays where it is while
    the motor is within half the backlash of it (the play operator; Krasnosel'skii and Pokrovskii, Systems with
    Hysteresis, 1989). Within one control step the motor moves one way, so the play acts as a clip.

    Args:
        times: Instants in a control step at which the slope is wanted, ascending [s].
        control_dt: Length of a control step [s].
    """

    def __init__(self, times: Sequence[float], control_dt: float) -> None:
        self._times = (*times, control_dt)
        self.set_domain(gain=1.0, lag=0.0, backlash=0.0, bias=0.0)
        self.reset()

    def set_domain(self, *, gain: float, lag: float, backlash: float, bias: float) -> None:
        """Set gain [1], time constant [s], play between the end stops [rad] and slope at zero [rad]."""
        self.gain, self.lag, self.backlash, self.bias = gain, lag, backlash, bias
        # What is left of the way to go at each of the times.
        self._left = [math.exp(-t / lag) if lag > 0.0 else 0.0 for t in self._times]

    def reset(self) -> None:
        """Stand still at zero."""
        self.angle = 0.0
        """Angle of the motor, what its encoder reads [rad]."""
        self._board = 0.0

    @property
    def slope(self) -> float:
        """Slope of the board [rad]."""
        return self._board + self.bias

    def move(self, command: float) -> list[float]:
        """Follow a commanded angle [rad] for one control step.

        Returns:
            Slope of the board at the given times [rad].
        """
        goal, half = self.gain * command, 0.5 * self.backlash
        way, board = self.angle - goal, self._board
        slopes = []
        for left in self._left:
            motor = goal + way * left
            if board > motor + half:
                board = motor + half
            elif board < motor - half:
                board = motor - half
            slopes.append(board + self.bias)
        self.angle, self._board = motor, board
        slopes.pop()  # that of the end of the step
        return slopes
