"""The parts of the benchmark: what is compared with what, and the goals."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
from speed.figures import Figure, figure, ratio

from env_speed import worlds
from env_speed.fidelity import WORLDS, deviations
from env_speed.peers import HIGHWAY_ENV, PANDA_GYM, Peers
from env_speed.timing import step_times
from sim2real.deployment.bundle import load_policy
from sim2real.domains.contract import domain_space
from sim2real.domains.randomizers import RandomizerSpec
from sim2real.domains.world import World

LAPS, STEPS = 4, 50
"""How often a round goes through what it compares, and the steps each time."""
RESETS_A_ROUND = 20
"""Of each kind."""
CAMERAS: dict[str, tuple[str, dict[str, Any]]] = {
    "Drive-v0, camera": ("sim2real/Drive-v0", {"observation": "camera"}),
    "Labyrinth-v0, camera": ("sim2real/Labyrinth-v0", {"observation": "camera"}),
}
"""The worlds that are seen through a camera, by their names in tables."""
SUBJECTS: dict[str, tuple[str, dict[str, Any]]] = {
    env_id.removeprefix("sim2real/"): (env_id, {}) for env_id in worlds.ALL
} | CAMERAS
"""All worlds."""
RANDOMIZED = ("PandaPush", "Drive", "Labyrinth")
"""Worlds in which the cost of randomization is measured."""
EPISODES = 3
"""Of each, each time."""
WITH_MUJOCO = ("PandaReach-v0", "PandaPush-v0", "Drive-v0", "Labyrinth-v0")
"""The worlds that are there in both engines."""

Clock = Callable[[int], list[float]]
"""Makes steps with a seed; returns how long each took [s]."""


class Bench:
    """What all parts share: the envs and the peers that are open, and how often things are measured.

    Args:
        stack: Closes them at the end.
        peers: Folder of the peers' virtual environment.
        rounds: How often everything is measured.
        resets: After how many resets the memory is looked at.
    """

    def __init__(self, stack: ExitStack, *, peers: Path, rounds: int, resets: int) -> None:
        self._stack, self._folder = stack, peers
        self._peers: Peers | None = None
        self.rounds, self.resets = rounds, resets

    @property
    def peers(self) -> Peers:
        """The peers' process, started when it is needed first."""
        if self._peers is None:
            self._peers = self._stack.enter_context(Peers(self._folder))
        return self._peers

    def make(self, name: str, **kwargs: Any) -> gym.Env[Any, Any]:
        """Return a world of ours with all its default wrappers; like the peers, without Gymnasium's checker."""
        env = gym.make(name if "/" in name else f"sim2real/{name}", disable_env_checker=True, **kwargs)
        self._stack.callback(env.close)
        return env

    def clock(self, name: str, **kwargs: Any) -> Clock:
        """Return what steps a world of ours."""
        env = self.make(name, **kwargs)
        return lambda seed: step_times(env, STEPS, seed)

    def peer(self, name: str) -> Clock:
        """Return what steps an env of a peer."""
        return lambda seed: self.peers.step_times(name, STEPS, seed)[0]

    def compare(self, clocks: Mapping[str, Clock]) -> dict[str, list[float]]:
        """Return the median step of each by turns, one number a round [s]."""
        for clock in clocks.values():
            clock(0)
        result: dict[str, list[float]] = {name: [] for name in clocks}
        for number in range(self.rounds):
            times: dict[str, list[float]] = {name: [] for name in clocks}
            for lap in range(LAPS):
                for name, clock in clocks.items():
                    times[name] += clock(1 + LAPS * number + lap)
            for name, steps in times.items():
                result[name].append(statistics.median(steps))
        return result


