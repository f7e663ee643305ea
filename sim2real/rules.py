"""What a setting may be, in code and in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sim2real.errors import Sim2RealError


class Rule(NamedTuple):
    """What one setting may be."""

    allows: Callable[[Any], bool]
    words: str
    """Complete the sentence 'it must be …'."""


def whole(low: int, high: float = math.inf, *, none: bool = False) -> Rule:
    """Return the rule of whole numbers with these ends, which are allowed.

    Args:
        low: The least.
        high: The most.
        none: Whether ``None`` is allowed, too.
    """

    def allows(value: Any) -> bool:
        if value is None:
            return none
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    words = f"a whole number of at least {low}" + (f" and at most {high:g}" if high < math.inf else "")
    return Rule(allows, words + (", or null" if none else ""))


def number(low: float, high: float = math.inf, *, above: bool = False, below: bool = False, none: bool = False) -> Rule:
    """Return the rule of finite numbers with these ends.

    Args:
        low: The least, which is allowed.
        high: The most, which is allowed.
        above: That ``low`` is not.
        below: That ``high`` is not.
        none: Whether ``None`` is allowed, too.
    """

    def allows(value: Any) -> bool:
        if value is None:
            return none
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return False
        return (value > low if above else value >= low) and (value < high if below else value <= high)

    words = f"a number {'above' if above else 'of at least'} {low:g}"
    if high < math.inf:
        words += f" and {'below' if below else 'at most'} {high:g}"
    return Rule(allows, words + (", or null" if none else ""))


def check_rules(values: Mapping[str, Any], rules: Mapping[str, Rule], kind: str = "") -> None:
    """Check every value that there is a rule for.

    Args:
        values: By name.
        rules: By name.
        kind: In front of the name in a message.

    Raises:
        Sim2RealError: A value is not what it may be.
    """
    for name, value in values.items():
        if name in rules and not rules[name].allows(value):
            raise Sim2RealError(f"{kind}{name} = {value!r} must be {rules[name].words}.")
