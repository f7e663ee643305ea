"""Space maps: which number of one world's observations and actions is which of another's.

A policy reads x ∈ Rⁿ and says v ∈ Rᵏ; an env shows y ∈ Rᵐ and takes u ∈ Rˡ. A map has a part for each,

    x = A y + a        what the policy reads, from what the env shows,
    u = B v + b        what the env takes, from what the policy says,

made of their named channels, see :class:`~sim2real.domains.channels.Channel`:

- the same name is the same quantity, wherever it stands in the vector, in whichever unit;
- a pure number (unit ``"1"``) goes from bounds to bounds: half of the throttle stays half of the throttle;
- where widths differ, what is sampled (a lidar) is interpolated, of all else the first numbers are the same;
- a row of zeros is a number that is not there: the policy reads its mean in training instead, the env takes the middle.

A user may say otherwise, for each channel that is read or taken::

    observation:                     # channels that the policy reads: where they come from in the env
      joint_position: {from: joint_position, elements: [0, 1, 2, 3, null, 4, 5], scale: [1, 1, 1, -1, 1, 1, 1]}
      speed: forward_speed           # another name
      wheel_speed: {from: {speed: 1.0, yaw_rate: -0.3}}    # a sum, in the channels' own numbers
      hole_offset: null              # not there
    action:                          # channels that the env takes: what the policy says for them
      left_wheels: {from: {throttle: 1.0, steering: -0.5}, offset: 0.1}

Where a side names no channels, numbers are matched by their position.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sim2real.deployment.pictures import is_picture
from sim2real.domains.channels import Channel
from sim2real.domains.contract import Interface
from sim2real.domains.units import PURE, conversion
from sim2real.errors import Sim2RealError, check_keys, unknown_name
from sim2real.files import read_yaml

Array = NDArray[np.float64]
Overrides = Mapping[str, Mapping[str, Any]]
"""What a user says: for ``observation`` and ``action``, by channel that is read or taken."""

KINDS = ("observation", "action")
BY_POSITION = (
    "{side} names no {kind} channels: its numbers are matched by their position, which is wrong wherever a number "
    "stands in another place or unit. Name them ({kind}_channels of the env) or say in a map which is which."
)


@dataclass(frozen=True, eq=False)
class Numbers:
    """What a vector of numbers is made of."""

    channels: tuple[Channel, ...]
    """In their order; one of all numbers where they have no names."""
    low: Array
    """Lower bounds, shape (n,)."""
    high: Array
    """Upper bounds, shape (n,)."""
    choices: tuple[int, ...] = ()
    """How many choices there are for each number, where they are discrete."""
    named: bool = True
    """Whether the channels have names."""

    @property
    def starts(self) -> dict[str, int]:
        """Where each channel begins, by name."""
        ends = np.cumsum([0, *(channel.width for channel in self.channels)])
        return {channel.name: int(start) for channel, start in zip(self.channels, ends, strict=False)}

    def place(self, channel: Channel) -> slice:
        """Return where a channel stands."""
        start = self.starts[channel.name]
        return slice(start, start + channel.width)

    @classmethod
    def of(cls, kind: str, space: spaces.Space[Any], channels: Sequence[Channel] | None, side: str) -> Numbers:
        """Describe a space.

        Args:
            kind: ``"observation"`` or ``"action"``.
            space: The space.
            channels: Their names, if they have any.
            side: Whose it is, for messages.

        Raises:
            Sim2RealError: It is no vector, or the channels are of another width.
        """
        choices: tuple[int, ...] = ()
        if is_picture(space):
            able = (
                ": distill trains one where the env has a privileged_observation for the teacher"
                if side == "the env"
                else ", which no method here has"
            )
            raise Sim2RealError(
                f"{side} has pictures as {kind}s ({space}), and a map joins numbers with numbers; between pictures and "
                f"numbers an encoder is needed{able}. Else train from scratch there."
            )
        if kind == "action" and isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
            plain = isinstance(space, spaces.Discrete)
            choices = (int(space.n),) if plain else tuple(map(int, space.nvec.ravel()))  # type: ignore[union-attr]
            if min(choices) < 2:
                raise Sim2RealError(f"{side} has {kind}s without a choice: {space}.")
            low, high = -np.ones(len(choices)), np.ones(len(choices))
        elif isinstance(space, spaces.Box) and len(space.shape) == 1:
            low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        else:
            raise Sim2RealError(
                f"{side} has {space} as {kind}s, which a map cannot take apart; it needs a vector of numbers"
                + (" (gymnasium.wrappers.FlattenObservation makes one)." if kind == "observation" else ".")
            )
        if channels is None:
            one = Channel(name=kind, width=len(low), unit=PURE, low=-math.inf, high=math.inf)
            return cls((one,), low, high, choices, named=False)
        width = sum(channel.width for channel in channels)
        if width != len(low):
            raise Sim2RealError(f"{side}: {kind}_channels are {width} wide and the {kind} {len(low)}.")
        if choices:
            low = np.array([c.low for c in channels for _ in range(c.width)])
            high = np.array([c.high for c in channels for _ in range(c.width)])
        return cls(tuple(channels), low, high, choices)


@dataclass(frozen=True)
class Link:
    """What becomes of a channel, for the user to read."""

    what: str
    """``"kept"``, ``"moved"``, ``"re-scaled"``, ``"interpolated"``, ``"combined"``, ``"constant"``, ``"new"`` or
    ``"gone"``."""
    policy: str
    """The channel of the policy; empty for what is new."""
    env: str
    """The channels of the env; empty for what is gone."""
    how: str = ""
    """More about it."""


@dataclass(frozen=True, eq=False)
class Part:
    """The map of observations or of actions: ``wanted = matrix · given + offset``."""

    kind: str
    """``"observation"``: the policy wants, the env gives; ``"action"``: the env wants, the policy gives."""
    wanted: Numbers
    given: Numbers
    matrix: Array
    """Shape (wanted, given)."""
    offset: Array
    """Shape (wanted,); of no meaning in a row of zeros but for a constant that the user gave."""
    constant: NDArray[np.bool_]
    """Shape (wanted,): where a row of zeros has an offset that the user gave."""
    links: tuple[Link, ...]


@dataclass(frozen=True, eq=False)
class SpaceMap:
    """The map between a policy's spaces and those of an env."""

    observation: Part
    action: Part
    warnings: tuple[str, ...]
    """What a match by position costs."""

    def to_dict(self) -> dict[str, Any]:
        """Return what is to be known of it, JSON-plain: what becomes of each channel, and the warnings."""
        links = {part.kind: [vars(link) for link in part.links] for part in (self.observation, self.action)}
        return {**links, "warnings": list(self.warnings)}


