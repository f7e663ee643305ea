"""The checks of :mod:`sim2real.domains.check_env` that every env has to stand: interface, determinism, processes."""

from __future__ import annotations

import io
import json
import math
import multiprocessing
import pickle
import re
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from sim2real.domains.channels import Channel, channel_box
from sim2real.domains.contract import Env, action_channels, observation_channels, privileged_channels
from sim2real.domains.randomize import RandomizeDomain
from sim2real.domains.space import Domain, DomainSpace
from sim2real.domains.targets import NOMINAL, check_targets
from sim2real.domains.trajectories import Trajectory, action_sequences, first_difference, play
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError

Status = Literal["ok", "warning", "error", "skipped"]
Outcome = tuple[Status, str]
"""What came out, and one line about it."""

UNREPEATABLE: Outcome = ("skipped", "needs an env that repeats itself, and it does not: see above")

_MIDDLE = 0.4  # of the way from low to high; not 0.5, where many nominal values lie
_SPEED_SECONDS = 0.5
_LONGEST = 10_000  # control steps within which a random episode should end
# What Gymnasium's own tests let pass: advice for learning, no breach of the interface.
_ADVICE = re.compile(r"infinity|recommend|is an image|render_modes|render fps", re.IGNORECASE)
_COLOUR = re.compile(r"\x1b\[\d*m")
_DECORATION = re.compile(r"^WARN: | (See|cf\.) http.*", re.DOTALL)


@dataclass
class Subject:
    """The world under check, and what the checks found out about it so far."""

    world: World
    seed: int
    steps: int
    """Length of a trajectory [control steps]."""
    space: DomainSpace
    read_back: dict[str, Outcome] = field(default_factory=dict)
    """By parameter: whether what is set is what is read."""
    effect: dict[str, Outcome] = field(default_factory=dict)
    """By parameter: whether it moves the trajectory."""
    reference: list[Trajectory] | None = None
    """Trajectories that a fresh env repeats; ``None`` while that is not shown."""
    steps_per_second: float | None = None

    @contextmanager
    def env(self) -> Iterator[Env]:
        """Make the env as it is used, without a randomizer's draws on top, and close it."""
        env = self.world.make()
        try:
            yield env.env if isinstance(env, RandomizeDomain) else env
        finally:
            with suppress(Exception):  # closing has a check of its own
                env.close()

    def off_nominal(self) -> Domain:
        """Return a domain in which every parameter lies somewhere between its bounds."""
        return {name: p.low + _MIDDLE * (p.high - p.low) for name, p in self.space.items()}


def gymnasium_checker(subject: Subject) -> Outcome:
    """Gymnasium's ``check_env``, on the bare env and on the env as it is used."""
    from gymnasium.utils.env_checker import check_env

    messages: list[str] = []
    with subject.env() as env:
        for layer in (env.unwrapped, env):
            layer.action_space.seed(subject.seed)
            # Rendering may need a display; closing has a check of its own.
            messages += _warnings(partial(check_env, layer, skip_render_check=True, skip_close_check=True))
    messages = [m for m in dict.fromkeys(messages) if "is different from the unwrapped version" not in m]
    return _judge(messages, [m for m in messages if not _ADVICE.search(m)])


def sb3_checker(subject: Subject) -> Outcome:
    """Stable-Baselines3's ``check_env``, on the env as it is used."""
    from stable_baselines3.common.env_checker import check_env

    with subject.env() as env:
        env.action_space.seed(subject.seed)
        if env.has_wrapper_attr("compute_reward"):  # which SB3's checker looks for outside; wrappers hand nothing on
            env.compute_reward = env.get_wrapper_attr("compute_reward")  # type: ignore[attr-defined]
        messages = list(dict.fromkeys(_warnings(partial(check_env, env))))
    return _judge(messages, [m for m in messages if "not supported" in m])


