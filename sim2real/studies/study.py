"""A study as its users write it: a YAML file that names the axes of a grid of transfers.

::

    description: does it pay to come from another arm?
    sources:                       # where policies come from: a training, or a policy that is there
      panda: {env: "sim2real_envs:sim2real/PandaReach-v0", steps: 10000}    # and budgets, where it has others
      shipped: {policy: KukaReach, targets: [hard, heavy]}    # some of those below; all if left out
    randomizers: {none: none, uniform: uniform}    # of the trainings; uniform alone if left out
    algorithms: [sac]                              # of the trainings; what is tuned if left out
    targets:                       # names of targets of each source's own world, or worlds
      hard:
      heavy: {domain: {payload: 2.0}}
      kuka: {env: "sim2real_envs:sim2real/KukaReach-v0", target: mild}
    methods:                       # beside scratch and zero-shot, which are always run
      finetune:
      gentle: {method: finetune, critic_warmup: 500}
    steps: [1000, 3000]            # target budgets
    seeds: 3                       # paired: the source of seed 1 is carried over with seed 1
    robustness: {sweep: [payload, [payload, action_delay]]}    # of each cell's policies, parameters from end to end
    videos: {episodes: 2}          # of each cell: the source policy, zero-shot, scratch and the method side by side
    exclude: [{source: shipped, target: kuka}, {target: hard, steps: [1000, 3000]}]

``eval_every`` and ``eval_episodes`` are those of a training; ``hyperparameters`` override the tuned ones of both
learning arms, and those of a source in its entry. A target of other spaces may have a ``map``, see
:mod:`~sim2real.transfer.space_map`. Paths are relative to the file's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sim2real.domains.randomizers import RandomizerSpec
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError, check_keys, unknown_name
from sim2real.files import check_plain, read_yaml
from sim2real.transfer.space_map import Overrides, read_map
from sim2real.transfer.transfer import check_seeds

_KEYS = (
    "description",
    "sources",
    "randomizers",
    "algorithms",
    "targets",
    "methods",
    "steps",
    "seeds",
    "eval_every",
    "eval_episodes",
    "hyperparameters",
    "robustness",
    "videos",
    "exclude",
)
_SOURCE_KEYS = ("policy", "env", "kwargs", "domain_file", "steps", "hyperparameters", "budgets", "targets")
_TARGET_KEYS = ("target", "domain", "env", "kwargs", "domain_file", "targets_file", "map")
_SWEEP_KEYS = ("sweep", "points", "episodes")
_EXCLUDE_KEYS = ("source", "randomizer", "algo", "target", "method", "steps")
_ANY_STEPS = 1_000_000  # in the place of budgets that cannot be, so that the rest is checked with them
T = TypeVar("T")
D = TypeVar("D", int, None)


class Faults:
    """Collects what is wrong, so that all of it can be told at once.

    Args:
        where: What it is wrong with, for the message.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._found: list[str] = []

    @contextmanager
    def noted(self, place: str = "") -> Iterator[None]:
        """Note an error instead of raising it.

        Args:
            place: Put before its message.
        """
        try:
            yield
        except Sim2RealError as error:
            self._note(f"{place}: {error}" if place else str(error))

    def attempt(self, function: Callable[[], T], default: T, place: str = "") -> T:
        """Return what a function returns, or note its error, see :meth:`noted`, and return something else."""
        try:
            return function()
        except Sim2RealError as error:
            self._note(f"{place}: {error}" if place else str(error))
            return default

    def _note(self, message: str) -> None:
        if message not in self._found:
            self._found.append(message)

    def __bool__(self) -> bool:
        return bool(self._found)

    def check(self) -> None:
        """Raise what was noted, if anything was.

        Raises:
            Sim2RealError: All of it in one message.
        """
        if len(self._found) == 1:
            raise Sim2RealError(f"{self._where}: {self._found[0]}")
        if self._found:
            listed = " ".join(f"({number}) {fault}" for number, fault in enumerate(self._found, start=1))
            raise Sim2RealError(f"{self._where}: {len(self._found)} faults: {listed}")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where policies come from."""

    policy: str | None = None
    """Path or name of a policy that is there; else they are trained."""
    world: World | None = None
    """Where they are trained; of a policy that is there, its own world if ``None``."""
    steps: int | None = None
    """Env steps of a training; the tuned number if ``None``."""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """Overrides of the tuned ones."""
    budgets: tuple[int, ...] = ()
    """Target budgets of its transfers; those of the study if there are none."""
    targets: tuple[str, ...] = ()
    """Names of the targets that it is carried into; all of the study if there are none."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """What policies are carried into."""

    target: str | Mapping[str, float]
    """Name of a target, or a domain."""
    world: World | None = None
    """What it is a variation of; each source's own world if ``None``."""
    targets_file: Path | None = None
    """With more targets."""
    space_map: Overrides | None = None
    """What is said about channels, for a target of other spaces."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """The axes of a grid."""

    name: str
    """Of the file, for messages."""
    description: str
    """In words."""
    sources: Mapping[str, Source]
    """By name."""
    randomizers: Mapping[str, RandomizerSpec]
    """Of trained sources, by name."""
    algorithms: tuple[str | None, ...]
    """Of trained sources; ``None`` for the tuned one."""
    targets: Mapping[str, Place]
    """By name."""
    methods: Mapping[str, tuple[str, Mapping[str, Any]]]
    """Transfer method and its settings, by name."""
    steps: tuple[int, ...]
    """Target budgets."""
    seeds: tuple[int, ...]
    """Paired seeds."""
    eval_every: int | None
    """Target steps between evaluations; a tenth of the budget if ``None``."""
    eval_episodes: int
    """Episodes of an evaluation."""
    hyperparameters: Mapping[str, Any]
    """Overrides for both learning arms."""
    sweeps: tuple[tuple[str, ...], ...]
    """One or two parameters each, which a cell's policies are evaluated along."""
    sweep_points: int
    """Values of each parameter."""
    sweep_episodes: int
    """Episodes at each value."""
    film_episodes: int
    """Episodes of a cell's film; 0 for no films."""
    exclude: tuple[Mapping[str, Sequence[str | int]], ...]
    """Combinations that are left out, each by some of their names: one or several of a kind."""


