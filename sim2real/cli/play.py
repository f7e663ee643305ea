"""The command that shows a policy at work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim2real.cli import options
from sim2real.cli.learn import import_from_here
from sim2real.cli.options import EVALUATION, OUTPUT, WORLD
from sim2real.cli.output import Output

if TYPE_CHECKING:
    from sim2real.domains.world import World


def play(
    env: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="World to play in; the policy's own if left out.", show_default=False),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="Run folder or policy.zip that acts.",
            rich_help_panel=WORLD,
            show_default="random actions",
        ),
    ] = None,
    env_arg: options.EnvArgs = None,
    domain: options.DomainFile = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Target to play in.", rich_help_panel=WORLD, show_default="the source"),
    ] = None,
    targets: options.TargetsFile = None,
    episodes: Annotated[
        int, typer.Option(parser=options.at_least(1), metavar="N", help="Episodes to play.", rich_help_panel=EVALUATION)
    ] = 3,
    seed: options.Seed = 0,
    video: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write an mp4 file.", rich_help_panel=OUTPUT, show_default="open a window instead"
        ),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Watch a policy, or random actions, in a window or in a video file."""
    import_from_here()
    output = Output(quiet=quiet)
    kwargs = options.key_values(env_arg, "--env-arg")
    from sim2real.errors import Sim2RealError

    if env is None and policy is None:
        raise Sim2RealError("nothing to play: give the id of a world, or --policy.")
    if video is not None and video.suffix != ".mp4":
        raise Sim2RealError(f"--video {video} must end in .mp4.")
    world, act = _cast(env, policy, kwargs, domain)
    if target is not None:
        from sim2real.domains.targets import find_target

        world = find_target(world, target, targets)
    from sim2real.studies.video import record, show, write_video

    if video is None:
        show(act, world, seed=seed, episodes=episodes)
        return
    caption = policy if policy is not None else "random actions"
    frames, fps = record(
        {caption if target is None else f"{caption} in {target!r}": (act, world)},
        seed=seed,
        episodes=episodes,
        columns=1,
    )
    write_video(frames, video, fps)
    output.made(video)


def _cast(env: str | None, policy: str | None, kwargs: dict[str, Any], domain: Path | None) -> tuple[World, Any]:
    """Return the world and who acts in it."""
    from contextlib import closing

    from sim2real.domains.world import World

    if policy is None:
        assert env is not None
        world = World.of(env, kwargs=kwargs, domain_file=domain)
        with closing(world.make()) as made:
            actions = made.action_space
        actions.seed(0)
        return world, lambda _observation: actions.sample()
    from sim2real.deployment.bundle import load_policy
    from sim2real.evaluation.evaluate import check_policy_fits, source_world

    actor = load_policy(policy)
    world = source_world(actor, env, kwargs=kwargs, domain_file=domain)
    with closing(world.make()) as made:
        check_policy_fits(actor, made)
    return world, actor.predict
