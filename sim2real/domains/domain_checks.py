"""The checks of :mod:`sim2real.domains.check_env` about domain parameters: set, read, reported, refused, effective."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from sim2real.domains.contract import Env, get_domain, set_domain
from sim2real.domains.env_checks import UNREPEATABLE, Outcome, Subject, one_line, verdict
from sim2real.domains.space import Domain
from sim2real.domains.trajectories import Course, action_sequences, first_difference, play

_TOLERANCE = 1e-6  # relative; absolute where zero was set
_UNKNOWN = "no_such_parameter"


def read_back(subject: Subject) -> Outcome:
    """What ``set_domain`` sets is what ``get_domain`` reads after a reset, at low, middle and high."""
    problems = []
    with subject.env() as env:
        for name, parameter in subject.space.items():
            values = (parameter.low, subject.off_nominal()[name], parameter.high)
            wrong = next(filter(None, (_set_and_read(subject, env, name, value) for value in values)), None)
            subject.read_back[name] = ("error", wrong) if wrong else ("ok", "")
            problems += [wrong] if wrong else []
    return verdict(problems, "each parameter at low, middle and high")


def _set_and_read(subject: Subject, env: Env, name: str, value: float) -> str | None:
    try:
        set_domain(env, {name: value})
        env.reset(seed=subject.seed)
        wrong = _mismatch(subject.space.complete({name: value}), get_domain(env))
    except Exception as error:
        wrong = one_line(error)
    return f"set_domain({{{name!r}: {value:g}}}) and reset: {wrong}" if wrong else None


def waits_for_reset(subject: Subject) -> Outcome:
    """``set_domain`` leaves the running episode as it is, and what ``get_domain`` reads of it."""
    problems = []
    with subject.env() as env:
        set_domain(env, {})
        env.reset(seed=subject.seed)
        before = get_domain(env)
        set_domain(env, subject.off_nominal())
        if _mismatch(before, get_domain(env)):
            problems.append("get_domain tells what was set before a reset made it so: read the simulator instead")
    if subject.reference is not None:
        played = []
        for meanwhile in ({}, subject.off_nominal()):
            with subject.env() as env:
                actions = action_sequences(env.action_space, subject.seed, subject.steps)["random"]
                played.append(play(env, {}, actions, subject.seed, meanwhile=meanwhile))
        if played[0] != played[1]:
            problems.append("set_domain in the middle of an episode changes that episode")
    return verdict(problems, "set_domain leaves the running episode alone")


def one_episode_domain(subject: Subject) -> Outcome:
    """``reset(options={"domain": ...})`` holds for one episode; then the domain that was set is back."""
    problems = []
    with subject.env() as env:
        for name, parameter in subject.space.items():
            set_domain(env, {name: parameter.low})
            env.reset(seed=subject.seed, options={"domain": {name: parameter.high}})
            now = _mismatch(subject.space.complete({name: parameter.high}), get_domain(env))
            env.reset()
            then = _mismatch(subject.space.complete({name: parameter.low}), get_domain(env))
            if now:
                problems.append(f"reset(options={{'domain': {{{name!r}: {parameter.high:g}}}}}): {now}")
            elif then:
                problems.append(f"in the episode after one with options: {then}")
    return verdict(problems, "reset(options) holds for one episode, then the domain that was set is back")


def info_domain(subject: Subject) -> Outcome:
    """``info["domain"]`` of every reset and step is the full domain of the episode."""
    lowest = {name: parameter.low for name, parameter in subject.space.items()}
    other = subject.off_nominal()
    problems = []
    with subject.env() as env:
        action = action_sequences(env.action_space, subject.seed, 1)["random"][0]
        set_domain(env, lowest)
        for when, options, expected in (
            ("after set_domain", None, lowest),
            ("after reset(options)", {"domain": other}, other),
        ):
            _, reset_info = env.reset(seed=subject.seed, options=options)
            *_, step_info = env.step(action)
            for place, info in (("reset", reset_info), ("step", step_info)):
                wrong = _mismatch(expected, info["domain"]) if "domain" in info else "it is missing"
                if wrong:
                    problems.append(f"{when}, info['domain'] of {place}: {wrong}")
    return verdict(problems, "full domain in the info of reset and step")


def refusals(subject: Subject) -> Outcome:
    """Unknown names and values out of bounds are refused, and leave the domain as it was."""
    cases: list[tuple[str, Domain]] = [(f"the unknown name {_UNKNOWN!r}", {_UNKNOWN: 1.0})]
    for name, parameter in subject.space.items():
        margin = 0.1 * (parameter.high - parameter.low) or 1.0
        bad = (parameter.low - margin, parameter.high + margin, math.nan)
        cases += [(f"{name} = {v:g}, bounds [{parameter.low:g}, {parameter.high:g}]", {name: v}) for v in bad]
    kept = subject.off_nominal()
    problems = []
    with subject.env() as env:
        set_domain(env, kept)
        env.reset(seed=subject.seed)
        for what, domain in cases:
            if _accepts(set_domain, env, domain):
                problems.append(f"set_domain accepts {what}")
                set_domain(env, kept)
            elif _accepts(env.reset, seed=subject.seed, options={"domain": domain}):
                problems.append(f"reset(options) accepts {what}")
        env.reset(seed=subject.seed)
        changed = _mismatch(kept, get_domain(env))
        if changed and not problems:
            problems.append(f"a refused domain leaves something behind: {changed}")
    return verdict(problems, "unknown names and values out of bounds raise")


def _accepts(function: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
    try:
        function(*args, **kwargs)
    except Exception:
        return False
    return True


def effect(subject: Subject) -> Outcome:
    """Every parameter moves the trajectory, at one end of its range at least; and how much."""
    if subject.reference is None:
        return UNREPEATABLE
    seed, steps = subject.seed, subject.steps
    open_names = list(subject.space)
    problems = []
    with subject.env() as env:
        attempts: list[tuple[str, list[Any], Domain]] = [
            (f"{name} actions", actions, {})
            for name, actions in action_sequences(env.action_space, seed, steps).items()
        ]
        longer = action_sequences(env.action_space, seed + 1, 5 * steps)["random"]
        attempts.append((f"{5 * steps} steps", longer, {}))
        attempts.append(("the others off nominal", longer, subject.off_nominal()))
        for how, actions, base in attempts:
            nominals: dict[str, Course] = {}
            for name in tuple(open_names):
                try:
                    moved = _moved(subject, env, name, actions, base, nominals)
                except Exception as error:
                    subject.effect[name] = ("error", one_line(error))
                    problems.append(f"{name}: {one_line(error)}")
                    open_names.remove(name)
                    continue
                if moved:
                    subject.effect[name] = ("ok", moved if how == "random actions" else f"{moved}; {how}")
                    open_names.remove(name)
    for name in open_names:
        subject.effect[name] = ("error", "none")
    if open_names:
        problems.append(
            f"no effect on any of {len(attempts)} trajectories: {', '.join(open_names)}; connect it to the simulator, "
            f"drop it, or check more than {steps} steps if it acts late"
        )
    return verdict(problems, "each parameter moves the trajectory; in % of the nominal range of an observed number")


def _moved(
    subject: Subject, env: Env, name: str, actions: list[Any], base: Domain, nominals: dict[str, Course]
) -> str | None:
    """Return how far a parameter moves a trajectory; ``nominals`` keeps those where it does not, played once each."""
    parameter = subject.space[name]
    # Where the others are nominal, too, it is the same trajectory for every parameter.
    key = name if base else ""
    moved = {}
    distances = []
    for end, value in (("low", parameter.low), ("high", parameter.high)):
        if value == parameter.nominal:
            continue
        if key not in nominals:
            nominals[key] = Course.of(env, {**base, name: parameter.nominal}, actions, subject.seed)
        nominal = nominals[key]
        other = Course.of(env, {**base, name: value}, actions, subject.seed)
        index = first_difference(nominal.digests, other.digests)
        if index is not None:
            moved[end] = index
            distances.append(nominal.distance(other))
    if not moved:
        return None
    return f"{', '.join(f'{end} {index}' for end, index in moved.items())}; {_size(distances)}"


def _size(distances: list[tuple[float, float] | None]) -> str:
    relative, absolute = (max(numbers) for numbers in zip(*(d or (0.0, 0.0) for d in distances), strict=True))
    if relative:
        return f"{100.0 * relative:.2g} %" if relative < 1.0 else f"{100.0 * relative:.0f} %"
    return f"{absolute:.2g} absolute" if absolute else "observation unmoved"


def _mismatch(expected: Mapping[str, float], found: Any) -> str | None:
    if not isinstance(found, Mapping):
        return f"it is {found!r}, not a mapping"
    for name, value in expected.items():
        if name not in found:
            return f"{name} is missing in it"
        number = float(found[name])
        if not math.isclose(number, value, rel_tol=_TOLERANCE, abs_tol=0.0 if value else _TOLERANCE):
            return f"{name} reads {number:.9g}, not {value:.9g}"
    extra = next((name for name in found if name not in expected), None)
    return None if extra is None else f"{extra} is in it and not in domain_space"
