"""The parts of the benchmark: what is compared with what, and the goals."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speed.figures import Figure, figure, ratio
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from learning_speed.peers import Peers
from learning_speed.subjects import make_updated, seconds_a_frame, seconds_a_step, seconds_an_update
from sim2real.domains.world import World
from sim2real.training.fast.sac import FastSAC
from sim2real.training.fast.td3 import FastTD3
from sim2real.training.hyperparameters import resolve_hyperparameters
from sim2real.training.learner import make_learner, make_training_env
from sim2real.training.sampler.vec_env import ParallelVecEnv

UPDATES = {64: 200, 128: 150, 256: 60}
"""Updates of each side in a round, by the width of the hidden layers."""
BLOCK = 16
"""Updates a call, where there are several."""
ENVS, STEPS = 8, 150
"""Envs that are collected from, and the steps of each in a round."""
ROLLOUT = 2048
"""Env steps of a rollout of the peer's PPO: the default of Stable-Baselines3."""
FRAMES = 4096
"""Env steps that PPO learns from in a round."""
BUSY_STEPS = 8_192
"""Env steps over which cores are counted."""
ALONE = "in one process"
SETTINGS = {ALONE: (0, False), "--workers 2": (2, False), "--workers 2 --overlap": (2, True)}
"""Workers, and whether they step while it learns."""
COLLECTED = {"PandaReach-v0": "PandaReach-v3", "PandaPush-v0": "PandaPush-v3", "Drive-v0": None, "Labyrinth-v0": None}
"""Worlds that are collected from, and panda-gym's where there is such a one."""

Clock = Callable[[int], float]
"""Does something, in the round of this number; returns how long it took for one of what it repeats [s]."""


