"""The demo: pretrain on a Panda arm, carry the policy into a sagging arm, fine-tune, and judge.

Everything goes under runs/demo/. Run it again after an interruption and it goes on where it stopped.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import imageio.v2 as imageio
from rich.console import Console

from sim2real.deployment.bundle import load_policy
from sim2real.domains.targets import find_target
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.evaluate import evaluate
from sim2real.studies.report import write_report
from sim2real.studies.results import read_result
from sim2real.studies.summary import summary_table
from sim2real.studies.video import record, write_video
from sim2real.training.train import train
from sim2real.transfer.transfer import transfer

ENV = "sim2real_envs:sim2real/PandaReach-v0"
TARGET = "sagging"
SOURCE_STEPS = 10_000
TARGET_STEPS = 3_000
SEEDS = 5
FOLDER = Path("runs/demo")


def main() -> None:
    """Run the demo and say where its results are."""
    start = time.perf_counter()
    console = Console()
    progress = sys.stderr.isatty()
    console.print(f"[bold]1. Pretraining[/] in the randomized source, {SOURCE_STEPS:,} steps of SAC")
    run = train(ENV, steps=SOURCE_STEPS, eval_episodes=40, out=FOLDER / "source", resume=True, progress=progress)
    source = evaluate(run.policy, randomizer="uniform", episodes=200, seed=1)
    console.print(f"   success in the randomized source: {source.success_rate:.1%} of {source.episodes} new episodes")

    console.print(f"[bold]2. Transfer[/] to '{TARGET}': {SEEDS} paired seeds, {TARGET_STEPS:,} target steps each")
    folder = FOLDER / "transfer"
    transfer(run.policy, target=TARGET, steps=TARGET_STEPS, seeds=SEEDS, out=folder, resume=True, progress=progress)

    console.print("[bold]3. Video[/] of the same episodes in the target, side by side")
    world = World.of(ENV)
    target = find_target(world, TARGET)
    frames, fps = record(
        {
            "source policy in its source": (run.policy.predict, world),
            f"zero-shot in '{TARGET}'": (run.policy.predict, target),
            "fine-tuned there": (load_policy(folder / "arms/finetune/seed_0").predict, target),
            "from scratch there": (load_policy(folder / "arms/scratch/seed_0").predict, target),
        },
        seed=0,
        every=2,  # drawing takes longer than anything else here
    )
    write_video(frames, folder / "demo.mp4", fps)
    imageio.imwrite(folder / "demo.png", frames[len(frames) // 3 - 1])
    write_report(folder)
    for name in ("report.html", "transfer.png", "demo.mp4"):
        shutil.copyfile(folder / name, FOLDER / name)

    console.print()
    console.print(summary_table(read_result(folder)))
    console.print(f"\nDone in {time.perf_counter() - start:.0f} s. Report: {FOLDER / 'report.html'}")
    console.print(f"Plot: {FOLDER / 'transfer.png'}   Video: {FOLDER / 'demo.mp4'}")


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
