"""A tiny env that keeps the contract, and others that break one clause each; registered as ``tiny_envs:NAME-v0``."""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym
import numpy as np

from sim2real.domains.channels import Channel
from sim2real.domains.space import DomainSpace, Parameter


class Sound(gym.Env[Any, Any]):
    """A point on a line, pushed with ``gain * action`` and slowed down by ``drag``."""

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form
    length = 50  # control steps of an episode

    observation_channels = (
        Channel(name="position", width=1, unit="m", low=-10.0, high=10.0, noise=0.1),
        Channel(name="velocity", width=1, unit="m/s", low=-10.0, high=10.0, noise=0.0),
    )
    action_channels = (Channel(name="push", width=1, unit="N", low=-1.0, high=1.0),)
    push_space = gym.spaces.Box(-0.5, 0.5, (1,), np.float64)

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Box(-10.0, 10.0, (2,), np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.domain_space = DomainSpace(
            {
                "gain": Parameter(nominal=1.0, low=0.5, high=2.0, operator="*", train=(0.8, 1.2)),
                "drag": Parameter(nominal=0.1, low=0.0, high=1.0, unit="1/s"),
            }
        )
        self.set_to = self.domain_space.nominal()
        self.gain, self.drag = 1.0, 0.1
        self.state = np.zeros(2)
        self.steps = 0

    def set_domain(self, domain):
        self.set_to = self.domain_space.complete(domain)

    def get_domain(self):
        return {"gain": self.gain, "drag": self.drag}

    def apply(self, domain):
        self.gain, self.drag = domain["gain"], domain["drag"]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        chosen = self.set_to
        if options and "domain" in options:
            chosen = self.domain_space.complete(options["domain"])
        self.apply(chosen)
        self.state = np.array([self.np_random.uniform(-0.1, 0.1), 0.0])
        self.steps = 0
        return self.observe(), self.info()

    def push(self, impulse):
        self.state[1] += float(impulse[0])

    def observe(self):
        return np.clip(self.state, -10.0, 10.0).astype(np.float32)

    def info(self):
        return {"domain": self.get_domain()}

    def acceleration(self, action):
        return self.gain * float(action[0]) - self.drag * self.state[1]

    def step(self, action):
        self.steps += 1
        self.state[1] += 0.1 * self.acceleration(action)
        self.state[0] += 0.1 * self.state[1]
        return self.observe(), -abs(float(self.state[0])), False, self.steps >= self.length, self.info()


class NoEffect(Sound):
    def acceleration(self, action):
        return self.gain * float(action[0])


class LateEffect(Sound):
    length = 1000

    def acceleration(self, action):
        return self.gain * float(action[0]) - (self.drag * self.state[1] if self.steps > 150 else 0.0)


class Inert(Sound):
    """The drag is connected, and does next to nothing."""

    def acceleration(self, action):
        return self.gain * float(action[0]) - 0.001 * self.drag * self.state[1]


class NeverEnds(Sound):
    length = 10**9


class RewardOnly(Sound):
    def acceleration(self, action):
        return self.gain * float(action[0])

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, reward - self.drag, *rest


class Constant(Sound):
    """The drag shows in a number that is constant along an episode."""

    def observe(self):
        return np.array([np.clip(self.state[0], -10, 10), 5.0 * self.drag], np.float32)

    def acceleration(self, action):
        return self.gain * float(action[0])


class PushedOnly(Sound):
    """Drag acts under a full push alone, which random actions never make."""

    def acceleration(self, action):
        return self.gain * float(action[0]) - (self.drag * self.state[1] if action[0] == 1.0 else 0.0)


class Coupled(Sound):
    """Drag acts only where the gain is not nominal."""

    def acceleration(self, action):
        return self.gain * float(action[0]) - (self.gain - 1.0) * self.drag * self.state[1]


class RemembersDict(Sound):
    def set_domain(self, domain):
        super().set_domain(domain)
        self.told = self.set_to

    def apply(self, domain):
        super().apply(domain)
        self.told = domain

    def get_domain(self):
        return dict(self.told)


class AppliesAtOnce(Sound):
    def set_domain(self, domain):
        super().set_domain(domain)
        self.apply(self.set_to)


class ClipsSilently(Sound):
    def apply(self, domain):
        super().apply(domain)
        self.gain = min(self.gain, 1.5)


class OptionsStay(Sound):
    def reset(self, *, seed=None, options=None):
        if options and "domain" in options:
            self.set_domain(options["domain"])
        return super().reset(seed=seed, options=options)


class OptionsIgnored(Sound):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)


class KeepsOthers(Sound):
    """A parameter that is not named keeps its last value instead of its nominal one."""

    def set_domain(self, domain):
        self.set_to = self.domain_space.complete({**self.set_to, **domain})


class GlobalRandom(Sound):
    def acceleration(self, action):
        gust = np.random.normal() if self.steps > 5 else 0.0  # noqa: NPY002 - the mistake itself
        return super().acceleration(action) + gust


