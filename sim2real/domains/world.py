"""The recipe of an env: picklable and JSON-plain, so that a worker, a bundle and a config file can rebuild it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import gymnasium as gym

from sim2real.domains.adapter import AdaptDomain, DomainFile
from sim2real.domains.contract import Env, Interface, domain_space, interface
from sim2real.domains.guard import GuardFinite
from sim2real.domains.randomize import RandomizeDomain
from sim2real.domains.randomizers import RandomizerSpec, make_randomizer
from sim2real.domains.signals import SIGNALS
from sim2real.domains.space import finite_number
from sim2real.errors import Sim2RealError, check_keys, unknown_name
from sim2real.files import check_plain

PLUGIN_GROUP = "sim2real.envs"
"""Entry-point group whose modules register worlds when imported."""


@dataclass(frozen=True, kw_only=True)
class World:
    """An env and how it is set up; :meth:`make` builds it."""

    env: str
    """Gymnasium id, ``"Pendulum-v1"`` or ``"module:Namespace/Env-v0"``; the module is imported to register it."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the env, JSON-plain."""
    domain_file: DomainFile | None = None
    """Domain parameters from outside, for an env that has none of its own."""
    domain: Mapping[str, float] | None = None
    """The one domain of a target; ``None`` leaves the choice to a randomizer."""
    target: str | None = None
    """Name of the target, where it is one."""

    @classmethod
    def of(
        cls,
        env: str | World,
        *,
        kwargs: Mapping[str, Any] | None = None,
        domain_file: str | Path | DomainFile | None = None,
    ) -> World:
        """Return the world of an id, or the given one, with its domain file read.

        Raises:
            Sim2RealError: A keyword argument is not JSON-plain, or the domain file cannot be read.
        """
        if isinstance(env, World):
            if kwargs or domain_file is not None:
                raise Sim2RealError("a World has its arguments and its domain file already; give them there.")
            return env
        check_plain(kwargs or {}, "kwargs")
        if isinstance(domain_file, (str, Path)):
            domain_file = DomainFile.read(domain_file)
        return cls(env=env, kwargs=dict(kwargs or {}), domain_file=domain_file)

    def make(self, *, randomizer: RandomizerSpec = "none", render_mode: str | None = None) -> Env:
        """Build the env: domain file, signals, guard against NaN, and a domain for every episode.

        Args:
            randomizer: Where the domains of the episodes come from; a world with a ``domain`` is always in it.
            render_mode: As in ``gymnasium.make``.

        Raises:
            Sim2RealError: The env, one of its arguments, a parameter or a randomizer is unknown or out of bounds.
        """
        env = self._wrapped(render_mode)
        try:
            space = domain_space(env)
            spec = randomizer if self.domain is None else {"name": "none", "domain": dict(self.domain)}
            return RandomizeDomain(GuardFinite(env), make_randomizer(spec, space))
        except Sim2RealError:
            env.close()
            raise

    def interface(self) -> Interface:
        """Return what is seen and done in its envs.

        Raises:
            Sim2RealError: See :meth:`make`.
        """
        with closing(self.make()) as env:
            return interface(env)

    def _wrapped(self, render_mode: str | None) -> Env:
        file = self.domain_file
        if file is not None and file.after_set is not None and file.folder is None:
            self._refuse_foreign_hook(file.after_set)
        env = _make(self.env, {**self.kwargs, **({"render_mode": render_mode} if render_mode else {})})
        if file is None:
            return env
        try:
            if file.parameters:
                env = AdaptDomain(env, file.parameters, after_set=file.after_set, folder=file.folder)
            for name, options in file.signals.items():
                env = SIGNALS[name](env, **options)
        except (Sim2RealError, TypeError) as error:
            env.close()
            raise Sim2RealError(f"domain file for {self.env}: {error}") from None
        return env

    def _refuse_foreign_hook(self, after_set: str) -> None:
        # A description that came with a policy may name any function there is. Making the env runs the env's own
        # module anyway, so that one is no further risk.
        own = self.env.rpartition(":")[0]
        if not own or not f"{after_set.partition(':')[0]}.".startswith(f"{own}."):
            raise Sim2RealError(
                f"the policy's world calls after_set = {after_set!r}, which is not of the env's own module; give the "
                "domain file yourself with --domain FILE if you trust it."
            )

    def with_domain(self, domain: Mapping[str, float], target: str) -> World:
        """Return this world fixed at a domain, under a target's name."""
        return replace(self, domain=dict(domain), target=target)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-plain description, the inverse of :meth:`from_dict`."""
        return {
            "env": self.env,
            "kwargs": dict(self.kwargs),
            "domain_file": None if self.domain_file is None else self.domain_file.to_dict(),
            "domain": None if self.domain is None else dict(self.domain),
            "target": self.target,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> World:
        """Return the world of a :meth:`to_dict`, which may come from a stranger: nothing in it is run.

        Raises:
            Sim2RealError: A key or a value is wrong.
        """
        check_keys(fields, ("env", "kwargs", "domain_file", "domain", "target"), "world")
        env, kwargs, target = fields.get("env"), fields.get("kwargs", {}), fields.get("target")
        file, domain = fields.get("domain_file"), fields.get("domain")
        if not isinstance(env, str):
            raise Sim2RealError(f"world: env = {env!r} must be the id of an env.")
        if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
            raise Sim2RealError(f"world: kwargs = {kwargs!r} must be a mapping of names to values.")
        if domain is not None:
            if not isinstance(domain, Mapping):
                raise Sim2RealError(f"world: domain = {domain!r} must be a mapping of names to numbers.")
            domain = {name: finite_number(value, f"world: domain: {name}") for name, value in domain.items()}
        if not isinstance(target, (str, type(None))):
            raise Sim2RealError(f"world: target = {target!r} must be a name.")
        return cls(
            env=env,
            kwargs=dict(kwargs),
            domain_file=None if file is None else DomainFile.from_dict(file, "world: domain_file"),
            domain=domain,
            target=target,
        )


def load_plugins() -> list[str]:
    """Import every installed module that registers worlds; return their names."""
    modules = sorted({entry.value for entry in entry_points(group=PLUGIN_GROUP)})
    for module in modules:
        importlib.import_module(module)
    return modules


def _make(env_id: str, kwargs: Mapping[str, Any]) -> Env:
    module, _, name = env_id.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise Sim2RealError(f"env {env_id!r}: importing {module!r} failed: {error}.") from None
            raise Sim2RealError(
                f"unknown env {env_id!r}: there is no module {module!r} here; run from the folder that holds it, or "
                f"add that folder to PYTHONPATH."
            ) from None
        except Exception as error:  # a module of the user may raise anything
            raise Sim2RealError(f"env {env_id!r}: importing {module!r} failed: {error}.") from error
    elif name not in gym.registry:
        load_plugins()
    if name not in gym.registry:
        try:  # Gymnasium fills in a version that is left out
            name = gym.spec(name).id
        except gym.error.Error:
            raise _unknown_env(env_id, name) from None
    try:
        return gym.make(name, **kwargs)
    except Sim2RealError:
        raise
    except (TypeError, ValueError) as error:
        reason = (str(error).split(" was raised from the environment creator")[0].splitlines() or [""])[0]
        if "unexpected keyword argument" in reason:
            raise Sim2RealError(f"env {env_id!r}: {reason.partition('() ')[2]}; check its arguments.") from None
        if not kwargs:  # then it is the env's mistake, not the user's
            raise
        raise Sim2RealError(
            f"env {env_id!r} refused its arguments {dict(kwargs)}: {reason.rstrip('.')}; check them."
        ) from error
    except gym.error.DependencyNotInstalled as error:
        raise Sim2RealError(f"env {env_id!r} needs a package that is not installed: {error}") from None


def _unknown_env(env_id: str, name: str) -> Sim2RealError:
    namespace, slash, _ = name.rpartition("/")
    known = [i for i in gym.registry if not slash or i.startswith(f"{namespace}/")] or list(gym.registry)
    message = str(unknown_name("env", env_id, known)).split(" Known:")[0]
    return Sim2RealError(f"{message} 'sim2real envs' lists the worlds; an env of your own is 'module:Name-v0'.")


def make_importable(folder: str | Path) -> None:
    """Let modules in ``folder`` be imported in this process and in those it spawns."""
    path = str(Path(folder).resolve())
    if path not in sys.path:
        sys.path.append(path)
