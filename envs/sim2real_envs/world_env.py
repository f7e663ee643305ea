"""What the envs of all worlds do alike: domains, clocks, episodes and pictures."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sim2real.domains.space import Domain, DomainSpace
from sim2real_envs.arguments import check_choice
from sim2real_envs.viewer import Viewer

Array = NDArray[Any]


class Engine(Protocol):
    """What an env asks of the world that it is simulated in."""

    control_dt: float
    """Time between two actions [s]."""

    def focus(self) -> None:
        """Make sure that other worlds of this process are not felt; refuse to go on with a closed one."""

    def close(self) -> Any:
        """Free what it holds; a second call does nothing."""


class WorldEnv(gym.Env[Any, Array], ABC):
    """An env with a domain space, in an engine, that can be seen.

    A subclass writes ``step`` and the methods that are abstract here. It builds what :meth:`_apply` needs before it
    calls the constructor of this class.

    Args:
        engine: Where it is simulated.
        domain_space: Its parameters.
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``; checked by :func:`check_render_mode` before.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "human"], "render_fps": 25}  # noqa: RUF012
    targets_file: str | None = None
    push_space: gym.spaces.Box
    """Impulses that :meth:`push` takes [N s], symmetric; the largest are about what a person does to such a thing."""
    whole_episode: tuple[str, ...] = ()
    """Parameters that are what they are from the beginning of an episode to its end."""

    def __init__(self, engine: Engine, domain_space: DomainSpace, render_mode: str | None) -> None:
        self._engine = engine
        self.domain_space = domain_space
        self.render_mode = render_mode
        self.metadata = {**type(self).metadata, "render_fps": round(1.0 / engine.control_dt)}
        self._viewer: Viewer | None = None
        self._domain = self._episode_domain = domain_space.nominal()
        self._apply(self._domain)

    @abstractmethod
    def get_domain(self) -> Domain:
        """Read the domain of the present episode back from what simulates it."""

    @abstractmethod
    def _apply(self, domain: Domain) -> None:
        """Give the simulation a domain, complete: before an episode, or where it changes during one."""

    @abstractmethod
    def push(self, impulse: Array) -> None:
        """Push what moves, in world coordinates, before the next action.

        Args:
            impulse: An element of :attr:`push_space` [N s].
        """

    @abstractmethod
    def _begin_episode(self) -> Any:
        """Begin an episode in the present domain, with what ``self.np_random`` gives; return the observation."""

    @abstractmethod
    def _info(self) -> dict[str, Any]:
        """Return the info of a reset."""

    @abstractmethod
    def _make_viewer(self, *, window: bool) -> Viewer:
        """Build what draws this world."""

    @abstractmethod
    def _show(self) -> None:
        """Let ``self._viewer`` show the world as it is."""

    def set_domain(self, domain: Mapping[str, float]) -> None:
        """Set the domain of all following episodes; missing parameters take their nominal values."""
        self._domain = self.domain_space.complete(domain)

    @property
    def live_parameters(self) -> tuple[str, ...]:
        """Those that can change during an episode."""
        return tuple(name for name in self.domain_space if name not in self.whole_episode)

    def change_domain(self, changes: Mapping[str, float]) -> None:
        """Change parameters of the present episode, at once; the following ones are not affected."""
        self._engine.focus()
        self._episode_domain = self.domain_space.complete({**self._episode_domain, **changes})
        self._apply(self._episode_domain)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; ``options={"domain": ...}`` sets the domain of this one."""
        super().reset(seed=seed)
        self._engine.focus()
        domain = self._domain
        if options is not None and "domain" in options:
            domain = self.domain_space.complete(options["domain"])
        if domain != self._episode_domain:
            self._apply(domain)
            self._episode_domain = domain
        observation = self._begin_episode()
        if self.render_mode == "human":
            self.render()
        return observation, self._info()

    def _show_in_window(self) -> None:
        """Show what has happened in a step, at the speed at which it would happen."""
        self.render()
        time.sleep(self._engine.control_dt)

    def render(self) -> NDArray[np.uint8] | None:
        """Draw the world.

        Returns:
            A picture, shape (360, 480, 3), with ``render_mode="rgb_array"``; nothing otherwise.
        """
        if self.render_mode is None:
            gym.logger.warn("render() does nothing without a render_mode; make the env with render_mode='rgb_array'.")
            return None
        if self._viewer is None:
            self._viewer = self._make_viewer(window=self.render_mode == "human")
        self._show()
        return self._viewer.picture() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Let go of the engine and of what draws; a second call does nothing."""
        self._engine.close()
        if self._viewer is not None:
            self._viewer.close()


def check_render_mode(render_mode: str | None) -> None:
    """Refuse a render mode that is unknown, before anything is built.

    Raises:
        Sim2RealError: The message names those there are.
    """
    if render_mode is not None:
        check_choice("render_mode", render_mode, WorldEnv.metadata["render_modes"])