def _warnings(checker: Callable[[], None]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        checker()
    return [
        _DECORATION.sub("", _COLOUR.sub("", str(w.message))).strip()
        for w in caught
        if not issubclass(w.category, (DeprecationWarning, PendingDeprecationWarning))  # of libraries, not of the env
    ]


def _judge(messages: list[str], broken: list[str]) -> Outcome:
    if broken:
        return "error", listing(broken)
    return ("warning", listing(messages)) if messages else ("ok", "")


def channels_fit(subject: Subject) -> Outcome:
    """The named channels are as wide as the vectors that they describe."""
    with subject.env() as env:
        observed = env.observation_space
        if isinstance(observed, gym.spaces.Dict) and "observation" in observed.spaces:
            observed = observed["observation"]
        sides = {
            "observation_channels": (observation_channels(env), observed),
            "action_channels": (action_channels(env), env.action_space),
        }
        problems, named = _check_privileged(env, subject.seed)
    for name, (channels, space) in sides.items():
        if channels is None:
            continue
        named.append(f"{len(channels)} {name.replace('_', ' ')}")
        if not all(isinstance(c, Channel) for c in channels):
            problems.append(f"{name} must be Channel objects, got {channels!r}")
        elif sum(c.width for c in channels) != _numbers(space):
            problems.append(f"{name} are {sum(c.width for c in channels)} wide, the space is {space}")
    if not named:
        return "skipped", "optional; none are named"
    return verdict(problems, ", ".join(named))


def _check_privileged(env: Env, seed: int) -> tuple[list[str], list[str]]:
    """Return what is wrong with what a teacher is told, and in words that there is such."""
    channels = privileged_channels(env)
    if channels is None:
        return [], []
    if not env.has_wrapper_attr("privileged_observation"):
        return ["privileged_channels are named and there is no privileged_observation()"], []
    env.reset(seed=seed)
    ask = env.get_wrapper_attr("privileged_observation")
    told, again, box = ask(), ask(), channel_box(channels)
    if not isinstance(told, np.ndarray) or told.shape != box.shape or told.dtype != np.float32:
        return [f"privileged_observation() must be an array of float32, shape {box.shape}, got {told!r}"], []
    if not np.isfinite(told).all() or not np.array_equal(told, again):
        return [f"privileged_observation() must be finite, and the same when asked twice, got {told} and {again}"], []
    return [], [f"{len(channels)} privileged channels"]


def _numbers(space: gym.Space[Any]) -> int | None:
    """Return how many numbers a space holds that channels can name; ``None`` for one that holds none."""
    if isinstance(space, gym.spaces.Discrete):
        return 1
    return math.prod(space.shape) if isinstance(space, (gym.spaces.Box, gym.spaces.MultiDiscrete)) else None


def reference_trajectories(subject: Subject) -> list[Trajectory]:
    """Return the trajectories of a fresh env in the nominal domain and away from it."""
    with subject.env() as env:
        return _play_reference(subject, env)


def _play_reference(subject: Subject, env: Env) -> list[Trajectory]:
    actions = action_sequences(env.action_space, subject.seed, subject.steps)["random"]
    domains: list[Domain] = [{}, subject.off_nominal()] if subject.space else [{}]
    return [play(env, domain, actions, subject.seed) for domain in domains]


def same_seed(subject: Subject) -> Outcome:
    """Two fresh envs repeat each other bitwise."""
    first = reference_trajectories(subject)
    difference = _difference(first, reference_trajectories(subject))
    if difference:
        return "error", f"two fresh envs with one seed: {difference}; draw from self.np_random alone"
    subject.reference = first
    return "ok", f"two fresh envs, {subject.steps} steps, bitwise equal"


def after_other_episodes(subject: Subject) -> Outcome:
    """An env repeats itself after episodes with other seeds and in other domains, some left in the middle."""
    if subject.reference is None:
        return UNREPEATABLE
    domains: list[Domain] = [{name: v} for name, p in subject.space.items() for v in (p.low, p.high)]
    domains.append({})
    with subject.env() as env:
        actions = action_sequences(env.action_space, subject.seed, subject.steps)["random"]
        few = actions[: max(1, subject.steps // 5)]
        for index, domain in enumerate(domains):
            play(env, domain, few if domain else actions, subject.seed + 1 + index)
        difference = _difference(subject.reference, _play_reference(subject, env))
    if difference:
        subject.reference = None
        return "error", f"after episodes with other seeds and domains: {difference}; clear all state in reset"
    return "ok", "after runs with other seeds and domains, bitwise equal"


def other_process(subject: Subject) -> Outcome:
    """A spawned worker, which gets the pickled world, repeats the trajectories bitwise."""
    if subject.reference is None:
        return UNREPEATABLE
    sent = Subject(world=subject.world, seed=subject.seed, steps=subject.steps, space=subject.space)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            found = pool.submit(reference_trajectories, sent).result()
        except BrokenProcessPool:
            return "error", "the spawned worker died; a script that starts workers needs if __name__ == '__main__':"
    difference = _difference(subject.reference, found)
    return ("error", f"in a spawned worker: {difference}") if difference else ("ok", "bitwise equal there")


def _difference(one: list[Trajectory], other: list[Trajectory]) -> str | None:
    for domain, a, b in zip(("the nominal domain", "another domain"), one, other, strict=False):
        index = first_difference(a, b)
        if index is not None:
            return f"step {index} differs in {domain}"
    return None


def pickling(subject: Subject) -> Outcome:
    """The world survives pickle and JSON, and Gymnasium's spec of the env survives pickle."""
    world = subject.world
    if pickle.loads(pickle.dumps(world)) != world:
        return "error", "the world comes back from pickle as another one"
    if World.from_dict(json.loads(json.dumps(world.to_dict(), allow_nan=False))) != world:
        return "error", f"the world comes back from JSON as another one: kwargs = {dict(world.kwargs)!r}"
    with subject.env() as env:
        try:
            pickle.loads(pickle.dumps(env.unwrapped.spec))
        except Exception as error:
            return "warning", f"its Gymnasium spec cannot be pickled ({one_line(error)}); register 'module:Class'"
    return "ok", "world as pickle and as JSON, spec as pickle"


def targets_fit(subject: Subject) -> Outcome:
    """Every target can be made: its env is known and its domain inside the bounds."""
    names = [name for name in check_targets(subject.world) if name != NOMINAL]
    return ("ok", ", ".join(names)) if names else ("skipped", "optional; none are named")


def episodes_end(subject: Subject) -> Outcome:
    """An episode comes to an end, by itself or by a limit of its steps."""
    with subject.env() as env:
        limit = env.spec.max_episode_steps if env.spec is not None else None
        if limit is not None:
            return "ok", f"after {limit} steps at the latest"
        env.action_space.seed(subject.seed)
        env.reset(seed=subject.seed)
        for step in range(1, _LONGEST + 1):
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                return "ok", f"after {step} steps under random actions"
    return "error", f"none ended within {_LONGEST:,} random steps; register it with max_episode_steps=..."


def double_close(subject: Subject) -> Outcome:
    """``close`` may be called twice, before and after a reset."""
    for when in ("before", "after"):
        env = subject.world.make()
        if when == "after":
            env.reset(seed=subject.seed)
        for call in ("first", "second"):
            try:
                env.close()
            except Exception as error:
                return "error", f"the {call} close() {when} a reset raises {one_line(error)}"
    return "ok", "before and after a reset"


def speed(subject: Subject) -> Outcome:
    """Control steps a second under random actions, resets included."""
    with subject.env() as env:
        actions = action_sequences(env.action_space, subject.seed, subject.steps)["random"]
        env.reset(seed=subject.seed)
        steps, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < _SPEED_SECONDS:
            _, _, terminated, truncated, _ = env.step(actions[steps % len(actions)])
            steps += 1
            if terminated or truncated:
                env.reset()
    subject.steps_per_second = steps / elapsed
    return "ok", f"{subject.steps_per_second:,.0f} steps/s in one process, random actions, resets included"


def one_line(error: Exception) -> str:
    """Return an error as one line of at most 300 characters, with its type where the message may need it."""
    speaks = isinstance(error, (Sim2RealError, AssertionError)) and str(error)
    return " ".join((str(error) if speaks else f"{type(error).__name__}: {error}").split())[:300]


def listing(messages: list[str], limit: int = 3) -> str:
    """Join messages in one line; beyond ``limit`` only their number is told."""
    rest = f"; and {len(messages) - limit} more" if len(messages) > limit else ""
    return "; ".join(" ".join(m.split()).rstrip(".") for m in messages[:limit]) + rest


def verdict(problems: list[str], fine: str) -> Outcome:
    """Return an error that lists the problems, or ``ok`` if there are none."""
    return ("error", listing(problems)) if problems else ("ok", fine)