def read_study(path: str | Path, faults: Faults | None = None) -> Study:
    """Read a study.

    Args:
        path: The file.
        faults: Where faults are noted instead of raised; the study is what is left without them.

    Raises:
        Sim2RealError: The file cannot be read, or entries in it cannot be; the message lists them all.
    """
    path = Path(path)
    content, found = read_yaml(path), Faults(path.name) if faults is None else faults
    with found.noted():
        check_keys(content, _KEYS, "study")
    read = Reader(content, path.parent, found)
    study = Study(
        name=path.name,
        description=read.text("description"),
        sources=read.entries("sources", read.source),
        randomizers=read.entries("randomizers", read.randomizer, default={"uniform": "uniform"}),
        algorithms=tuple(read.items("algorithms", str)) or (None,),
        targets=read.entries("targets", read.place),
        methods=read.entries("methods", read.method),
        steps=tuple(read.items("steps", int)) or (_ANY_STEPS,),
        seeds=read.seeds(),
        eval_every=read.whole(content, "eval_every", None),
        eval_episodes=read.whole(content, "eval_episodes", 20),
        hyperparameters=read.mapping(content, "hyperparameters", "study"),
        sweeps=tuple(read.sweeps()),
        sweep_points=read.count("robustness", "points", 7, least=2),
        sweep_episodes=read.count("robustness", "episodes", 20),
        film_episodes=read.count("videos", "episodes", 2) if content.get("videos") else 0,
        exclude=tuple(read.exclude()),
    )
    budgeted = study.sources and all(source.budgets for source in study.sources.values())
    for key in ("sources", "targets", "methods", *(() if budgeted else ("steps",))):
        with found.noted():
            if key not in content:
                raise Sim2RealError(f"{key} is missing; a study needs at least one.")
    if faults is None:
        found.check()
    return study


