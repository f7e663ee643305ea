"""Run the demo from nothing, print the figures it has to reach, and keep them for the README.

    python scripts/benchmark_demo.py            # five minutes; renews docs/results/ and the README's table
    python scripts/benchmark_demo.py --render   # only renders the README's table again

Times are wall times of this machine, whatever else runs on it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from demo import ENV, SEEDS, SOURCE_STEPS, TARGET, TARGET_STEPS

from sim2real.evaluation.evaluate import evaluate
from sim2real.studies.results import read_result

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "docs" / "results" / "demo.json"
README = REPOSITORY / "README.md"
BEGIN, END = "<!-- demo table: scripts/benchmark_demo.py -->", "<!-- end of demo table -->"
ROWS = {"zero-shot": "zero-shot", "finetune": "fine-tuned", "scratch": "from scratch"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--render", action="store_true", help="render the README's table from the figures kept")
    if not parser.parse_args().render:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(measure(), indent=2) + "\n", encoding="utf-8")
    figures = json.loads(RESULTS.read_text(encoding="utf-8"))
    README.write_text(rendered(README.read_text(encoding="utf-8"), figures), encoding="utf-8")
    print(report(figures))


def measure() -> dict[str, Any]:
    """Run the demo in an empty folder; return its figures."""
    with tempfile.TemporaryDirectory(prefix="sim2real-demo-") as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, REPOSITORY / "scripts" / "demo.py"], cwd=folder, check=True)
        seconds = time.perf_counter() - start
        demo = Path(folder) / "runs" / "demo"
        source = evaluate(demo / "source", randomizer="uniform", episodes=400, seed=2)
        result = read_result(demo / "transfer")
        for name in ("transfer.png", "demo.png"):
            shutil.copyfile(demo / "transfer" / name, RESULTS.parent / name)
    kept = ("verdict", "verdict_reason", "seeds", "steps", "source_steps", "episodes", "crossover_step", "arms")
    metrics = (
        "jumpstart",
        "asymptotic_gain",
        "success_gain",
        "time_to_threshold_ratio",
        "transfer_ratio",
        "gain_over_zero_shot",
    )
    return {
        "env": ENV,
        "target": TARGET,
        "demo_seconds": round(seconds, 1),
        "cores": os.cpu_count(),
        "help_seconds": round(time_help(), 2),
        "source_success": source.success_rate,
        "source_success_ci95": source.success_ci95,
        "source_success_episodes": source.episodes,
        **{name: result[name] for name in (*kept, *metrics, "total_reward_gain")},
    }


def time_help() -> float:
    """Return the median wall time of ``sim2real --help`` [s]."""
    command = Path(sys.executable).with_name("sim2real")
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([command, "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def report(figures: dict[str, Any]) -> str:
    """Return the figures beside their goals."""
    low, high = figures["source_success_ci95"]
    gains = {name: figures[name] for name in ("asymptotic_gain", "success_gain")}
    lines = [
        f"demo, wall time       {figures['demo_seconds']:.0f} s on {figures['cores']} cores   (goal: under 300 s)",
        f"source success        {figures['source_success']:.3f} [{low:.3f}, {high:.3f}] of "
        f"{figures['source_success_episodes']} randomized episodes after {SOURCE_STEPS:,} steps   (goal: 0.95)",
        *(
            f"{name:<22}{gain['value']:.2f} [{gain['ci95'][0]:.2f}, {gain['ci95'][1]:.2f}] on {TARGET!r}, "
            f"{TARGET_STEPS:,} target steps, {SEEDS} seeds   (goal: above 0)"
            for name, gain in gains.items()
        ),
        f"verdict               {figures['verdict']}: {figures['verdict_reason']}",
        f"sim2real --help       {figures['help_seconds']:.2f} s   (goal: under 1 s)",
    ]
    return "\n".join(lines)


def table(figures: dict[str, Any]) -> str:
    """Return the README's table of the demo."""
    lines = [
        f"| in `{figures['target']}`, {len(figures['seeds'])} seeds | target steps | success | return |",
        "|---|---|---|---|",
    ]
    for arm, words in ROWS.items():
        entry = figures["arms"][arm]
        success, ret = entry["final_success"], entry["final_return"]
        lines.append(
            f"| {words} | {entry['target_steps']:,} | {_interval(success, 2)} | {_interval(ret, 1)} |",
        )
    ratio = figures["time_to_threshold_ratio"]
    said = "" if ratio["value"] is None else f" Time to threshold: {ratio['value']:.2f} of scratch's steps."
    if ratio["value"] == 0:
        said = " Zero-shot is already above 90 % of what scratch learns with its whole budget."
    low, high = figures["source_success_ci95"]
    lines += [
        "",
        f"Verdict: **{figures['verdict']}**.{said} Source: success {figures['source_success']:.3f} [{low:.3f}, "
        f"{high:.3f}] in its randomized world after {figures['source_steps']:,} steps. Brackets are 95 % intervals, "
        f"over seeds in the table. The demo took {figures['demo_seconds']:.0f} s on {figures['cores']} cores.",
    ]
    return "\n".join(lines)


def _interval(entry: dict[str, Any], digits: int) -> str:
    low, high = entry["ci95"]
    return f"{entry['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]".replace("-", "−")


def rendered(readme: str, figures: dict[str, Any]) -> str:
    """Return the README with its table of the demo made from the figures."""
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table(figures)}\n{END}{after}"


if __name__ == "__main__":
    main()
