"""The plug-in contract of an env, read through any stack of Gymnasium wrappers.

Nothing beyond Gymnasium is required to train, evaluate and transfer. An env that can be randomized from inside offers
``domain_space``, ``set_domain(domain)`` and ``get_domain()``, honours ``reset(options={"domain": ...})`` and reports
``info["domain"]``. Optionally some of its parameters can change during an episode (``live_parameters``,
``change_domain(changes)``), it names its numbers (``observation_channels``, ``action_channels``), ships targets
(``targets_file``) and tells a teacher what the simulator knows and its sensors do not show (``privileged_channels``,
``privileged_observation()``).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from sim2real.domains.channels import Channel, channel_box
from sim2real.domains.space import Domain, DomainSpace
from sim2real.errors import unknown_name

Env = gym.Env[Any, Any]


def _attribute(env: Env, name: str, default: Any) -> Any:
    # gymnasium >= 1.0: a wrapper no longer forwards unknown attributes by itself.
    return env.get_wrapper_attr(name) if env.has_wrapper_attr(name) else default


def domain_space(env: Env) -> DomainSpace:
    """Return the env's domain space; an empty one for an env without domain parameters."""
    space = _attribute(env, "domain_space", None)
    return space if space is not None else DomainSpace()


def set_domain(env: Env, domain: Mapping[str, float]) -> None:
    """Set the domain of all following episodes; missing parameters take their nominal values.

    Raises:
        Sim2RealError: A name is unknown, or a value is out of bounds.
    """
    if len(domain_space(env)):
        env.get_wrapper_attr("set_domain")(domain)
    elif domain:
        raise unknown_name("domain parameter", next(iter(domain)), ())


def get_domain(env: Env) -> Domain:
    """Return the domain as the simulator itself has it now; empty for an env without domain parameters."""
    return dict(env.get_wrapper_attr("get_domain")()) if len(domain_space(env)) else {}


def live_parameters(env: Env) -> tuple[str, ...]:
    """Return the domain parameters that can change during an episode, see :func:`change_domain`."""
    return tuple(_attribute(env, "live_parameters", ()))


def change_domain(env: Env, changes: Mapping[str, float]) -> None:
    """Change parameters of the present episode, at once; the following episodes are not affected.

    Args:
        env: An env that has ``change_domain(changes)``, and names in ``live_parameters`` what it takes.
        changes: New values of some of these.

    Raises:
        Sim2RealError: A parameter is not among them, or a value is out of bounds.
    """
    live = live_parameters(env)
    for name in changes:
        if name not in live:
            raise unknown_name("parameter that can change during an episode:", name, live)
    env.get_wrapper_attr("change_domain")(changes)


def observation_channels(env: Env) -> tuple[Channel, ...] | None:
    """Return the named channels of the observation vector, or ``None`` where the env does not name them."""
    channels = _attribute(env, "observation_channels", None)
    return None if channels is None else tuple(channels)


def action_channels(env: Env) -> tuple[Channel, ...] | None:
    """Return the named channels of the action vector, or ``None`` where the env does not name them."""
    channels = _attribute(env, "action_channels", None)
    return None if channels is None else tuple(channels)


class Interface(NamedTuple):
    """What is seen and done: the two spaces of an env or of a policy, and the names of their numbers."""

    observation: gym.Space[Any]
    action: gym.Space[Any]
    observation_channels: tuple[Channel, ...] | None = None
    action_channels: tuple[Channel, ...] | None = None
    privileged_channels: tuple[Channel, ...] | None = None

    def as_teacher(self) -> Interface:
        """Return the interface of a teacher, which reads what the simulator knows where the env tells it."""
        if self.privileged_channels is None:
            return self
        read = channel_box(self.privileged_channels)
        return Interface(read, self.action, self.privileged_channels, self.action_channels)


def interface(env: Env) -> Interface:
    """Return the interface of an env."""
    sides = env.observation_space, env.action_space
    return Interface(*sides, observation_channels(env), action_channels(env), privileged_channels(env))


def privileged_channels(env: Env) -> tuple[Channel, ...] | None:
    """Return the named channels of what a teacher, or an asymmetric critic, reads in place of the observation, if any.

    The numbers themselves are what the env's ``privileged_observation()`` returns, an array of float32 of that width,
    at any time between ``reset`` and ``close``; asking for it changes nothing.
    """
    channels = _attribute(env, "privileged_channels", None)
    return None if channels is None else tuple(channels)


