"""The arms of a transfer: how one is run with one seed, and what several of them amount to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sim2real.deployment.bundle import load_policy, provenance
from sim2real.deployment.policy import Policy
from sim2real.evaluation.metrics import arm_curves
from sim2real.evaluation.rollouts import Evaluator, Score
from sim2real.evaluation.statistics import mean_interval
from sim2real.seeding import derive_seed
from sim2real.training.callbacks import Progress
from sim2real.training.folder import RunFolder
from sim2real.training.train import TrainingConfig, command_line, run_training
from sim2real.transfer.base import TransferMethod
from sim2real.transfer.crossing import reached, translated
from sim2real.transfer.scratch import Scratch
from sim2real.transfer.space_map import Overrides
from sim2real.transfer.verdict import judge
from sim2real.transfer.zero_shot import ZeroShot


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One arm with one seed; a job for a worker."""

    method: TransferMethod
    """How its learner starts."""
    config: TrainingConfig
    """Its training in the target, see :func:`arm_config`."""
    source: Policy | Path | None
    """The source policy, or its bundle; ``None`` where the method uses none."""
    folder: Path
    """Its run folder."""
    space_map: Overrides | None = None
    """What the user says about a target of other spaces, for which the policy is translated, see
    :mod:`~sim2real.transfer.translate`; ``None`` where it fits as it is."""

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.method.name


def arm_config(
    base: TrainingConfig,
    method: TransferMethod,
    source_hyperparameters: Mapping[str, Any],
    source: str,
    space_map: Overrides | None = None,
) -> TrainingConfig:
    """Return the training of an arm.

    Args:
        base: The training of a learner from scratch in the target, with the user's overrides.
        method: Of the arm.
        source_hyperparameters: Those that the source policy was trained with.
        source: What tells the source policy from others: a checksum.
        space_map: What the user says about a target of other spaces; ``None`` where they are the same.
    """
    settings = {"method": method.name, **asdict(method)}
    origin = {**settings, "source": source} if method.uses_source else settings
    if space_map is not None and method.uses_source:
        origin["space_map"] = dict(space_map)
    if not method.learns:  # it is the same whatever a learner beside it does
        return replace(base, hyperparameters={}, steps=0, eval_every=0, checkpoint_every=0, origin=origin)
    values = method.hyperparameters(base.hyperparameters, source_hyperparameters)
    return replace(base, hyperparameters=values, origin=origin)


def compared(chosen: TransferMethod, *, zero_shot: bool) -> list[TransferMethod]:
    """Return the methods of a transfer's arms: one beside scratch and zero-shot, each once.

    Args:
        chosen: The method that is judged.
        zero_shot: Whether the source policy can act in the target as it is, or translated.
    """
    beside = [Scratch(), ZeroShot()] if zero_shot else [Scratch()]
    return list({method.name: method for method in (chosen, *beside)}.values())


def run_arm(arm: Arm, listener: Progress) -> list[dict[str, Any]]:
    """Run an arm, or go on with what its folder holds; return the points of its curve."""
    source = load_policy(arm.source) if isinstance(arm.source, Path) else arm.source
    translation = None
    if arm.space_map is not None and source is not None:
        there = reached(arm.method, arm.config.world.interface())
        translation = translated(source, there, arm.space_map, arm.config.seed)

    def prepare(learner: BaseAlgorithm) -> Sequence[BaseCallback]:
        if translation is None or source is None:
            return arm.method.prepare(learner, source, arm.config)
        return arm.method.prepare_across(learner, source, translation, arm.config)

    if arm.method.learns:
        run = run_training(arm.config, arm.folder, resume=True, prepare=prepare, listener=listener)
        return run.curve
    assert source is not None
    source = source if translation is None else translation.policy
    files = RunFolder(arm.folder)
    with files.claim(arm.config.to_dict(), resume=True):
        if files.read_curve():
            return files.read_curve()
        with Evaluator(
            arm.config.world,
            seed=derive_seed(arm.config.seed, "evaluations of a training"),
            episodes=arm.config.eval_episodes,
        ) as evaluator:
            score = Score.of(evaluator.run(source.predict))
        if translation is not None:  # it is nowhere else
            source.save(files.policy)
        files.append_curve({"step": 0, **vars(score)})
    return files.read_curve()


def judge_arms(
    points: Sequence[Mapping[str, Any]],
    chosen: TransferMethod,
    base: TrainingConfig,
    seeds: Sequence[int],
    source: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of ``result.json``: a method beside scratch and, where it can act there, zero-shot.

    Args:
        points: Of all arms' curves, labelled with ``arm`` and ``seed``.
        chosen: The method that is judged.
        base: The training of a learner from scratch in the target.
        seeds: The paired seeds.
        source: Provenance of the source policy.
    """
    scratch = arm_curves(points, Scratch.name)
    assert scratch is not None
    judged = [p for p in points if p["arm"] == chosen.name]
    if not chosen.learns:  # what does not learn stays where it is
        judged = [{**point, "step": int(step)} for point in judged for step in scratch.steps]
    curves = arm_curves(judged, chosen.name)
    assert curves is not None
    acts = any(point["arm"] == ZeroShot.name for point in points)
    judgement = judge(
        curves,
        scratch,
        arm_curves(judged, chosen.name, "success_rate"),
        arm_curves(points, Scratch.name, "success_rate"),
        zero_shot=arm_curves(points, ZeroShot.name) if chosen.learns and acts else None,
    )
    source_steps = int(source.get("steps", 0))
    arms = {}
    for method in compared(chosen, zero_shot=acts):
        name = method.name
        last = [max((p for p in points if (p["arm"], p["seed"]) == (name, seed)), key=_step) for seed in seeds]
        successes = [point["success_rate"] for point in last]
        arms[name] = {
            "final_return": _final([point["return_mean"] for point in last]),
            "final_success": None if None in successes else _final(successes, limits=(0.0, 1.0)),
            "source_steps": source_steps + method.source_steps(base.steps) if method.uses_source else 0,
            "target_steps": base.steps if method.learns else 0,
        }
        if all("chosen" in point for point in last):
            arms[name]["chosen"] = dict(Counter(point["chosen"] for point in last).most_common())
    return {
        **judgement.to_dict(),
        "measure": "return",
        "method": chosen.name,
        "env": base.world.env,
        "target": base.world.target,
        "domain": dict(base.world.domain or {}),
        "algo": base.algo,
        "seeds": list(seeds),
        "steps": base.steps,
        "source_steps": source_steps,
        "episodes": base.eval_episodes,
        "arms": arms,
        "provenance": {
            **provenance(seed=seeds[0], steps=base.steps, command=command_line()),
            "source_policy": dict(source),
        },
    }


def _step(point: Mapping[str, Any]) -> int:
    return int(point["step"])


def _final(values: Sequence[float], limits: tuple[float, float] | None = None) -> dict[str, Any]:
    estimate = mean_interval(values).to_dict()
    interval = estimate["ci95"]
    if interval is not None and limits is not None:  # a rate cannot leave [0, 1], its t interval can
        interval = [min(max(end, limits[0]), limits[1]) for end in interval]
    return {"mean": estimate["value"], "ci95": interval}
