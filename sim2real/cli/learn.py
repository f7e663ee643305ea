"""Commands about policies: train, transfer, evaluate, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sim2real.cli import options
from sim2real.cli.options import EVALUATION, LEARNING, OUTPUT, WORLD
from sim2real.cli.output import Output, interval
from sim2real.transfer.base import METHODS


def train(
    env: Annotated[
        str,
        typer.Option(
            metavar="ID", help="World to train in: an id, or module:Name-v0 for your own.", rich_help_panel=WORLD
        ),
    ],
    steps: Annotated[
        int | None,
        typer.Option(
            parser=options.at_least(1),
            metavar="N",
            help="Simulator steps to learn from.",
            rich_help_panel=LEARNING,
            show_default="what the tuned configuration needs, where that is known",
        ),
    ] = None,
    env_arg: options.EnvArgs = None,
    domain: options.DomainFile = None,
    randomizer: options.Randomizer = "uniform",
    algo: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Learning algorithm: sac, td3, tqc or ppo.",
            rich_help_panel=LEARNING,
            show_default="the one tuned for the env, or sac",
        ),
    ] = None,
    set_: options.Hyperparameters = None,
    seed: options.Seed = 0,
    n_envs: Annotated[
        str, typer.Option(metavar="N|auto", help="Environments stepped side by side.", rich_help_panel=LEARNING)
    ] = "auto",
    workers: Annotated[
        int,
        typer.Option(
            parser=options.at_least(0),
            metavar="N",
            help="Processes that the environments step in, 0 for none of their own; the result is the same.",
            rich_help_panel=LEARNING,
        ),
    ] = 0,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Of the Ray cluster that the workers are in; auto finds one that this machine is part of.",
            show_default="this machine",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    overlap: Annotated[
        bool,
        typer.Option(
            "--overlap",
            help="Let sac, td3 or tqc learn while the environments step in their workers, one step late.",
            rich_help_panel=LEARNING,
        ),
    ] = False,
    eval_every: options.EvalEvery = None,
    eval_episodes: options.EvalEpisodes = 20,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(
            parser=options.at_least(1),
            metavar="N",
            help="Steps between two checkpoints.",
            rich_help_panel=OUTPUT,
            show_default="auto",
        ),
    ] = None,
    out: options.Out = None,
    track: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Log the run to mlflow or wandb, too; their own environment variables say where.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    resume: options.Resume = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a policy in a world, its parameters drawn anew in every episode."""
    import_from_here()
    output = Output(quiet=quiet)
    kwargs = options.key_values(env_arg, "--env-arg")
    hyperparameters = options.key_values(set_, "--set")
    n_envs_or_auto = options.count_or_auto(n_envs, "--n-envs")
    spec = options.randomizer_spec(randomizer)
    options.check_resume(out, resume)
    target = _first_target(env, kwargs, domain)  # a mistake in env, domain or targets shows before torch is imported
    from sim2real.training.train import train as run_training

    run = run_training(
        env,
        algo=algo,
        randomizer=spec,
        steps=steps,
        seed=seed,
        n_envs=n_envs_or_auto,
        out=out,
        kwargs=kwargs,
        domain_file=domain,
        hyperparameters=hyperparameters,
        eval_every=eval_every,
        eval_episodes=eval_episodes,
        checkpoint_every=checkpoint_every,
        workers=workers,
        address=address,
        overlap=overlap,
        track=track,
        resume=resume,
        progress=output.progress,
    )
    last = run.curve[-1]
    output.say(f"{run.policy.algo} on {env}, {last['step']:,} steps: {_score(last)} over {last['episodes']} episodes")
    output.made(run.folder)
    folder = str(run.folder)
    output.next(
        ["sim2real", "evaluate", folder, "--target", target],
        ["sim2real", "transfer", folder, "--target", target, "--steps", str(max(1, last["step"] // 5))],
        ["tensorboard", "--logdir", folder],
    )


def transfer(
    policy: options.Policy,
    target: Annotated[
        str, typer.Option(metavar="NAME", help="Target to carry the policy into.", rich_help_panel=WORLD)
    ],
    steps: Annotated[
        int,
        typer.Option(
            parser=options.at_least(1), metavar="N", help="Target steps each learner may use.", rich_help_panel=LEARNING
        ),
    ],
    env: options.OtherEnv = None,
    env_arg: options.EnvArgs = None,
    domain: options.DomainFile = None,
    targets: options.TargetsFile = None,
    space_map: options.SpaceMap = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"{', '.join(METHODS)}: see docs/transfer.md; settings by --set.",
            rich_help_panel=LEARNING,
        ),
    ] = "finetune",
    set_: options.Hyperparameters = None,
    seeds: Annotated[
        int,
        typer.Option(
            parser=options.at_least(1), metavar="N", help="Paired repetitions of each arm.", rich_help_panel=LEARNING
        ),
    ] = 5,
    workers: Annotated[
        int | None,
        typer.Option(
            parser=options.at_least(1),
            metavar="N",
            help="Processes to spread the runs over.",
            rich_help_panel=LEARNING,
            show_default="auto",
        ),
    ] = None,
    eval_every: options.EvalEvery = None,
    eval_episodes: options.EvalEpisodes = 20,
    out: options.Out = None,
    resume: options.Resume = False,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Carry a policy into a target and judge what that saved over learning there from scratch."""
    import_from_here()
    output = Output(json_file, quiet=quiet)
    kwargs = options.key_values(env_arg, "--env-arg")
    hyperparameters = options.key_values(set_, "--set")
    options.check_resume(out, resume)
    from sim2real.studies.summary import map_table, summary_table
    from sim2real.transfer.transfer import transfer as run_transfer

    done = run_transfer(
        policy,
        env,
        target=target,
        method=method,
        steps=steps,
        seeds=seeds,
        out=out,
        kwargs=kwargs,
        domain_file=domain,
        targets_file=targets,
        space_map=space_map,
        on_map=lambda found: output.show(map_table(found.to_dict())),
        hyperparameters=hyperparameters,
        eval_every=eval_every,
        eval_episodes=eval_episodes,
        workers=workers,
        resume=resume,
        progress=output.progress,
    )
    output.show(summary_table(done.result))
    output.made(done.folder / "report.html", done.folder / "result.json", done.folder / "curves.jsonl")
    output.json(done.result)
    output.next(_open(done.folder / "report.html"), ["tensorboard", "--logdir", str(done.folder)])


def map_(
    policy: options.Policy,
    env: options.OtherEnv = None,
    env_arg: options.EnvArgs = None,
    domain: options.DomainFile = None,
    target: Annotated[
        str, typer.Option(metavar="NAME", help="Target whose spaces these are.", rich_help_panel=WORLD)
    ] = "nominal",
    targets: options.TargetsFile = None,
    space_map: options.SpaceMap = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the translated policy.",
            rich_help_panel=OUTPUT,
            show_default="only show it",
        ),
    ] = None,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Show which number of a policy is which of a world of other spaces, and what becomes of its networks there."""
    import_from_here()
    output = Output(json_file, quiet=quiet)
    kwargs = options.key_values(env_arg, "--env-arg")
    from sim2real.studies.summary import map_table, tensors_table
    from sim2real.transfer.crossing import translate_for

    translation = translate_for(
        policy,
        env,
        target=target,
        kwargs=kwargs,
        domain_file=domain,
        targets_file=targets,
        space_map=space_map,
    )
    found = translation.to_dict()
    output.show(map_table(found["space_map"]))
    output.show(tensors_table(found["tensors"]))
    output.json(found)
    if save is not None:
        translation.policy.save(save)
        output.made(save)
    same = options.words(("--env", env), ("--domain", domain), ("--targets", targets), ("--map", space_map))
    for pair in env_arg or ():
        same += ["--env-arg", pair]
    output.next(["sim2real", "transfer", policy, *same, "--target", target, "--method", "graft", "--steps", "3000"])


def evaluate(
    policy: options.Policy,
    env: options.OtherEnv = None,
    env_arg: options.EnvArgs = None,
    domain: options.DomainFile = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Target to judge it in.", rich_help_panel=WORLD, show_default="the source"),
    ] = None,
    targets: options.TargetsFile = None,
    randomizer: options.Randomizer = "none",
    episodes: Annotated[
        int, typer.Option(parser=options.at_least(1), metavar="N", help="Episodes to run.", rich_help_panel=EVALUATION)
    ] = 100,
    seed: options.Seed = 0,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Minari dataset to write with the episodes, e.g. panda/worn-v0; MINARI_DATASETS_PATH says where.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Judge a policy in its world or in a target: return and success with 95 % intervals."""
    import_from_here()
    output = Output(json_file, quiet=quiet)
    kwargs = options.key_values(env_arg, "--env-arg")
    spec = options.randomizer_spec(randomizer)
    from sim2real.evaluation.evaluate import evaluate as run_evaluation

    result = run_evaluation(
        policy,
        env,
        target=target,
        episodes=episodes,
        seed=seed,
        randomizer=spec,
        kwargs=kwargs,
        domain_file=domain,
        targets_file=targets,
        dataset=dataset,
    ).to_dict()
    where = "" if result["target"] is None else f", target {result['target']}"
    output.say(f"{policy} on {result['env']}{where}, {episodes} episodes (95 % intervals in brackets)")
    output.say(f"  return   {interval(result['return_mean'], result['return_ci95'])}")
    output.say(f"  success  {interval(result['success_rate'], result['success_ci95'])}")
    output.say(f"  speed    {result['steps_per_second']:,.0f} steps/s")
    if dataset is not None:
        from sim2real.evaluation.trajectories import dataset_folder

        output.made(dataset_folder(dataset))
    output.json(result)
    if target is not None:
        same_world = options.words(("--env", env), ("--domain", domain), ("--targets", targets))
        for pair in env_arg or ():
            same_world += ["--env-arg", pair]
        output.next(["sim2real", "transfer", policy, *same_world, "--target", target, "--steps", "3000"])


def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a transfer or of a study.")],
    quiet: options.Quiet = False,
) -> None:
    """Write the report of a transfer or a study again: one HTML file that opens offline."""
    output = Output(quiet=quiet)
    from sim2real.studies.report import write_report

    written = write_report(folder)
    output.made(written)
    output.next(_open(written))


def import_from_here() -> None:
    """Let ``my_pkg:Cart-v0`` be found in the folder the user stands in."""
    from sim2real.domains.world import make_importable

    make_importable(Path.cwd())


def _open(page: Path) -> list[str]:
    return ["python", "-m", "webbrowser", str(page)]


def _score(point: dict[str, Any]) -> str:
    success = "" if point["success_rate"] is None else f"success {point['success_rate']:.2f}, "
    return f"{success}return {point['return_mean']:.2f}"


def _first_target(env: str, kwargs: dict[str, Any], domain: Path | None) -> str:
    from sim2real.domains.targets import NOMINAL, list_targets
    from sim2real.domains.world import World

    names = [name for name in list_targets(World.of(env, kwargs=kwargs, domain_file=domain)) if name != NOMINAL]
    return names[0] if names else NOMINAL