def map_spaces(policy: Interface, env: Interface, overrides: Overrides | None = None) -> SpaceMap:
    """Map the spaces of a policy and of an env.

    Args:
        policy: What is read and said.
        env: What is shown and taken.
        overrides: What the user says about channels, see the module's docstring.

    Raises:
        Sim2RealError: A space is no vector, a channel is unknown, units differ in kind, or an entry contradicts itself.
    """
    given = check_keys(overrides or {}, KINDS, "map")
    parts, warnings = {}, []
    for kind in KINDS:
        own, theirs = (getattr(side, f"{kind}_channels") for side in (policy, env))
        for side, channels in (("the policy", own), ("the env", theirs)):
            if channels is None and not given.get(kind):
                warnings.append(BY_POSITION.format(side=side, kind=kind))
        if own is None or theirs is None:
            own = theirs = None
        else:
            own, theirs = _agreed(own, theirs), _agreed(theirs, own)
        sides = [
            Numbers.of(kind, space, channels, side)
            for space, channels, side in (
                (getattr(policy, kind), own, "the policy"),
                (getattr(env, kind), theirs, "the env"),
            )
        ]
        wanted, source = sides if kind == "observation" else reversed(sides)
        parts[kind] = _Builder(kind, wanted, source).build(given.get(kind) or {})
    return SpaceMap(parts["observation"], parts["action"], tuple(warnings))


