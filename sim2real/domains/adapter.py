"""Domain parameters for an env the user cannot edit: names mapped to attribute paths, in YAML or in Python."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gymnasium.utils import RecordConstructorArgs

from sim2real.domains.contract import DomainWrapper, Env
from sim2real.domains.signals import SIGNALS, signal_options
from sim2real.domains.space import Domain, DomainSpace
from sim2real.errors import Sim2RealError, check_keys, did_you_mean, unknown_name
from sim2real.files import read_yaml

_TOKEN = re.compile(r"([A-Za-z_]\w*)|\[(\d{1,9})\]")
_RESERVED = ("after_set", "signals", "targets")
_PARAMETER = ("path", "nominal", "low", "high", "unit", "operator", "train")
TARGET_KEYS = ("description", "env", "kwargs", "domain")


@dataclass(frozen=True, kw_only=True)
class DomainFile:
    """What a domain file says, JSON-plain.

    The file maps parameter names to fields; three names are reserved::

        pole_length: {path: unwrapped.length, nominal: 0.5, low: 0.25, high: 1.0, unit: m}
        gravity:     {path: unwrapped.gravity, nominal: 1.0, low: 0.8, high: 1.2, operator: "*"}
        after_set: my_pkg.hooks:recompute          # called with the env after the attributes are set
        signals: {action_delay: {high: 2}}         # wrappers with parameters of their own
        targets: {long-pole: {domain: {pole_length: 0.9}}}
    """

    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """``name -> {path, nominal, low, high, unit, operator, train}``."""
    after_set: str | None = None
    """``module:function``, called with the env after every change."""
    signals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Name in :data:`~sim2real.domains.signals.SIGNALS` -> keyword arguments of its wrapper, from the inside out."""
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Named targets."""
    folder: str | None = field(default=None, compare=False)
    """Folder of the file the user gave, from which ``after_set`` can be imported; a fact of this machine, so not
    written down. ``None`` where the description came with a policy: ``after_set`` is then not called unless it belongs
    to the env's own module, as anyone may have written it."""

    @classmethod
    def read(cls, path: str | Path) -> DomainFile:
        """Read a domain file.

        Raises:
            Sim2RealError: The file cannot be read, or a key or a value in it is wrong.
        """
        content, where = read_yaml(path), str(path)
        parameters = {name: fields for name, fields in content.items() if name not in _RESERVED}
        for name, fields in parameters.items():
            guess = did_you_mean(name, _RESERVED)
            if guess and not (isinstance(fields, Mapping) and any(key in _PARAMETER for key in fields)):
                raise Sim2RealError(f"{where}: unknown key {name!r}.{guess} A parameter is {_example(name)}.")
        reserved = {name: content[name] for name in _RESERVED if name in content}
        folder = str(Path(path).resolve().parent)
        file = cls.from_dict({"parameters": parameters, **reserved}, where, folder=folder)
        if file.after_set is not None:
            try:
                _import_hook(file.after_set, folder)
            except Sim2RealError as error:
                raise Sim2RealError(f"{where}: {error}") from None
        return file

    @classmethod
    def from_dict(cls, content: object, where: str = "domain_file", *, folder: str | None = None) -> DomainFile:
        """Return the domain file of a :meth:`to_dict`, which may come from a stranger: nothing in it is run.

        Args:
            content: The fields ``parameters``, ``after_set``, ``signals`` and ``targets``, all optional.
            where: What was read, for the messages.
            folder: Folder of the file, if the user gave it.

        Raises:
            Sim2RealError: A key or a value is wrong.
        """
        fields = check_keys(content, ("parameters", *_RESERVED), where)
        parameters = _named(fields.get("parameters"), f"{where}: parameters")
        for name, entry in parameters.items():
            if not isinstance(entry, Mapping):
                raise Sim2RealError(f"{where}: parameter {name!r} must be {_example(name)}, got {entry!r}.")
        signals = {}
        for name, entry in check_keys(fields.get("signals") or {}, SIGNALS, f"{where}: signals").items():
            signals[name] = dict(check_keys(entry or {}, signal_options(name), f"{where}: signals: {name}"))
        targets = _named(fields.get("targets"), f"{where}: targets")
        for name, entry in targets.items():
            check_keys(entry, TARGET_KEYS, f"{where}: target {name!r}")
        file = cls(
            parameters=parameters,
            after_set=fields.get("after_set"),
            signals=signals,
            targets=targets,
            folder=folder,
        )
        try:
            file.space()
            if file.after_set is not None:
                _hook_name(file.after_set)
        except Sim2RealError as error:
            raise Sim2RealError(f"{where}: {error}") from None
        if file.after_set is not None and not parameters:
            raise Sim2RealError(
                f"{where}: after_set = {file.after_set!r} is called when parameters are set, and there are none; "
                "name some or leave it out."
            )
        return file

    def space(self) -> DomainSpace:
        """Return the space of the adapted parameters."""
        for name, fields in self.parameters.items():
            if not isinstance(fields.get("path"), str):
                raise Sim2RealError(f"parameter {name!r}: 'path' is missing; give an attribute path from the env.")
        return DomainSpace(
            {name: {k: v for k, v in fields.items() if k != "path"} for name, fields in self.parameters.items()}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-plain description, the same on every machine."""
        return {name: value for name, value in asdict(self).items() if name != "folder"}


class AdaptDomain(DomainWrapper):
    """Give an env domain parameters that are attributes somewhere inside it.

    Operator ``=`` sets the attribute to the parameter's value, ``*`` to the value times what the env was built with,
    ``+`` to the sum of both. Values are set just before a reset and read back from the attribute itself.

    Args:
        env: The env as it is.
        parameters: ``name -> {path, nominal, low, high, unit, operator, train}``; a path is made of attribute names
            and ``[index]``, from the env on, e.g. ``unwrapped.model.body_mass[3]``.
        after_set: Called with the env after the attributes are set, to recompute what depends on them; a function or
            its name as ``module:function``.
        folder: Where else ``module`` may lie.

    Raises:
        Sim2RealError: A path leads nowhere or not to a number; the message names the parameter.
    """

    def __init__(
        self,
        env: Env,
        parameters: Mapping[str, Mapping[str, Any]],
        *,
        after_set: str | Callable[[Env], None] | None = None,
        folder: str | None = None,
    ) -> None:
        RecordConstructorArgs.__init__(self, parameters=parameters, after_set=after_set, folder=folder)
        self.live = after_set is None  # what a hook recomputes may be no good to a simulation under way
        super().__init__(env, DomainFile(parameters=parameters).space())
        self._after_set = _import_hook(after_set, folder) if isinstance(after_set, str) else after_set
        self._places = {name: _Place(env, name, fields["path"]) for name, fields in parameters.items()}
        self._original = {name: place.get() for name, place in self._places.items()}
        for name, parameter in self._own_space.items():
            if parameter.operator == "*" and self._original[name] == 0.0:
                raise Sim2RealError(
                    f"parameter {name!r}: path {parameters[name]['path']!r} is 0, which operator '*' cannot scale; "
                    "use '=' or '+'."
                )

    def _apply(self, own_domain: Domain) -> None:
        for name, value in own_domain.items():
            operator, original = self._own_space[name].operator, self._original[name]
            self._places[name].set(
                value if operator == "=" else value * original if operator == "*" else value + original
            )
        if self._after_set is not None:
            self._after_set(self.env)

    def _read(self) -> Domain:
        domain = {}
        for name, place in self._places.items():
            operator, original, value = self._own_space[name].operator, self._original[name], place.get()
            domain[name] = value if operator == "=" else value / original if operator == "*" else value - original
        return domain


class _Place:
    """A number at an attribute path inside an env."""

    def __init__(self, env: Env, name: str, path: str) -> None:
        self._where = f"parameter {name!r}: path {path!r}"
        self._tokens: list[str | int] = []
        position = 0
        while position < len(path):
            match = _TOKEN.match(path, position + (path[position] == "." and position > 0))
            if match is None:
                raise Sim2RealError(
                    f"{self._where} is not a path; write attribute names and [index], like unwrapped.x[0]."
                )
            self._tokens.append(match[1] if match[1] is not None else int(match[2]))
            position = match.end()
        if not self._tokens:
            raise Sim2RealError(f"{self._where} is empty; write attribute names and [index], like unwrapped.x[0].")
        self._env = env
        value = self._value()
        if isinstance(value, bool) or not hasattr(value, "__float__") or getattr(value, "ndim", False):
            raise Sim2RealError(f"{self._where} is {value!r}, not a number; point it at a number.")

    def _holder(self) -> Any:
        holder: Any = self._env
        for token in self._tokens[:-1]:
            holder = self._step(holder, token)
        return holder

    def _step(self, holder: Any, token: Any) -> Any:
        try:
            if isinstance(token, int):
                return holder[token]
            return getattr(holder, token)
        except (AttributeError, IndexError, TypeError, KeyError):
            numbers = (n for n in dir(holder) if not n.startswith("_") and n not in dir(object))
            raise Sim2RealError(
                f"{self._where}: {str(unknown_name('attribute', token, list(numbers)))[:300]}"
            ) from None

    def _value(self) -> Any:
        return self._step(self._holder(), self._tokens[-1])

    def get(self) -> float:
        return float(self._value())

    def set(self, value: float) -> None:
        holder, last = self._holder(), self._tokens[-1]
        try:
            if isinstance(last, int):
                holder[last] = value
            else:
                setattr(holder, last, value)
        except (AttributeError, TypeError, ValueError) as error:
            raise Sim2RealError(f"{self._where} cannot be set: {error}.") from None


def _example(name: str) -> str:
    return f"a mapping like {{path: unwrapped.{name}, nominal: 1.0, low: 0.5, high: 2.0}}"


def _named(content: object, where: str) -> Mapping[str, Any]:
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise Sim2RealError(f"{where}: expected a mapping of names to values, got {content!r}.")
    for name in content:
        if not isinstance(name, str):
            raise Sim2RealError(
                f"{where}: the name {name!r} is not text; put it in quotes (YAML takes on, off, yes and no for true "
                "and false)."
            )
    return content


def _hook_name(name: object) -> tuple[str, str]:
    module_name, _, function_name = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not module_name or not function_name:
        raise Sim2RealError(f"after_set = {name!r} must be 'module:function'.")
    return module_name, function_name


def _import_hook(name: str, folder: str | None) -> Callable[[Env], None]:
    module_name, function_name = _hook_name(name)
    if folder is not None and folder not in sys.path:
        sys.path.append(folder)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module of the user may raise anything
        raise Sim2RealError(f"after_set = {name!r}: cannot import {module_name!r} ({error}).") from None
    hook = getattr(module, function_name, None)
    if not callable(hook):
        raise Sim2RealError(f"after_set = {name!r}: {module_name!r} has no function {function_name!r}.")
    return hook  # type: ignore[no-any-return]