def arms(bench: Bench) -> Iterator[Figure]:
    """Reach and Push against panda-gym."""
    for task, same, shipped, joint in (("Reach", 2.8, 4.5, 6.0), ("Push", 2.6, 4.0, 5.0)):
        world = f"Panda{task}-v0"
        steps = bench.compare(
            {
                "peer": bench.peer(f"Panda{task}-v3"),
                "same": bench.clock(world, physics_dt=0.002),
                "shipped": bench.clock(world),
                "joint": bench.clock(world, control="joint"),
                "joint peer": bench.peer(f"Panda{task}Joints-v3"),
            }
        )
        against = ratio(steps["peer"], steps["same"])
        yield figure("arms", f"{task}, the same 20 × 2 ms of physics", against, "×", least=same)
        against = ratio(steps["peer"], steps["shipped"])
        yield figure("arms", f"{task}, as shipped, 10 × 4 ms", against, "×", least=shipped)
        against = ratio(steps["peer"], steps["joint"])
        yield figure("arms", f"{task}, as shipped, with joint control", against, "×", least=joint)
        against = ratio(steps["joint peer"], steps["joint"])
        yield figure("arms", f"{task}, as shipped, joint control on both sides", against, "×")


def floors(bench: Bench) -> Iterator[Figure]:
    """Every world's step against the part of it that the engine takes in the same motion."""
    for env_id in worlds.ALL:
        name = env_id.removeprefix("sim2real/")
        if name.startswith("Labyrinth"):
            yield _floor(bench, name, name, "stepSimulation", most=1.3)
        elif "Drive" in name:  # without rays its floor is a tenth of this
            yield _floor(bench, f"{name}, rays included", name, "stepSimulation", "rayTestBatch")
        else:
            yield _floor(bench, name, name, "stepSimulation", most=1.45)
            yield _floor(bench, f"{name}, joint control", name, "stepSimulation", control="joint", most=1.3)


def _floor(bench: Bench, title: str, name: str, *functions: str, most: float | None = None, **kwargs: Any) -> Figure:
    env = bench.make(name, **kwargs)
    steps = bench.compare(
        {
            "step": lambda seed: step_times(env, STEPS, seed),
            "floor": lambda seed: worlds.engine_times(env, STEPS, seed, *functions),
        }
    )
    env.close()
    goal = {} if most is None else {"most": most}
    return figure("floors", title, ratio(steps["step"], steps["floor"]), "×", **goal)


def driving(bench: Bench) -> Iterator[Figure]:
    """Drive with 32 rays against highway-env."""
    dt = 0.04  # between two actions; what Drive has anyway [s]
    own = bench.clock("Drive-v0", rays=32, control_dt=dt)
    steps = bench.compare({"peer": bench.peer("racetrack-v0"), "own": own})
    faster = ratio(steps["peer"], steps["own"])
    yield figure("driving", "Drive, 32 rays, per step", faster, "×", digits=1, least=60.0)
    _, peer_dt = bench.peers.step_times("racetrack-v0", 1, 0)
    simulated = [value * dt / peer_dt for value in faster]
    yield figure("driving", "Drive, 32 rays, per simulated second", simulated, "×", digits=1, least=5.0)


def resets(bench: Bench) -> Iterator[Figure]:
    """What a reset costs, in control steps of the same world."""
    for name, (env_id, kwargs) in SUBJECTS.items():
        env = bench.make(env_id, **kwargs)
        worlds.reset_times(env, RESETS_A_ROUND, 0)
        same, other = [], []
        for number in range(bench.rounds):
            times = [statistics.median(kind) for kind in worlds.reset_times(env, RESETS_A_ROUND, 1 + number)]
            same.append(times[0] / times[2])
            other.append(times[1] / times[2])
        env.close()
        yield figure("resets", f"{name}, into the same domain", same, "steps", most=2.0)
        yield figure("resets", f"{name}, into another domain", other, "steps", most=2.0)


