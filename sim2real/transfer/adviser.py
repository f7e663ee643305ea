"""The adviser: whether a transfer will pay, said before its budget is spent.

It reads probes, which take a twentieth of the budget, and turns them into the probability that the verdict of
fine-tuning will be 'pays' (an undecided one counts as not paying):

    p = σ(b + Σ w_i x_i),   x_i = (f_i − mean_i) / std_i,   σ(z) = 1 / (1 + e^−z),

x_i = 0 for a feature that is not known. The numbers are in ``adviser.json`` beside this module, with what they were
calibrated on; scripts/calibrate_adviser.py makes it from a study of transfers whose verdicts are known. Without that
file there are probes and no probability.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sim2real.deployment.bundle import load_policy
from sim2real.deployment.policy import Policy
from sim2real.domains.space import finite_number
from sim2real.domains.targets import find_target
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.evaluate import source_world
from sim2real.training.hyperparameters import tuned_steps
from sim2real.transfer.probes import Probes, probe

MODEL = Path(__file__).with_name("adviser.json")
"""The calibrated model."""
LIKELY = 2 / 3
"""From this probability on, and down to one minus it, the adviser says what to do; between them it is open."""

Features = Mapping[str, float | None]
"""What the model reads, by name; ``None`` where it is not known."""
FEATURES = ("kept", "climb", "told_apart", "surprise", "distance", "budget")
"""All of them, see :func:`features`."""

Choice = Literal["transfer", "scratch", "open"]


def features(probes: Probes, steps: int, tuned: int | None) -> dict[str, float | None]:
    """Return what the model reads.

    Args:
        probes: What was found out.
        steps: The budget.
        tuned: The steps that the target's world is tuned for, where that is known.

    Returns:
        ``kept`` and ``climb``, shares of what the source policy earns above chance, within [−1, 2]; ``told_apart``, the
        area under the ROC curve; ``surprise``, log10 of the ratio of errors, within [−1, 2]; ``distance``, of the
        domain, see :class:`~sim2real.transfer.probes.Probes`; ``budget``, log10 of its ratio to the tuned steps.
    """
    return {
        "kept": float(np.clip(probes.kept, -1.0, 2.0)),
        "climb": None if probes.climb is None else float(np.clip(probes.climb, -1.0, 2.0)),
        "told_apart": probes.auc,
        "surprise": float(np.log10(np.clip(probes.surprise, 0.1, 100.0))),
        "distance": probes.domain_distance,
        "budget": None if tuned is None else math.log10(steps / tuned),
    }


@dataclass(frozen=True, kw_only=True)
class Term:
    """How a feature counts."""

    mean: float
    """In what the model was calibrated on, as far as it was known there."""
    std: float
    """The same, above 0."""
    weight: float
    """Of the standardized feature."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What a model was calibrated on, and how well such models did in worlds that were held out."""

    pairs: int
    """A pair is a source policy, a target and a budget."""
    pays: int
    """Of these, those that paid."""
    worlds: tuple[str, ...]
    """Gymnasium ids of the sources' envs."""
    penalty: float
    """λ of the fit."""
    accuracy: float
    """Share of pairs of which the likelier was true."""
    brier: float
    """Mean of (p − y)²."""
    base_rate_brier: float
    """The same of always saying the share of pairs of the other worlds that pay."""