class Leaks(Sound):
    """A wear that no reset clears."""

    wear = 0

    def acceleration(self, action):
        self.wear += 1
        return super().acceleration(action) + (0.1 if self.wear > 220 else 0.0)


class ProcessBound(Sound):
    def acceleration(self, action):
        return super().acceleration(action) + os.getpid() * 1e-6


class AcceptsAnything(Sound):
    def set_domain(self, domain):
        self.set_to = {**self.domain_space.nominal(), **domain}


class HalfRefuses(Sound):
    """Takes part of a domain before it refuses the rest."""

    def set_domain(self, domain):
        self.set_to = {**self.domain_space.nominal(), "gain": 1.9}
        super().set_domain(domain)


class NoInfo(Sound):
    def info(self):
        return {}


class SharesInfo(Sound):
    def info(self):
        return {"domain": self.set_to}


class ClosesOnce(Sound):
    closed = False

    def close(self):
        if self.closed:
            raise RuntimeError("physics client is gone")
        self.closed = True


class StepRaises(Sound):
    def step(self, action):
        raise RuntimeError("no physics today")


class WrongType(Sound):
    def observe(self):
        return super().observe().astype(np.float64)


class WrongChannels(Sound):
    observation_channels = Sound.observation_channels[:1]


class TellsNothing(Sound):
    privileged_channels = Sound.observation_channels[:1]


class TellsTooMuch(TellsNothing):
    def privileged_observation(self):
        return np.zeros(3, np.float32)


class TellsTwoTales(TellsNothing):
    def privileged_observation(self):
        self.told = getattr(self, "told", 0.0) + 1.0
        return np.full(1, self.told, np.float32)


class MakesNoSense(Sound):
    def __init__(self) -> None:
        raise RuntimeError("no licence")


class NoNumber(Sound):
    """The reward is NaN from the third step on."""

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, float("nan") if self.steps >= 3 else reward, *rest


class GoalDict(Sound):
    """A dict observation with a goal, which is commanded and not measured."""

    def __init__(self) -> None:
        super().__init__()
        box = self.observation_space
        self.observation_space = gym.spaces.Dict(
            {"observation": box, "achieved_goal": box, "desired_goal": box},
        )

    def observe(self):
        state = super().observe()
        return {"observation": state, "achieved_goal": state.copy(), "desired_goal": np.zeros(2, np.float32)}


class Camera(Sound):
    """A dict observation with a picture, in which the point is a bright column on a ramp of greys."""

    def __init__(self) -> None:
        super().__init__()
        pictures = gym.spaces.Box(0, 255, (12, 16, 3), np.uint8)
        self.observation_space = gym.spaces.Dict({"observation": self.observation_space, "camera": pictures})

    def observe(self):
        picture = np.arange(12 * 16 * 3, dtype=np.uint8).reshape(12, 16, 3)
        picture[:, int(np.clip(8 + 8 * self.state[0], 0, 15))] = 250
        return {"observation": super().observe(), "camera": picture}


class Plain(Sound):
    """No contract at all."""

    observation_channels = None  # type: ignore[assignment]
    action_channels = None  # type: ignore[assignment]

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.domain_space = None  # type: ignore[assignment]

    def reset(self, *, seed=None, options=None):
        assert not options, "this env knows no options"
        gym.Env.reset(self, seed=seed)
        self.state = np.array([self.np_random.uniform(-0.1, 0.1), 0.0])
        self.steps = 0
        return self.observe(), {}

    def info(self):
        return {}


class Echo(gym.Env[Any, Any]):
    """Observes and remembers the actions that arrive, and what its own stream draws."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        self.action_space = gym.spaces.Box(low, high, (1,), np.float32)
        self.observation_space = gym.spaces.Box(-1e6, 1e6, (2,), np.float64)
        self.applied: list[float] = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.applied = []
        return np.array([0.0, self.np_random.normal()]), {}

    def step(self, action):
        self.applied.append(float(action[0]))
        return np.array([float(action[0]), self.np_random.normal()]), 0.0, False, False, {}


class Tape(gym.Env[Any, Any]):
    """Shows what it is given, one after the other, and keeps the very actions that arrive."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, shown=(), observation_space=None, action_space=None, channels=None) -> None:
        self.shown = shown
        self.observation_space = observation_space or gym.spaces.Box(-1e6, 1e6, (1,), np.float64)
        self.action_space = action_space or gym.spaces.Box(-1.0, 1.0, (1,), np.float64)
        self.observation_channels = channels
        self.actions: list[Any] = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.actions = []
        return self.show(), {}

    def step(self, action):
        self.actions.append(action)
        return self.show(), 0.0, False, False, {}

    def show(self):
        index = len(self.actions)
        return self.shown[index] if index < len(self.shown) else np.zeros(self.observation_space.shape)


for _name, _class in tuple(globals().items()):
    if isinstance(_class, type) and issubclass(_class, gym.Env) and f"{_name}-v0" not in gym.registry:
        gym.register(f"{_name}-v0", entry_point=f"tiny_envs:{_name}")