class Bench:
    """What all parts share.

    Args:
        peers: Folder of the peers' virtual environment.
        rounds: How often everything is measured.
    """

    def __init__(self, *, peers: Path, rounds: int) -> None:
        self._folder, self.rounds = peers, rounds

    def peers(self) -> Peers:
        """Start the peers' process, on the cores that this one has."""
        return Peers(self._folder)

    def compare(self, clocks: Mapping[str, Clock]) -> dict[str, list[float]]:
        """Return what each clock says by turns, one number a round; a first round is not counted."""
        found: dict[str, list[float]] = {name: [] for name in clocks}
        for number in range(1 + self.rounds):
            for name, clock in clocks.items():
                seconds = clock(number)
                if number:
                    found[name].append(seconds)
        return found


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and those that it starts meanwhile, on one core and one thread."""
    threads, cores = torch.get_num_threads(), os.sched_getaffinity(0)
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)


def updates(bench: Bench) -> Iterator[Figure]:
    """Updates of SAC against Stable-Baselines3 and SBX, of TD3 against Stable-Baselines3."""
    goals = {64: (4.0, 1.8), 128: (2.5, 1.5), 256: (1.7, 1.35)}
    with one_core(), bench.peers() as peers:
        for width, count in UPDATES.items():
            learners = {
                "stock": make_updated(SAC, width, device="cpu"),
                "fast": make_updated(FastSAC, width, device="cpu"),
                "eager": make_updated(FastSAC, width, device="cpu"),
                "stock td3": make_updated(TD3, width, device="cpu"),
                "fast td3": make_updated(FastTD3, width, device="cpu"),
            }
            learners["eager"].compiled = False
            clocks: dict[str, Clock] = {name: partial(_updates, learners[name], count, 1) for name in learners}
            clocks["fast block"] = partial(_updates, learners["fast"], count // BLOCK, BLOCK)
            clocks["sbx"] = lambda _, w=width, n=count: peers.seconds("sbx", width=w, calls=n, steps=1)  # type: ignore[misc]
            clocks["sbx block"] = lambda _, w=width, n=count: peers.seconds(  # type: ignore[misc]
                "sbx", width=w, calls=n // BLOCK, steps=BLOCK
            )
            times = bench.compare(clocks)
            size = f"{width}²"
            fast, eager = goals[width]
            yield figure("updates", f"SAC {size}, updates", [1.0 / t for t in times["fast"]], "1/s", digits=0)
            faster = ratio(times["stock"], times["fast"])
            yield figure("updates", f"SAC {size}, as often as Stable-Baselines3", faster, "×", least=fast)
            faster = ratio(times["stock"], times["eager"])
            yield figure("updates", f"SAC {size}, the same without a compiler", faster, "×", least=eager)
            faster = ratio(times["sbx"], times["fast"])
            yield figure("updates", f"SAC {size}, as often as SBX", faster, "×", least=0.75)
            faster = ratio(times["sbx block"], times["fast block"])
            yield figure("updates", f"SAC {size}, as often as SBX, {BLOCK} updates a call", faster, "×")
            faster = ratio(times["stock td3"], times["fast td3"])
            yield figure("updates", f"TD3 {size}, as often as Stable-Baselines3", faster, "×")


def _updates(learner: Any, calls: int, steps: int, _: int) -> float:
    return seconds_an_update(learner, calls, steps)


def collection(bench: Bench) -> Iterator[Figure]:
    """Steps of eight envs in processes against the vectorized envs of Stable-Baselines3, and panda-gym in them."""
    with bench.peers() as peers:
        for name, peer in COLLECTED.items():
            factories = [World.of(f"sim2real_envs:sim2real/{name}").make] * ENVS
            parallel, dummy, subproc = ParallelVecEnv(factories), DummyVecEnv(factories), SubprocVecEnv(factories)
            with closing(parallel), closing(dummy), closing(subproc):
                envs = {"parallel": parallel, "dummy": dummy, "subproc": subproc}
                for vec_env in envs.values():
                    vec_env.seed(0)
                    vec_env.reset()
                clocks: dict[str, Clock] = {key: partial(_steps, vec_env) for key, vec_env in envs.items()}
                if peer is not None:
                    for kind in ("dummy", "subproc"):
                        clocks[f"peer {kind}"] = partial(_peer_steps, peers, peer, kind)
                times = bench.compare(clocks)
            title = name.removesuffix("-v0")
            for kind, vec in (("dummy", "DummyVecEnv"), ("subproc", "SubprocVecEnv")):
                yield figure("collection", f"{title}, as fast as in {vec}", ratio(times[kind], times["parallel"]), "×")
            for kind, vec in (("dummy", "DummyVecEnv"), ("subproc", "SubprocVecEnv")) if peer is not None else ():
                faster = ratio(times[f"peer {kind}"], times["parallel"])
                yield figure("collection", f"{title}, as fast as panda-gym in {vec}", faster, "×")


def _steps(vec_env: Any, number: int) -> float:
    return seconds_a_step(vec_env, STEPS, number)


def _peer_steps(peers: Peers, env: str, kind: str, number: int) -> float:
    return peers.seconds("collect", env=env, count=ENVS, kind=kind, steps=STEPS, seed=number)


def ppo(bench: Bench) -> Iterator[Figure]:
    """Whole trainings with PPO, against Stable-Baselines3's with its default settings in panda-gym."""
    world = World.of("sim2real_envs:sim2real/PandaReach-v0")
    values = resolve_hyperparameters("ppo", world, None)
    request = {"env": "PandaReach-v3", "count": ENVS, "rollout": ROLLOUT, "steps": FRAMES}
    with (
        bench.peers() as peers,
        _learning(world, "ppo", values, workers=0) as alone,
        _learning(world, "ppo", values, workers=os.cpu_count() or 1) as spread,
    ):
        times = bench.compare(
            {
                "peer": lambda _: peers.seconds("ppo", **request),
                "alone": lambda _: seconds_a_frame(alone, FRAMES),
                "spread": lambda _: seconds_a_frame(spread, FRAMES),
            }
        )
    yield figure("ppo", "PandaReach, steps", [1.0 / t for t in times["spread"]], "1/s", digits=0)
    faster = ratio(times["peer"], times["spread"])
    yield figure("ppo", "PandaReach, as fast as Stable-Baselines3 in panda-gym", faster, "×")
    yield figure("ppo", "the same in one process", ratio(times["peer"], times["alone"]), "×")


