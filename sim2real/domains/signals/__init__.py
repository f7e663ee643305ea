"""Signals between agent and world as domain parameters, for any env.

Latency, noise, sensors, actuators, pictures, pushes and missed control steps.


Each wrapper adds its parameters to the wrapped env's domain space, so that one randomizer draws physics and signals
together. They go together in any order: an action passes them from the outside in, an observation from the inside out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from sim2real.domains.signals.actuators import ActionBacklash, ActionLag, ActionNoise, ActionSaturation, ActuatorGain
from sim2real.domains.signals.base import ActionSignal, ObservationSignal, Signal
from sim2real.domains.signals.delay import ActionDelay, ObservationDelay
from sim2real.domains.signals.disturbances import MissedSteps, Pushes
from sim2real.domains.signals.images import ImageAugmentation
from sim2real.domains.signals.noise import ObservationNoise
from sim2real.domains.signals.sensors import ObservationQuantisation, SensorDropout, StuckSensor

__all__ = [
    "SIGNALS",
    "ActionBacklash",
    "ActionDelay",
    "ActionLag",
    "ActionNoise",
    "ActionSaturation",
    "ActionSignal",
    "ActuatorGain",
    "ImageAugmentation",
    "MissedSteps",
    "ObservationDelay",
    "ObservationNoise",
    "ObservationQuantisation",
    "ObservationSignal",
    "Pushes",
    "SensorDropout",
    "Signal",
    "StuckSensor",
    "signal_options",
]

_CLASSES: tuple[type[Signal], ...] = (
    ActionDelay,
    ActionNoise,
    ActuatorGain,
    ActionLag,
    ActionBacklash,
    ActionSaturation,
    ObservationDelay,
    ObservationNoise,
    ObservationQuantisation,
    SensorDropout,
    StuckSensor,
    ImageAugmentation,
    Pushes,
    MissedSteps,
)

SIGNALS: Mapping[str, Callable[..., Signal]] = {signal.signal_name: signal for signal in _CLASSES}
"""All signals by the name that a domain file calls them."""


def signal_options(name: str) -> tuple[str, ...]:
    """Return the names of the options of a signal."""
    parameters = inspect.signature(SIGNALS[name]).parameters.values()
    return tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)