@dataclass(frozen=True, kw_only=True)
class Adviser:
    """A calibrated model."""

    terms: Mapping[str, Term]
    """By feature."""
    intercept: float
    """The logit where every feature is at its mean."""
    calibration: Calibration | None = None
    """Where it comes from; ``None`` for one that is tried out."""

    def probability(self, found: Features) -> float:
        """Return the probability that fine-tuning pays."""
        logit = self.intercept
        for name, term in self.terms.items():
            value = found[name]
            if value is not None:
                logit += term.weight * (value - term.mean) / term.std
        return float(1.0 / (1.0 + np.exp(-logit)))

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``adviser.json``."""
        return asdict(self)

    @classmethod
    def read(cls, file: Path) -> Adviser:
        """Return the model of a file.

        Raises:
            Sim2RealError: It cannot be read, or is no such model.
        """
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError("it holds no mapping")
            terms = {}
            for name in FEATURES:
                numbers = {key: finite_number(value, f"{name}: {key}") for key, value in content["terms"][name].items()}
                terms[name] = Term(**numbers)
                if terms[name].std <= 0.0:
                    raise Sim2RealError(f"{name}: std = {terms[name].std:g} must be above 0.")
            facts = {**content["calibration"], "worlds": tuple(content["calibration"]["worlds"])}
            intercept = finite_number(content["intercept"], "intercept")
            return cls(terms=terms, intercept=intercept, calibration=Calibration(**facts))
        except KeyError as error:
            reason = f"{error} is missing"
        except (OSError, ValueError, TypeError, AttributeError, Sim2RealError) as error:
            reason = str(error).rstrip(".")
        raise Sim2RealError(
            f"{file} is no calibrated adviser: {reason}; make it again with scripts/calibrate_adviser.py, or remove it."
        )


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What the adviser says of a transfer."""

    env: str
    """Gymnasium id of the target's env."""
    target: str | None
    """Name of the target."""
    steps: int
    """The budget, of which ``probes.target_steps`` are spent."""
    algo: str
    """The source policy's algorithm."""
    tuned: int | None
    """The steps that the target's world is tuned for with it; ``None`` where that is not known."""
    probes: Probes
    """What was found out."""
    probability: float | None
    """That fine-tuning pays; ``None`` without a calibrated model."""
    calibration: Calibration | None
    """Of the model; ``None`` without one."""

    @property
    def choice(self) -> Choice | None:
        """What to do: ``"transfer"``, learn from ``"scratch"``, or ``"open"``; ``None`` without a model."""
        if self.probability is None:
            return None
        if self.probability >= LIKELY:
            return "transfer"
        return "scratch" if self.probability <= 1.0 - LIKELY else "open"

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, JSON-plain."""
        return {**asdict(self), "choice": self.choice, "probes": self.probes.to_dict()}


def advise(
    policy: Policy | str | Path,
    env: str | World | None = None,
    *,
    target: str | Mapping[str, float] | World,
    steps: int,
    seed: int = 0,
    kwargs: Mapping[str, Any] | None = None,
    domain_file: str | Path | None = None,
    targets_file: str | Path | None = None,
) -> Advice:
    """Say whether a transfer will pay, from probes that take a twentieth of its budget in the target.

    Args:
        policy: The source policy, or the path of its bundle or run folder.
        env: The env; the policy's own if ``None``. Of a policy that names none it is the source, too.
        target: Name of a target, or a domain.
        steps: The budget: target env steps that each learner would have, at least 2,000.
        seed: Not negative; same seed, same advice.
        kwargs: Keyword arguments of the env.
        domain_file: Domain parameters for an env that has none of its own.
        targets_file: YAML file with more targets.

    Raises:
        Sim2RealError: Something given is unknown or out of range, the policy does not fit the target, the budget is too
            small to be probed, or the model's file is broken.
    """
    model = Adviser.read(MODEL) if MODEL.exists() else None
    source = policy if isinstance(policy, Policy) else load_policy(policy)
    world = source_world(source, env, kwargs=kwargs, domain_file=domain_file)
    there = find_target(world, target, targets_file)
    if source.metadata.world is None:
        source = source.described(replace(source.metadata, world=world.to_dict()))
    found = probe(source, there, steps, seed)
    tuned = tuned_steps(source.algo, there)
    return Advice(
        env=there.env,
        target=there.target,
        steps=steps,
        algo=source.algo,
        tuned=tuned,
        probes=found,
        probability=None if model is None else model.probability(features(found, steps, tuned)),
        calibration=None if model is None else model.calibration,
    )
