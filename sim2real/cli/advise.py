"""The command that says whether a transfer will pay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sim2real.cli import options
from sim2real.cli.learn import import_from_here
from sim2real.cli.options import LEARNING, WORLD
from sim2real.cli.output import Output

if TYPE_CHECKING:
    from rich.table import Table

    from sim2real.transfer.adviser import Advice, Calibration

_WORDS = {
    "transfer": "transfer the policy.",
    "scratch": "learn there from scratch.",
    "open": "it is open; let evidence decide on the way (auto), or run both.",
}
_METHODS = {"transfer": "finetune", "scratch": "scratch", "open": "auto", None: "auto"}


def advise(
    policy: options.Policy,
    target: Annotated[
        str, typer.Option(metavar="NAME", help="Target to carry the policy into.", rich_help_panel=WORLD)
    ],
    steps: Annotated[
        int,
        typer.Option(
            parser=options.at_least(1),
            metavar="N",
            help="Target steps that there are to spend; a twentieth of them go into probes.",
            rich_help_panel=LEARNING,
        ),
    ],
    env: options.OtherEnv = None,
    env_arg: options.EnvArgs = None,
    domain: options.DomainFile = None,
    targets: options.TargetsFile = None,
    seed: options.Seed = 0,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Say whether a transfer will pay, from a twentieth of its budget, before the rest is spent."""
    import_from_here()
    output = Output(json_file, quiet=quiet)
    kwargs = options.key_values(env_arg, "--env-arg")
    from sim2real.studies.summary import percent
    from sim2real.transfer.adviser import advise as run_advise

    found = run_advise(
        policy,
        env,
        target=target,
        steps=steps,
        seed=seed,
        kwargs=kwargs,
        domain_file=domain,
        targets_file=targets,
    )
    output.show(_table(found))
    if found.calibration is None:
        output.say(
            "No model is calibrated, so there is no probability: scripts/calibrate_adviser.py makes one from a study."
        )
    else:
        assert found.choice is not None
        output.say(f"Transfer pays with a probability of {percent(found.probability)}: {_WORDS[found.choice]}")
        output.say(_calibration_words(found.calibration))
    spent = found.probes.target_steps
    output.say(f"Spent {spent:,} of {steps:,} target steps; {steps - spent:,} are left.")
    output.json(found.to_dict())
    method = _METHODS[found.choice]
    if method == "auto" and found.algo == "ppo":  # for which there is none
        method = "finetune"
    same = options.words(("--env", env), ("--domain", domain), ("--targets", targets))
    for pair in env_arg or ():
        same += ["--env-arg", pair]
    budget = ["--target", target, "--method", method, "--steps", str(steps - spent)]
    output.next(["sim2real", "transfer", policy, *same, *budget])


def _table(found: Advice) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from sim2real.studies.numbers import count, number
    from sim2real.studies.summary import percent

    probes = found.probes
    over = "whole episodes" if probes.window is None else f"the first {count(probes.window, 'step')} of an episode"
    table = Table(title=f"{found.env} → {found.target}, returns of {over}", title_justify="left", title_style="bold")
    table.box, table.pad_edge = SIMPLE_HEAD, False
    table.add_column("probe", no_wrap=True)
    table.add_column("found", justify="right", no_wrap=True)
    table.add_column("which means")
    table.add_row(
        "source policy as it is",
        number(probes.zero_shot_return),
        f"keeps {percent(probes.kept)} of what it earns at home above chance ({number(probes.source_return)} there, "
        f"chance {number(probes.chance_return)})",
    )
    if probes.zero_shot_success is not None:
        at_home = f"of its episodes; {percent(probes.source_success)} at home"
        table.add_row("its success", percent(probes.zero_shot_success), at_home)
    learned = "has not begun to learn in so few steps"
    if probes.climb is not None:
        episodes = count(len(probes.scratch_returns), "episode")
        learned = f"has gained {percent(probes.climb)} of the same in {episodes}"
    table.add_row("learner from scratch", number(probes.scratch_return), learned)
    table.add_row(
        "source or target?", number(probes.auc), "how well a classifier tells their steps apart; 0.5: not at all"
    )
    table.add_row("source's critic", number(probes.surprise), "times the error at home")
    if probes.domain_distance is not None:
        far = "from nominal, in halves of what the world accepts, on average over its parameters"
        table.add_row("domain", number(probes.domain_distance), far)
    if found.tuned is not None:
        share = percent(found.steps / found.tuned)
        table.add_row("budget", share, f"of the {found.tuned:,} steps that learning from scratch is tuned for")
    return table


def _calibration_words(calibration: Calibration) -> str:
    from sim2real.studies.numbers import number
    from sim2real.studies.summary import percent

    return (
        f"Calibrated on {calibration.pairs:,} pairs of {len(calibration.worlds)} worlds; held out, it was right in "
        f"{percent(calibration.accuracy)} of them, with a Brier score of {number(calibration.brier)} "
        f"({number(calibration.base_rate_brier)} for the base rate)."
    )
