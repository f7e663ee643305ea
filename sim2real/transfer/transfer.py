"""One transfer: a method beside its scratch and zero-shot arms, with paired seeds, and the verdict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sim2real.deployment.bundle import load_policy, pack
from sim2real.deployment.policy import Policy
from sim2real.domains.contract import domain_space, interface
from sim2real.domains.targets import find_target
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.evaluate import source_world
from sim2real.files import write_atomic, write_json
from sim2real.progress import show_progress
from sim2real.studies.report import write_report
from sim2real.training.callbacks import Progress
from sim2real.training.folder import TransferFolder
from sim2real.training.parallel import run_jobs
from sim2real.training.train import default_folder, make_config
from sim2real.transfer.arms import Arm, arm_config, compared, judge_arms, run_arm
from sim2real.transfer.base import find_method, with_settings
from sim2real.transfer.crossing import acts, check_crossing, crossing, given_map, reached, translated
from sim2real.transfer.space_map import SpaceMap
from sim2real.transfer.translate import carried_hyperparameters, target_algorithm


@dataclass(frozen=True, kw_only=True)
class TransferResult:
    """A finished transfer."""

    folder: Path
    """Its folder: ``result.json``, ``curves.jsonl``, ``report.html`` and the arms' own run folders."""
    result: dict[str, Any]
    """The content of ``result.json``."""

    @property
    def verdict(self) -> str:
        """``"pays"``, ``"does-not-pay"`` or ``"undecided"``."""
        return str(self.result["verdict"])


def transfer(
    policy: Policy | str | Path,
    env: str | World | None = None,
    *,
    target: str | Mapping[str, float] | World,
    method: str = "finetune",
    steps: int,
    seeds: int | Sequence[int] = 5,
    out: str | Path | None = None,
    kwargs: Mapping[str, Any] | None = None,
    domain_file: str | Path | None = None,
    targets_file: str | Path | None = None,
    space_map: str | Path | Mapping[str, Any] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    eval_every: int | None = None,
    eval_episodes: int = 20,
    workers: int | None = None,
    resume: bool = False,
    progress: bool = False,
    on_map: Callable[[SpaceMap], object] | None = None,
) -> TransferResult:
    """Carry a policy into a target, learn there, and judge the transfer against scratch on the same budget.

    Every arm uses the same seeds and meets the same evaluation episodes. No evaluation selects anything: an arm's
    final policy is its last one.

    Args:
        policy: The source policy, or the path of its bundle or run folder.
        env: The env; the policy's own if ``None``.
        target: Name of a target, or a domain.
        method: One of :data:`~sim2real.transfer.base.METHODS`; docs/transfer.md says what each does.
        steps: Target env steps of each seed of each learning arm, at least 1.
        seeds: How many paired seeds (0, 1, …), or which.
        out: The transfer's folder; ``runs/ENV-METHOD-TARGET`` if ``None``.
        kwargs: Keyword arguments of the env.
        domain_file: Domain parameters for an env that has none of its own.
        targets_file: YAML file with more targets.
        space_map: For a target of other spaces: which number of the one is which of the other, where their names do
            not say so; a YAML file or its content, see :mod:`~sim2real.transfer.space_map`.
        hyperparameters: Overrides by name, for both learning arms; settings of the method too.
        eval_every: Target steps between evaluations; a tenth of ``steps`` if ``None``.
        eval_episodes: Episodes of an evaluation.
        workers: Processes; as many as cores if ``None``.
        resume: Go on with what ``out`` holds after an interruption.
        progress: Show progress bars on standard error.
        on_map: Told the space map before anything runs, where the policy is translated.

    Raises:
        Sim2RealError: Something given is unknown or out of range, the policy does not fit the target, or the folder
            holds another transfer.
    """
    source = policy if isinstance(policy, Policy) else load_policy(policy)
    world = source_world(source, env, kwargs=kwargs, domain_file=domain_file)
    target_world = find_target(world, target, targets_file)
    with closing(target_world.make()) as target_env:
        there, space = interface(target_env), domain_space(target_env)
    method_class = find_method(method)
    joined = crossing(method_class, source.interface, there, given_map(space_map))
    translation = None if joined is None else translated(source, reached(method_class, there), joined, 0)
    seed_list = check_seeds(seeds)
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise Sim2RealError(f"workers = {workers!r} must be a whole number of at least 1.")
    known, algo = source.metadata.hyperparameters, source.algo
    if joined is not None:
        algo = target_algorithm(source.algo, there)
        known = carried_hyperparameters(known, source.algo, algo)
    chosen, overrides = with_settings(method_class, hyperparameters or {}, algo)
    base = make_config(
        target_world,
        algo=algo,
        randomizer="none",
        steps=steps,
        seed=seed_list[0],
        hyperparameters=overrides,
        eval_every=eval_every,
        eval_episodes=eval_episodes,
    )
    chosen.check(base, known)
    if joined is not None:
        check_crossing(chosen)
    if translation is not None and on_map is not None:
        on_map(translation.space_map)
    files = TransferFolder(Path(out) if out is not None else default_folder(world, f"{method}-{target_world.target}"))
    checksum = hashlib.sha256(pack(source)).hexdigest()
    arms = []
    for arm_method in compared(chosen, zero_shot=acts(source.interface, there, joined)):
        config = arm_config(base, arm_method, known, checksum, joined)
        for seed in seed_list:
            place = files.arm(arm_method.name, seed)
            arms.append(
                Arm(
                    method=arm_method,
                    config=replace(config, seed=seed),
                    source=source if arm_method.uses_source else None,
                    folder=place,
                    space_map=joined,
                )
            )
    claim: dict[str, Any] = {"method": method, "settings": asdict(chosen), "seeds": seed_list, "source": checksum}
    if joined is not None:
        claim["space_map"] = joined
    with files.claim({**claim, "training": base.to_dict()}, resume=resume):
        curves = _run(arms, workers, progress)
        result = {
            **judge_arms(curves, chosen, base, seed_list, source.metadata.provenance),
            "domain_space": space.to_dict(),
            **({} if translation is None else translation.to_dict()),
        }
        write_atomic(files.curves, "".join(json.dumps(point) + "\n" for point in curves))
        write_json(files.result, result)
        write_report(files.path)
    return TransferResult(folder=files.path, result=result)


