"""Errors a user can mend: one class, messages that name the mistake, the value and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class Sim2RealError(ValueError):
    """A mistake in what the user gave (a name, a value, a file); the message says how to mend it.

    The command line prints it as one line on standard error and exits with code 2.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest known name, or an empty string."""
    names = list(known)
    close = difflib.get_close_matches(name.lower(), [k.lower() for k in names], n=1, cutoff=0.55)
    if not close:
        return ""
    original = next(k for k in names if k.lower() == close[0])
    return f" Did you mean {original!r}?"


def unknown_name(kind: str, name: object, known: Iterable[str]) -> Sim2RealError:
    """Return the error for a name that is not among the known ones.

    Args:
        kind: What the name stands for, e.g. ``"target"``.
        name: The name the user gave.
        known: The names that exist.
    """
    names = sorted(known)
    choices = ", ".join(names) if names else "none are defined"
    return Sim2RealError(f"unknown {kind} {str(name)!r}.{did_you_mean(str(name), names)} Known: {choices}.")


def check_keys(mapping: object, allowed: Iterable[str], where: str) -> Mapping[str, Any]:
    """Return ``mapping`` if it is a mapping whose keys are all allowed.

    Args:
        mapping: What was read, e.g. from YAML.
        allowed: The keys that may occur.
        where: The file and the place in it, for the message.

    Raises:
        Sim2RealError: It is not a mapping, or a key is unknown (with 'did you mean').
    """
    if not isinstance(mapping, Mapping):
        raise Sim2RealError(f"{where}: expected a mapping of names to values, got {mapping!r}.")
    names = list(allowed)
    unknown = [f"unknown key {str(key)!r}.{did_you_mean(str(key), names)}" for key in mapping if key not in names]
    if unknown:
        raise Sim2RealError(f"{where}: {' '.join(unknown)} Known: {', '.join(names)}.")
    return mapping


def missing_extra(extra: str, what: str) -> Sim2RealError:
    """Return the error for something that needs an extra of this package which is not installed."""
    return Sim2RealError(f"{what} is not installed; install it with: pip install 'sim2real[{extra}]'.")