def read_map(file: str | Path) -> dict[str, Any]:
    """Read a user's map.

    Raises:
        Sim2RealError: It is no YAML mapping with parts for ``observation`` and ``action``.
    """
    content = read_yaml(file)
    check_keys(content, KINDS, str(file))
    for kind, entries in content.items():
        if entries is not None and not isinstance(entries, Mapping):
            raise Sim2RealError(f"{file}: {kind}: expected a mapping of channels, got {entries!r}.")
    return content


class _Builder:
    """Builds one part.

    Args:
        kind: Of what.
        wanted: What is read or taken.
        given: What is shown or said.
    """

    def __init__(self, kind: str, wanted: Numbers, given: Numbers) -> None:
        self._kind, self._wanted, self._given = kind, wanted, given
        self._owners = ("the policy", "the env") if kind == "observation" else ("the env", "the policy")
        self._matrix = np.zeros((len(wanted.low), len(given.low)))
        self._offset = np.zeros(len(wanted.low))
        self._constant = np.zeros(len(wanted.low), dtype=bool)
        self._givers = {channel.name: channel for channel in given.channels}

    def build(self, entries: Mapping[str, Any]) -> Part:
        names = [channel.name for channel in self._wanted.channels]
        for name in entries:
            if name not in names:
                raise unknown_name(f"{self._kind} channel of {self._owners[0]}", name, names)
        links = []
        for channel in self._wanted.channels:
            if channel.name in entries:
                links.append(self._as_said(channel, entries[channel.name]))
            elif channel.name in self._givers:
                links.append(self._by_name(channel, self._givers[channel.name]))
            else:
                links.append(self._missing(channel))
        starts = self._given.starts
        for channel in self._given.channels:
            start = starts[channel.name]
            used = self._matrix[:, start : start + channel.width].any(axis=0)
            if not used.any():
                links.append(self._link("unused", None, [channel], ""))
            elif not used.all():
                what = _numbers(np.flatnonzero(~used))
                links.append(self._link("unused", None, [channel], f"{what} of {channel.width}"))
        return Part(self._kind, self._wanted, self._given, self._matrix, self._offset, self._constant, tuple(links))

    def _by_name(
        self,
        wanted: Channel,
        given: Channel,
        elements: Sequence[int | None] | None = None,
        factor: Array | float = 1.0,
        shift: Array | float = 0.0,
    ) -> Link:
        """Link a channel with one that measures the same, but for a factor and a shift in its own unit."""
        rows, columns = self._wanted.place(wanted), self._given.place(given)
        if elements is not None:
            chosen = np.zeros((wanted.width, given.width))
            for row, column in enumerate(elements):
                if column is not None:
                    chosen[row, column] = 1.0
        elif wanted.width != given.width and wanted.sampled:
            chosen = interpolation(wanted.width, given.width)
        else:
            chosen = np.eye(wanted.width, given.width)
        there = chosen.any(axis=1)
        scale, offset = self._scale(wanted, given, rows, columns, chosen)
        scale, offset = scale * factor, offset * factor + shift
        self._matrix[rows, columns] = scale[:, None] * chosen
        self._offset[rows] = np.where(there, offset, 0.0)
        changed = bool((scale[there] != 1.0).any() or offset[there].any())
        how = []
        if wanted.width != given.width and wanted.sampled and elements is None:
            what = "interpolated"
            how.append(f"{given.width} to {wanted.width} samples")
        else:
            what = (
                "kept" if np.array_equal(chosen, np.eye(*chosen.shape)) and self._same_place(wanted, given) else "moved"
            )
            if not there.all():
                how.append(f"{_numbers(np.flatnonzero(~there))} of {wanted.width} not there")
        if changed:
            what = "re-scaled" if what in ("kept", "moved") else what
            how.append(_formula(scale[there], offset[there]))
        return self._link(what, wanted, [given], ", ".join(how))

    def _scale(
        self, wanted: Channel, given: Channel, rows: slice, columns: slice, chosen: Array
    ) -> tuple[Array, Array]:
        """Return by what each wanted number is scaled and shifted, shape (wanted,) each."""
        ones, zeros = np.ones(wanted.width), np.zeros(wanted.width)
        if not self._wanted.named:
            if self._kind == "observation":
                return ones, zeros
            low, high = chosen @ self._given.low[columns], chosen @ self._given.high[columns]
            own = self._wanted.low[rows], self._wanted.high[rows]
            there = chosen.any(axis=1) & np.isfinite(low + high + own[0] + own[1])
            scale = np.where(there, (own[1] - own[0]) / np.where(there, high - low, 1.0), 1.0)
            return scale, np.where(there, own[0] - scale * low, 0.0)
        if wanted.unit == given.unit == PURE:
            ends = (wanted.low, wanted.high, given.low, given.high)
            if ends[:2] == ends[2:] or not np.isfinite(ends).all():
                return ones, zeros
            factor = (wanted.high - wanted.low) / (given.high - given.low)
            return factor * ones, (wanted.low - factor * given.low) * ones
        try:
            factor, shift = conversion(given.unit, wanted.unit)
        except Sim2RealError as error:
            raise Sim2RealError(
                f"{self._kind} channel {wanted.name!r} of {self._owners[0]} is in {wanted.unit!r}, {given.name!r} of "
                f"{self._owners[1]} in {given.unit!r}: {error} Say in a map where it comes from, or that it is null."
            ) from None
        return factor * ones, shift * ones

    def _as_said(self, wanted: Channel, entry: Any) -> Link:
        """Link a channel as the user says."""
        where = f"map: {self._kind}: {wanted.name}"
        if entry is None:
            return self._missing(wanted)
        if isinstance(entry, str):
            return self._by_name(wanted, self._giver(entry))
        check_keys(entry, ("from", "elements", "scale", "offset"), where)
        source, elements = entry.get("from"), entry.get("elements")
        scale, offset = (self._each(entry, key, wanted, where) for key in ("scale", "offset"))
        if isinstance(source, str):
            giver = self._giver(source)
            self._check_elements(elements, wanted, giver, where)
            given_scale = np.ones(1) if scale is None else scale
            if not given_scale.all():
                raise Sim2RealError(
                    f"{where}: scale = {entry['scale']!r} must not be 0; null says that it is not there."
                )
            return self._by_name(wanted, giver, elements, given_scale, 0.0 if offset is None else offset)
        for key in ("elements", "scale"):
            if entry.get(key) is not None:
                raise Sim2RealError(f"{where}: {key} goes with one channel's name, write from: NAME.")
        if source is None:
            if offset is None:
                raise Sim2RealError(f"{where}: say where it comes from (from: NAME), or that it is null.")
            self._offset[self._wanted.place(wanted)] = offset
            self._constant[self._wanted.place(wanted)] = True
            return self._link("constant", wanted, [], _list(entry["offset"]))
        return self._sum(wanted, source, np.zeros(wanted.width) if offset is None else offset, where)

    def _sum(self, wanted: Channel, source: Any, offset: Array, where: str) -> Link:
        """Make a channel the weighted sum of others, number by number."""
        if not isinstance(source, Mapping) or not source:
            raise Sim2RealError(f"{where}: from = {source!r} must be a channel's name, or weights by name.")
        rows, givers = self._wanted.place(wanted), []
        for name, weight in source.items():
            giver = self._giver(name)
            if not _is_number(weight) or weight == 0.0:
                raise Sim2RealError(f"{where}: the weight of {name} = {weight!r} must be a finite number, not 0.")
            if giver.width != wanted.width:
                raise Sim2RealError(
                    f"{where}: {name} has {giver.width} numbers and {wanted.name} {wanted.width}; a sum needs equal "
                    f"widths."
                )
            self._matrix[rows, self._given.place(giver)] = weight * np.eye(wanted.width)
            givers.append(giver)
        self._offset[rows] = offset
        terms = " ".join(f"{'+' if weight > 0 else '−'} {abs(weight):g} {name}" for name, weight in source.items())
        shift = f" + {_list(offset.tolist())}" if offset.any() else ""
        return self._link("combined", wanted, givers, terms.removeprefix("+ ") + shift)

    def _missing(self, wanted: Channel) -> Link:
        how = "its mean in training" if self._kind == "observation" else "the middle of its range at first"
        return self._link("missing", wanted, [], how)

    def _link(self, what: str, wanted: Channel | None, givers: Sequence[Channel], how: str) -> Link:
        """Name both sides, and say new or gone of what only one of them has."""
        ours, theirs = (str(wanted) if wanted is not None else "", ", ".join(map(str, givers)))
        policy, env = (ours, theirs) if self._kind == "observation" else (theirs, ours)
        if what in ("missing", "unused"):
            what = "new" if env else "gone"
        return Link(what, policy, env, how)

    def _giver(self, name: str) -> Channel:
        if name not in self._givers:
            raise unknown_name(f"{self._kind} channel of {self._owners[1]}", name, self._givers)
        return self._givers[name]

    def _same_place(self, wanted: Channel, given: Channel) -> bool:
        return wanted.name == given.name and self._wanted.starts[wanted.name] == self._given.starts[given.name]

    @staticmethod
    def _each(entry: Mapping[str, Any], key: str, wanted: Channel, where: str) -> Array | None:
        """Return a number for each of a channel's, from one for all or a list."""
        given = entry.get(key)
        if given is None:
            return None
        listed = given if isinstance(given, list) else [given] * wanted.width
        if len(listed) != wanted.width or not all(map(_is_number, listed)):
            raise Sim2RealError(f"{where}: {key} = {given!r} must be a finite number, or a list of {wanted.width}.")
        return np.array(listed, dtype=np.float64)

    @staticmethod
    def _check_elements(elements: Any, wanted: Channel, giver: Channel, where: str) -> None:
        if elements is None:
            return
        if not isinstance(elements, list) or len(elements) != wanted.width:
            raise Sim2RealError(f"{where}: elements = {elements!r} must be a list of {wanted.width}, one a number.")
        chosen = [element for element in elements if element is not None]
        for element in chosen:
            if isinstance(element, bool) or not isinstance(element, int) or not 0 <= element < giver.width:
                raise Sim2RealError(
                    f"{where}: element {element!r} must be a whole number from 0 to {giver.width - 1}, or null."
                )
        if len(set(chosen)) != len(chosen):
            raise Sim2RealError(f"{where}: elements = {elements!r} name a number of {giver.name} twice.")