class Reader:
    """Reads entries that studies and searches share; what is wrong is noted.

    Args:
        content: Of the file.
        folder: Of the file, which paths are relative to.
        faults: Where faults are noted.
    """

    def __init__(self, content: Mapping[str, Any], folder: Path, faults: Faults) -> None:
        self._content, self._folder, self._faults = content, folder, faults

    def entries(self, key: str, read: Any, default: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what is under a key, by name: a mapping, or a list of names alone."""
        if key not in self._content and default is None:
            return {}
        given = self._content.get(key, default)
        found = {}
        with self._faults.noted(key):
            if not isinstance(given, (list, Mapping)):
                raise Sim2RealError(f"expected a mapping of names to values, or a list of names, got {given!r}.")
            if not given:
                raise Sim2RealError(f"{given!r} names none; a study needs at least one.")
            if isinstance(given, list) and len({str(name) for name in given}) < len(given):
                raise Sim2RealError(f"{given!r}: a name stands twice.")
            for name, entry in given.items() if isinstance(given, Mapping) else ((name, None) for name in given):
                with self._faults.noted(f"{key}: {name}"):
                    found[_name(name)] = read(name, entry)
        return found

    def _names(self, key: str, default: Mapping[str, Any] | None = None) -> list[Any]:
        """Return the names under a key, those of faulty entries included."""
        given = self._content.get(key, default)
        return list(given) if isinstance(given, (list, Mapping)) else [] if given is None else [given]

    def source(self, _: str, entry: Any) -> Source:
        """Return the source of an entry: a training, or a policy that is there."""
        fields = check_keys(entry, _SOURCE_KEYS, "source")
        if "policy" not in fields and "env" not in fields:
            raise Sim2RealError("give env, where it is trained, or policy, which is there.")
        for name in self.items("targets", str, fields):
            if name not in self._names("targets"):
                raise unknown_name("target", name, map(str, self._names("targets")))
        policy = fields.get("policy")
        for key in ("policy", "domain_file"):
            if key in fields and not isinstance(fields[key], str):
                raise Sim2RealError(f"{key} = {fields[key]!r} must be a path or a name.")
        if policy is None:
            return Source(
                world=self.world(fields),
                steps=fields.get("steps"),
                hyperparameters=self.mapping(fields, "hyperparameters", "source"),
                budgets=tuple(self.items("budgets", int, fields)),
                targets=tuple(self.items("targets", str, fields)),
            )
        for key in ("steps", "hyperparameters"):
            if key in fields:
                raise Sim2RealError(f"{key} is for a training; the policy is there already.")
        place = self._folder / str(policy)
        return Source(
            policy=str(place) if place.exists() else str(policy),
            world=self.world(fields),
            budgets=tuple(self.items("budgets", int, fields)),
            targets=tuple(self.items("targets", str, fields)),
        )

    def randomizer(self, name: str, entry: Any) -> RandomizerSpec:
        """Return the randomizer of an entry: a name or a description."""
        spec = name if entry is None else entry  # in a list of names
        if not isinstance(spec, (str, Mapping)):
            raise Sim2RealError(f"{spec!r} must be the name of a randomizer or a mapping.")
        return spec

    def place(self, name: str, entry: Any) -> Place:
        """Return the target of an entry: by its name, a domain, or in another env."""
        fields = check_keys(entry or {}, _TARGET_KEYS, "target")
        if "target" in fields and "domain" in fields:
            raise Sim2RealError("give target, a name, or domain, its parameters, not both.")
        for key, kind, what in (("target", str, "a name"), ("domain", Mapping, "a mapping of parameters")):
            if key in fields and not isinstance(fields[key], kind):
                raise Sim2RealError(f"{key} = {fields[key]!r} must be {what}.")
        targets_file = fields.get("targets_file")
        for key in ("targets_file", "domain_file", "map"):
            if key in fields and not isinstance(fields[key], str):
                raise Sim2RealError(f"{key} = {fields[key]!r} must be a path.")
        return Place(
            target=fields.get("domain", fields.get("target", name)),
            world=self.world(fields),
            targets_file=None if targets_file is None else self._folder / targets_file,
            space_map=read_map(self._folder / fields["map"]) if "map" in fields else None,
        )

    def world(self, fields: Mapping[str, Any]) -> World | None:
        """Return the world of ``env``, ``kwargs`` and ``domain_file``, if there is an env."""
        if "env" not in fields:
            for key in ("kwargs", "domain_file"):
                if key in fields:
                    raise Sim2RealError(f"{key} needs an env beside it.")
            return None
        file = fields.get("domain_file")
        kwargs = self.mapping(fields, "kwargs", "env")
        return World.of(str(fields["env"]), kwargs=kwargs, domain_file=None if file is None else self._folder / file)

    def method(self, name: str, entry: Any) -> tuple[str, dict[str, Any]]:
        """Return the method of an entry and its settings."""
        if not isinstance(entry or {}, Mapping):
            raise Sim2RealError(f"expected a mapping of settings, got {entry!r}.")
        settings = dict(entry or {})
        check_plain(settings, "settings")
        return _name(settings.pop("method", name)), settings

    def items(self, key: str, kind: type, fields: Mapping[str, Any] | None = None) -> list[Any]:
        """Return the entries of a list, of the file or of an entry, or the one that stands for it."""
        content = self._content if fields is None else fields
        given = content.get(key)
        listed = given if isinstance(given, list) else [] if given is None else [given]
        found: list[Any] = []
        with self._faults.noted():
            if key in content and not listed:
                raise Sim2RealError(f"{key} = {given!r} names none.")
        for entry in listed:
            with self._faults.noted():
                if kind is int and not _is_whole(entry, 1):
                    raise Sim2RealError(f"{key}: {entry!r} must be a whole number of at least 1.")
                if kind is str and not isinstance(entry, str):
                    raise Sim2RealError(f"{key}: {entry!r} must be a name.")
                found.append(entry)
        with self._faults.noted():
            if len({str(entry) for entry in listed}) < len(listed):
                raise Sim2RealError(f"{key} = {given!r}: an entry stands twice.")
        return found

    def whole(self, fields: Mapping[str, Any], key: str, default: D, *, needed: bool = False) -> int | D:
        """Return a whole number of at least 1, or the default if it is left out, which it can be unless ``needed``."""

        def read() -> int | D:
            if key not in fields and needed:
                raise Sim2RealError(f"{key} is missing; say how many.")
            number: Any = fields.get(key)
            if number is None and not needed:
                return default
            if not _is_whole(number, 1):
                raise Sim2RealError(f"{key} = {number!r} must be a whole number of at least 1.")
            return int(number)

        return self._faults.attempt(read, default)

    def text(self, key: str) -> str:
        """Return a text; an empty one if it is left out."""

        def read() -> str:
            given = self._content.get(key)
            if given is None:
                return ""
            if not isinstance(given, str) or not given.encode(errors="ignore").decode() == given:
                raise Sim2RealError(f"{key} = {given!r} must be text.")
            return given

        return self._faults.attempt(read, "")

    def seeds(self) -> tuple[int, ...]:
        """Return the seeds that are meant."""
        return self._faults.attempt(lambda: tuple(check_seeds(self._content.get("seeds", 3))), (0,))

    def mapping(self, fields: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
        """Return the mapping under a key; an empty one if it is left out."""

        def read() -> dict[str, Any]:
            given = fields.get(key) or {}
            if not isinstance(given, Mapping):
                raise Sim2RealError(f"{where}: {key} must be a mapping, got {given!r}.")
            check_plain(given, f"{where}: {key}")
            return dict(given)

        return self._faults.attempt(read, {})

    def sweeps(self) -> Iterator[tuple[str, ...]]:
        """Return what is swept, one or two parameters each."""
        entry = self._content.get("robustness") or {}
        with self._faults.noted("robustness"):
            fields = check_keys(entry, _SWEEP_KEYS, "study")
            given = fields.get("sweep") or []
            if fields and not (isinstance(given, list) and given):
                raise Sim2RealError(f"sweep = {given!r} must be a list of parameters, or of pairs of them.")
            found: set[tuple[str, ...]] = set()
            for sweep in given:
                names = tuple(sweep) if isinstance(sweep, list) else (sweep,)
                with self._faults.noted("robustness"):
                    if not 1 <= len(names) <= 2 or not all(isinstance(name, str) for name in names):
                        raise Sim2RealError(f"sweep: {sweep!r} must be the name of a parameter, or a pair of names.")
                    if tuple(sorted(names)) in found:
                        raise Sim2RealError(f"sweep: {sweep!r} stands twice.")
                    found.add(tuple(sorted(names)))
                    yield names

    def count(self, key: str, name: str, default: int, *, least: int = 1) -> int:
        """Return a whole number of a group of settings."""

        def read() -> int:
            entry = self._content.get(key) or {}
            fields = check_keys(entry, _SWEEP_KEYS if key == "robustness" else ("episodes",), "study")
            number = fields.get(name, default)
            if not _is_whole(number, least):
                raise Sim2RealError(f"{name} = {number!r} must be a whole number of at least {least}.")
            return int(number)

        return self._faults.attempt(read, default, key)

    def exclude(self) -> Iterator[Mapping[str, Sequence[str | int]]]:
        """Yield the combinations that are left out, each value a list."""
        entries = self._content.get("exclude") or []
        with self._faults.noted("exclude"):
            if not isinstance(entries, list):
                raise Sim2RealError(f"expected a list of mappings, got {entries!r}.")
            known = {
                "source": self._names("sources"),
                "randomizer": self._names("randomizers", {"uniform": None}),
                "target": self._names("targets"),
                "method": self._names("methods"),
                "steps": [*self._names("steps"), *self._budgets()],
            }
            for entry in entries:
                with self._faults.noted("exclude"):
                    listed = {
                        key: value if isinstance(value, list) else [value]
                        for key, value in check_keys(entry, _EXCLUDE_KEYS, "an entry").items()
                    }
                    for key, values in listed.items():
                        if not values:
                            raise Sim2RealError(f"{key} = [] names none.")
                        for value in values:
                            if not isinstance(value, (str, int)):
                                raise Sim2RealError(f"{key} = {value!r} must be a name or a number.")
                            if key in known and value not in known[key]:
                                raise unknown_name(key, value, map(str, known[key]))
                    yield listed

    def _budgets(self) -> list[Any]:
        """Return the budgets that sources have of their own, faulty ones included."""
        sources = self._content.get("sources")
        entries = sources.values() if isinstance(sources, Mapping) else ()
        given = [entry.get("budgets", []) for entry in entries if isinstance(entry, Mapping)]
        return [budget for budgets in given for budget in (budgets if isinstance(budgets, list) else [budgets])]


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise Sim2RealError(f"the name {name!r} must be text; put it in quotes, since YAML takes it for a value.")
    if not name.strip() or not name.isprintable():
        raise Sim2RealError(f"the name {name!r} must be a line of characters that can be printed.")
    return name


def _is_whole(number: Any, least: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= least
