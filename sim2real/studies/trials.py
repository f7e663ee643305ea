"""The trials of a search, kept in an Optuna journal that is whole whenever this process is killed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sim2real.errors import Sim2RealError, missing_extra
from sim2real.seeding import derive_seed
from sim2real.studies.search_space import Choice, Dimension

try:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.samplers import BaseSampler, RandomSampler, TPESampler
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from optuna.trial import FrozenTrial, TrialState, create_trial
except ImportError as error:
    raise missing_extra("optuna", "Optuna, which a search needs,") from error

_NAME = "search"
_SCORES, _REASON = "scores", "reason"
State = Literal["open", "done", "failed"]
_STATES: Mapping[TrialState, State] = {
    TrialState.RUNNING: "open",
    TrialState.COMPLETE: "done",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Values that are tried, and what came of them."""

    number: int
    """From 0 on, in the order in which they were chosen."""
    values: Mapping[str, Any]
    """Of all dimensions, by name."""
    state: State
    """Whether it is under way, done, or given up."""
    value: float | None = None
    """What is made as large as possible, if it is done."""
    scores: Mapping[str, Mapping[str, Any]]
    """By seed, if it is done: ``success``, ``return``, and the address of the ``job`` that reached them."""
    reason: str | None = None
    """Why it was given up."""

    def mean(self, measure: str) -> float | None:
        """Return the mean of a measure over seeds; ``None`` where it is not known."""
        found = [score[measure] for score in self.scores.values()]
        return sum(found) / len(found) if found and None not in found else None


class Trials:
    """The trials of one search, in a file that Optuna itself reads, too.

    Every step is one line of it: what is chosen, all values at once, and how it ended. The values of a trial follow
    from those before it, from what is known of them, and from its number, and from nothing that a process remembers.

    Args:
        path: The journal. Its folder has to be held against other processes.
        dimensions: What is searched.
        sampler: ``"tpe"`` or ``"random"``.
        seed: From which the values derive.
        tuned: Labels that the first trial has.

    Raises:
        Sim2RealError: Optuna is not installed, or the file is damaged.
    """

    def __init__(
        self, path: Path, dimensions: Sequence[Dimension], *, sampler: str, seed: int, tuned: Mapping[str, Any]
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._dimensions, self._sampler, self._seed, self._tuned = dimensions, sampler, seed, tuned
        self._distributions = {dimension.name: _distribution(dimension) for dimension in dimensions}
        _mend(path)
        try:
            backend = JournalFileBackend(str(path), JournalFileOpenLock(str(path)))
            self._storage = JournalStorage(backend)
            self._study = optuna.create_study(
                storage=self._storage, study_name=_NAME, direction="maximize", load_if_exists=True
            )
        except (ValueError, KeyError) as error:
            raise Sim2RealError(f"{path} is damaged: {error} Choose another folder for the search.") from error

    def read(self) -> list[Trial]:
        """Return all trials, in the order of their numbers."""
        return [self._read(trial) for trial in self._frozen()]

    def ask(self) -> Trial:
        """Choose the values of a new trial and note it."""
        before = self._frozen()
        labels = self._choose(before)
        self._study.add_trial(
            create_trial(state=TrialState.RUNNING, params=labels, distributions=dict(self._distributions))
        )
        return self.read()[-1]

    def tell(self, number: int, value: float, scores: Mapping[str, Mapping[str, Any]]) -> None:
        """Note what a trial came to.

        Args:
            number: Of the trial, which is open.
            value: What is made as large as possible.
            scores: By seed.
        """
        self._note(number, _SCORES, scores)
        self._study.tell(number, value)

    def fail(self, number: int, reason: str) -> None:
        """Note why an open trial was given up."""
        self._note(number, _REASON, reason)
        self._study.tell(number, state=TrialState.FAIL)

    def _frozen(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _choose(self, before: Sequence[FrozenTrial]) -> dict[str, Any]:
        # A sampler of its own for every trial: its random state could not be taken up again after a kill.
        seed = derive_seed(self._seed, "values of a trial", len(before))
        sampler: BaseSampler = RandomSampler(seed=seed) if self._sampler == "random" else TPESampler(seed=seed)
        memory = optuna.create_study(direction="maximize", sampler=sampler)
        memory.add_trials(before)
        if not before and self._tuned:
            memory.enqueue_trial(dict(self._tuned))
        drawn = memory.ask(self._distributions).params
        labels = {dimension.name: dimension.rounded(drawn[dimension.name]) for dimension in self._dimensions}
        return labels if before else {**labels, **self._tuned}

    def _note(self, number: int, key: str, content: Any) -> None:
        study = self._storage.get_study_id_from_name(_NAME)
        trial = self._storage.get_trial_id_from_study_id_trial_number(study, number)
        self._storage.set_trial_user_attr(trial, key, content)

    def _read(self, trial: FrozenTrial) -> Trial:
        return Trial(
            number=trial.number,
            values={dimension.name: dimension.value(trial.params[dimension.name]) for dimension in self._dimensions},
            state=_STATES[trial.state],
            value=trial.value if trial.state == TrialState.COMPLETE else None,
            scores=trial.user_attrs.get(_SCORES, {}),
            reason=trial.user_attrs.get(_REASON),
        )


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.labels)
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _mend(path: Path) -> None:
    """Take away what a process left that was killed while it wrote: half a line, and Optuna's lock."""
    for leftover in path.parent.glob(f"{path.name}.*"):
        leftover.unlink()
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