def _agreed(channels: Sequence[Channel], others: Sequence[Channel]) -> tuple[Channel, ...]:
    """Return channels that are sampled, or of the body, if those of the same name on the other side are.

    Policies that were stored before there were such flags know nothing of them.
    """
    known = {channel.name: channel for channel in others}
    return tuple(
        replace(
            channel,
            sampled=channel.sampled or known[channel.name].sampled,
            of_body=channel.of_body or known[channel.name].of_body,
        )
        if channel.name in known
        else channel
        for channel in channels
    )


def interpolation(wanted: int, given: int) -> Array:
    """Return the matrix that interpolates samples linearly, both from end to end, shape (wanted, given)."""
    if given == 1:
        return np.ones((wanted, 1))
    places = np.linspace(0.0, given - 1.0, wanted) if wanted > 1 else np.array([0.5 * (given - 1)])
    return np.maximum(0.0, 1.0 - np.abs(places[:, None] - np.arange(given)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(indices: NDArray[Any]) -> str:
    """Return some indices in words: ``numbers 2, 3``."""
    return f"number{'s' if len(indices) > 1 else ''} {', '.join(map(str, indices))}"


def _formula(scale: Array, offset: Array) -> str:
    """Return in words what is done to numbers."""
    times = f"× {_list(scale.tolist())}" if (scale != 1.0).any() else ""
    return f"{times} + {_list(offset.tolist())}".lstrip() if offset.any() else times


def _list(values: Any) -> str:
    """Return numbers in words, one where all are the same."""
    listed = values if isinstance(values, list) else [values]
    shown = [f"{value:.6g}".replace("-", "−") for value in listed]
    return shown[0] if len(set(shown)) == 1 else f"[{', '.join(shown)}]"