_MOST_SEEDS = 1000


def check_seeds(seeds: int | Sequence[int]) -> list[int]:
    """Return the seeds that are meant: so many from 0 on, or those given.

    Raises:
        Sim2RealError: They are none or too many, not whole numbers, negative or not distinct.
    """
    wrong = Sim2RealError(f"seeds = {seeds!r} must be at least 1, or distinct whole numbers that are not negative.")
    if isinstance(seeds, bool) or not isinstance(seeds, (int, list, tuple, range)):
        raise wrong
    if isinstance(seeds, int) and seeds > _MOST_SEEDS:
        raise Sim2RealError(f"seeds = {seeds} must be at most {_MOST_SEEDS}; a list says the seeds themselves.")
    listed = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not listed or any(isinstance(seed, bool) or not isinstance(seed, int) or seed < 0 for seed in listed):
        raise wrong
    if max(listed) >= 2**63:
        raise Sim2RealError(f"seed {max(listed)} must be less than 2^63.")
    if len(set(listed)) != len(listed):
        raise wrong
    return listed


def _run(arms: Sequence[Arm], workers: int | None, progress: bool) -> list[dict[str, Any]]:
    """Run every arm; return its points, labelled with arm and seed."""
    learning = [arm for arm in arms if arm.method.learns]
    with show_progress(progress) as bars:
        bar_of: dict[str, Progress] = {}
        done: dict[str, dict[int, int]] = {}
        for arm in learning:
            if arm.name not in bar_of:
                seeds = sum(other.name == arm.name for other in learning)
                bar_of[arm.name] = bars.add(arm.name, seeds * arm.config.steps)
                done[arm.name] = {}

        def listener(arm: Arm) -> Progress:
            def listen(steps: int) -> None:
                done[arm.name][arm.config.seed] = steps
                bar_of[arm.name](sum(done[arm.name].values()))

            return listen

        curves = run_jobs(run_arm, arms, [listener(arm) for arm in arms], workers)
    return [
        {"arm": arm.name, "seed": arm.config.seed, **point}
        for arm, curve in zip(arms, curves, strict=True)
        for point in curve
    ]
