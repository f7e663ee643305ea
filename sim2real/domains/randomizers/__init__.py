"""How the domains of training episodes are drawn: one module a randomizer, all behind one protocol."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from sim2real.domains.randomizers.base import Adaptive, Outcome, Randomizer
from sim2real.domains.randomizers.static import Fixed, Uniform
from sim2real.domains.space import DomainSpace
from sim2real.errors import Sim2RealError, check_keys, unknown_name

__all__ = [
    "RANDOMIZERS",
    "Adaptive",
    "Fixed",
    "Outcome",
    "Randomizer",
    "RandomizerSpec",
    "Uniform",
    "check_steady",
    "learns",
    "make_randomizer",
]

RandomizerSpec = str | Mapping[str, Any]

RANDOMIZERS: Mapping[str, str] = {
    "none": "static:Fixed",
    "uniform": "static:Uniform",
    "distributions": "distributions:Distributions",
    "posterior": "posterior:Posterior",
    "curriculum": "curriculum:Curriculum",
    "adr": "adr:ADR",
    "doraemon": "doraemon:Doraemon",
    "active": "active:Active",
    "learnability": "learnability:Learnability",
}
"""Name -> module and class, which is imported when it is asked for: some need scipy."""


def make_randomizer(spec: RandomizerSpec, space: DomainSpace) -> Randomizer:
    """Build a randomizer from its name or its JSON-plain description.

    Args:
        spec: A name of :data:`RANDOMIZERS`, or ``{"name": name}`` with the arguments of its class beside it, as in
            ``{"name": "uniform", "ranges": {parameter: [low, high]}}``. ``schedule`` says which parameters are drawn
            again during an episode: ``{parameter: "step"}``, in every control step, or ``{parameter: 25}``, in every
            25th; ``"episode"`` is what holds for the others.
        space: The parameters there are.

    Raises:
        Sim2RealError: The name, a setting or a parameter is unknown, or a value is out of bounds.
    """
    fields, randomizer = _read(spec)
    name = fields["name"]
    settings = [setting for setting in inspect.signature(randomizer).parameters if setting != "space"]
    check_keys(fields, ("name", *settings, "schedule"), f"randomizer {name!r}")
    found = randomizer(space, **{setting: value for setting, value in fields.items() if setting in settings})
    found.schedule = _read_schedule(fields.get("schedule"), found)
    return found


def learns(spec: RandomizerSpec) -> bool:
    """Return whether a randomizer is an adaptive one.

    Raises:
        Sim2RealError: There is no such randomizer.
    """
    return issubclass(_read(spec)[1], Adaptive)


def check_steady(spec: RandomizerSpec) -> None:
    """Refuse a randomizer that learns, where nothing is learned.

    Raises:
        Sim2RealError: It is one, or there is no such randomizer.
    """
    if learns(spec):
        raise Sim2RealError(
            "a randomizer that learns is for training; evaluate where domains stay as they are, as in "
            "{name: uniform, ranges: bounds}."
        )


def _read(spec: RandomizerSpec) -> tuple[Mapping[str, Any], type[Randomizer]]:
    """Return the description with its name, and the class behind it."""
    fields: Mapping[str, Any] = {"name": spec} if isinstance(spec, str) else spec
    if not isinstance(fields, Mapping):
        raise Sim2RealError(f"randomizer = {spec!r} must be a name, or a mapping with a name and its settings.")
    name = fields.get("name")
    if not isinstance(name, str) or name not in RANDOMIZERS:
        raise unknown_name("randomizer", name, RANDOMIZERS)
    module, _, kind = RANDOMIZERS[name].partition(":")
    return fields, getattr(importlib.import_module(f"{__name__}.{module}"), kind)


def _read_schedule(given: Any, randomizer: Randomizer) -> dict[str, int]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise Sim2RealError(f"schedule: expected a mapping of names to 'step' or a number of steps, got {given!r}.")
    if isinstance(randomizer, Adaptive):
        raise Sim2RealError("schedule: an adaptive randomizer learns from episodes that have one domain; leave it out.")
    found = {}
    for name, every in given.items():
        if name not in randomizer.space:
            raise unknown_name("domain parameter", name, randomizer.space)
        steps = 1 if every == "step" else every
        if isinstance(steps, bool) or (steps != "episode" and (not isinstance(steps, int) or steps < 1)):
            raise Sim2RealError(f"schedule of {name} = {every!r} must be 'episode', 'step' or a number of steps.")
        if steps != "episode":
            found[name] = steps
    return found