def randomization(bench: Bench) -> Iterator[Figure]:
    """What a new domain for every episode costs, with the shipped policies, against the same one in all of them."""
    for name in RANDOMIZED:
        world, predict = World.of(f"sim2real_envs:sim2real/{name}-v0"), load_policy(name).predict
        with closing(world.make()) as env:
            ranges = {key: p.train_range for key, p in domain_space(env).items()}
        middle = {key: (low + high) / 2.0 for key, (low, high) in ranges.items()}
        # All domains are next to that one, so that the motion is the same.
        near = {key: [middle[key], middle[key] + 1e-6 * (high - low)] for key, (low, high) in ranges.items()}
        normal = {
            key: {"distribution": "normal", "mean": low, "std": high - low, "low": low, "high": high}
            for key, (low, high) in near.items()
        }
        specs: dict[str, RandomizerSpec] = {
            "one": {"name": "none", "domain": middle},
            "uniform": {"name": "uniform", "ranges": near},
            "distributions": {"name": "distributions", "parameters": normal},
            "doraemon": {"name": "doraemon", "ranges": near},
            "active": {"name": "active", "ranges": near},
        }
        with ExitStack() as stack:
            envs = {title: stack.enter_context(closing(world.make(randomizer=spec))) for title, spec in specs.items()}
            steps = bench.compare(
                {
                    title: partial(worlds.episode_times, env, predict, EPISODES)  # type: ignore[arg-type]
                    for title, env in envs.items()
                }
            )
        for title in list(specs)[1:]:
            yield figure("randomization", f"{name}, {title}", ratio(steps[title], steps["one"]), "×", most=1.05)


def memory(bench: Bench) -> Iterator[Figure]:
    """By how much a process grows over many resets, each into another domain."""
    for name, (env_id, kwargs) in SUBJECTS.items():
        yield figure("memory", name, [worlds.memory_growth(env_id, kwargs, bench.resets)], "MB", most=1.0)


def camera(bench: Bench) -> Iterator[Figure]:
    """What a frame of 84 × 84 takes."""
    for name, (env_id, kwargs) in CAMERAS.items():
        env = bench.make(env_id, **kwargs)
        frames = bench.compare({"frame": lambda seed, env=env: _frames(env, seed)})["frame"]  # type: ignore[misc]
        env.close()
        yield figure("camera", name, [1e3 * seconds for seconds in frames], "ms", most=2.0)


def _frames(env: gym.Env[Any, Any], seed: int) -> list[float]:
    return worlds.engine_times(env, STEPS, seed, "getCameraImage")


def mujoco(bench: Bench) -> Iterator[Figure]:
    """How much faster the worlds step in MuJoCo."""
    for name in WITH_MUJOCO:
        steps = bench.compare({"pybullet": bench.clock(name), "mujoco": bench.clock(name, engine="mujoco")})
        yield figure("mujoco", name, ratio(steps["pybullet"], steps["mujoco"]), "×")


def fidelity(bench: Bench) -> Iterator[Figure]:  # noqa: ARG001 (all parts have one form)
    """How far the lean robots move from the stock ones."""
    for robot in WORLDS:
        for setting, (most, rms) in deviations(robot).items():
            yield figure("fidelity", f"{robot}, {setting}, most", [most], "mm")
            yield figure("fidelity", f"{robot}, {setting}, rms", [rms], "mm")


PARTS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    part.__name__: part for part in (arms, floors, driving, camera, mujoco, fidelity, resets, randomization, memory)
}
"""All parts, in the order of the page."""
TITLES = {
    "arms": f"Arms: how many times as fast as panda-gym {PANDA_GYM}",
    "floors": "A step, compared with what the engine alone takes for the same motion",
    "driving": f"Driving: how many times as fast as `racetrack-v0` of highway-env {HIGHWAY_ENV}",
    "camera": "A camera frame of 84 × 84",
    "mujoco": "MuJoCo: how many times as fast as PyBullet in the same world",
    "fidelity": "How far the end effector of the lean robots is from that of the stock ones",
    "resets": "A reset, in control steps of the same world",
    "randomization": "A step with a new domain in every episode, over one with the same domain in all of them",
    "memory": "What a process grows by over {resets:,} resets, each into another domain",
}
"""What the parts are called on the page; ``{resets}`` is to be filled in."""