def targets_file(env: Env) -> str | None:
    """Return the path of the YAML file of targets that ships with the env, if there is one."""
    path: str | None = _attribute(env, "targets_file", None)
    return path


def derived_generator(seed: int, owner: str) -> np.random.Generator:
    """Return the random stream that ``owner`` derives from the seed handed to ``reset``.

    Distinct owners get independent streams from one seed, whatever the order in which they draw.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(owner.encode())])))


class DomainWrapper(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Base of the wrappers that add domain parameters of their own to those of the wrapped env.

    It does the bookkeeping of the contract (splitting a domain, one-episode domains, changes during one,
    ``info["domain"]``, the random stream). A subclass writes :meth:`_apply` and, as it needs, :meth:`_read`,
    :meth:`_begin_episode` and the ``step`` of a Gymnasium wrapper, in which it calls :meth:`_step_env`.

    Args:
        env: The env to wrap.
        own_space: The parameters that this wrapper owns.

    Raises:
        Sim2RealError: A parameter of the same name exists already further inside.
    """

    live: bool = False
    """Whether :meth:`_apply` may be called during an episode, too."""
    whole_episode: ClassVar[tuple[str, ...]] = ()
    """Parameters of a live one that nevertheless are what they are from the beginning of an episode to its end."""

    def __init__(self, env: Env, own_space: DomainSpace) -> None:
        gym.Wrapper.__init__(self, env)
        self._inner_space = domain_space(env)
        self._own_space = own_space
        self._space = self._inner_space | own_space
        self._own_domain = own_space.nominal()
        self._episode_domain: Domain = self._space.nominal()
        own = [name for name in own_space if self.live and name not in self.whole_episode]
        self._live_parameters = (*live_parameters(env), *own)
        # A stream of its own: what this wrapper draws never shifts what the wrapped env draws.
        self._rng = np.random.default_rng()

    @property
    def domain_space(self) -> DomainSpace:
        """The parameters of the wrapped env followed by those of this wrapper."""
        return self._space

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set the domain of all following episodes; missing parameters take their nominal values."""
        inner, own = self._split(domain)
        set_domain(self.env, inner)
        self._own_domain = own

    @property
    def live_parameters(self) -> tuple[str, ...]:
        """Those that can change during an episode."""
        return self._live_parameters

    def change_domain(self, changes: Mapping[str, float]) -> None:
        """Change parameters of the present episode, at once; see :func:`change_domain`."""
        full = self._space.complete({**self._episode_domain, **changes})
        inner = {name: value for name, value in changes.items() if name in self._inner_space}
        if inner:
            change_domain(self.env, inner)
        if len(inner) < len(changes):
            self._apply({name: full[name] for name in self._own_space})
        self._episode_domain = full

    def get_domain(self) -> Domain:
        """Read the domain back from the wrapped env and from this wrapper."""
        return {**get_domain(self.env), **self._read()}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset; ``options={"domain": ...}`` sets the domain of this one episode."""
        if seed is not None:
            self._rng = derived_generator(seed, type(self).__qualname__)
        own = self._own_domain
        if options is not None and "domain" in options:
            inner, own = self._split(options["domain"])
            options = {**options, "domain": inner}
            if not self._inner_space:  # an env outside the contract need not know the option
                del options["domain"]
        self._apply(own)
        observation, info = self.env.reset(seed=seed, options=options)
        self._episode_domain = {**info.get("domain", {}), **own}
        info["domain"] = dict(self._episode_domain)
        return self._begin_episode(observation), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the wrapped env; ``info["domain"]`` is the full domain of the episode."""
        return self._step_env(action)

    def _step_env(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        info["domain"] = dict(self._episode_domain)
        return observation, reward, terminated, truncated, info

    def _split(self, domain: Mapping[str, float]) -> tuple[Domain, Domain]:
        full = self._space.complete(domain)
        return {n: full[n] for n in self._inner_space}, {n: full[n] for n in self._own_space}

    def _apply(self, own_domain: Domain) -> None:
        """Take the values of this wrapper's own parameters: before the wrapped env is reset, or where they change."""
        raise NotImplementedError

    def _read(self) -> Domain:
        """Return the values of this wrapper's own parameters, from what ``step`` uses."""
        raise NotImplementedError

    def _begin_episode(self, observation: Any) -> Any:
        """Clear the state of the last episode; return the first observation as the agent sees it."""
        return observation