@contextmanager
def _learning(
    world: World, algo: str, values: Mapping[str, Any], *, workers: int, overlap: bool = False
) -> Iterator[Any]:
    """Make a learner with tuned settings and its envs, as ``sim2real train --workers`` does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    vec_env = make_training_env(world, "uniform", values, values["n_envs"], workers=workers)
    try:
        learner: Any = make_learner(algo, vec_env, values, seed=0, steps=1_000_000)
        learner.set_logger(Logger(None, []))
        if overlap:
            learner.overlap(vec_env.unwrapped)
        yield learner
    finally:
        vec_env.close()
        torch.set_num_threads(threads)


def cores(bench: Bench) -> Iterator[Figure]:  # noqa: ARG001 (all parts have one form)
    """How many cores a training keeps busy, how fast it is, and what memory it takes."""
    for name, algo in (
        ("PandaReach-v0", "sac"),
        ("PandaPush-v0", "sac"),
        ("Drive-v0", "sac"),
        ("PandaReach-v0", "ppo"),
    ):
        alone = 0.0
        for setting, (workers, overlap) in SETTINGS.items():
            if overlap and algo == "ppo":
                continue
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # its memory is its own
                found = pool.submit(_train, name, algo, workers, overlap).result()
            title = f"{name.removesuffix('-v0')}, {algo.upper()}, {setting}"
            if workers:
                goal = {"least": 1.8} if overlap or algo == "ppo" else {}
                yield figure("cores", f"{title}, cores busy", [found["cores"]], "", **goal)
                yield figure("cores", f"{title}, as fast as in one process", [alone / found["seconds"]], "×")
                yield figure("cores", f"{title}, memory of the workers", [found["workers"]], "MB", digits=0)
            else:
                alone = found["seconds"]
                if found["replay"]:
                    yield figure("cores", f"{title}, memory of the replay buffer", [found["replay"]], "MB", digits=0)
            yield figure("cores", f"{title}, memory of the learner", [found["learner"]], "MB", digits=0)
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            pair = [pool.submit(_train, name, algo, 0, False) for _ in range(2)]
            both = [each.result() for each in pair]
        title = f"{name.removesuffix('-v0')}, {algo.upper()}, two trainings at a time"
        yield figure("cores", f"{title}, cores busy", [sum(found["cores"] for found in both)], "", least=1.8)
        faster = sum(alone / found["seconds"] for found in both)
        yield figure("cores", f"{title}, as fast as one after the other", [faster], "×")


def _train(name: str, algo: str, workers: int, overlap: bool) -> dict[str, float]:
    world = World.of(f"sim2real_envs:sim2real/{name}")
    values = resolve_hyperparameters(algo, world, None)
    with _learning(world, algo, values, workers=workers, overlap=overlap) as learner:
        learner.learn(BUSY_STEPS // 2)  # what is done once only
        used, start = _cpu_seconds(), time.perf_counter()
        seconds = seconds_a_frame(learner, BUSY_STEPS)
        busy = (_cpu_seconds() - used) / (time.perf_counter() - start)
        replay = vars(getattr(learner, "replay_buffer", object)).values()
        return {
            "seconds": seconds,
            "cores": busy,
            "learner": _resident(os.getpid()),
            "workers": sum(map(_resident, _children())),
            "replay": sum(part.nbytes for part in replay if isinstance(part, np.ndarray)) / 1e6,
        }


def _cpu_seconds() -> float:
    """Return what this process and its children have computed so far [s]."""
    return sum(time.process_time() if pid == os.getpid() else _computed(pid) for pid in (os.getpid(), *_children()))


def _computed(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children() -> list[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text(encoding="ascii").split()]


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


PARTS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    part.__name__: part for part in (updates, collection, ppo, cores)
}
"""All parts, in the order of the page."""
TITLES = {
    "updates": "Updates: batches of 256, one thread, observations and actions of PandaPush",
    "collection": f"Collecting from {ENVS} envs in as many processes as cores, random actions",
    "ppo": f"PPO: env steps a second in training, {ENVS} envs",
    "cores": "Whole trainings: cores and memory",
    "curves": "Whole trainings: what is learned, ten seeds each",
    "race": "From the start of the program to a success of 0.95",
}
"""What the parts are called on the page."""
