"""Calibrate the adviser on the pairs of the transfer study, and say how well it does in worlds that it has not seen.

    python scripts/calibrate_adviser.py             # an hour of probes; kill it at any time, run it again to go on
    python scripts/calibrate_adviser.py --render    # only model, table and plot, from what is kept

A pair is a source policy of one seed, a target and a budget. Its probes are kept in docs/results/adviser.json; whether
it pays is the verdict of fine-tuning over all seeds, from the curves that scripts/benchmark_transfer.py keeps in
docs/results/transfer.json (undecided counts as not paying). Worlds, the envs of the sources, are held out in turn. The
model of all pairs is written to sim2real/transfer/adviser.json, the table into docs/transfer.md. Where there are not
yet two worlds and both verdicts, nothing is calibrated.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_transfer import RUNS, STUDY
from kept_curves import REPOSITORY, Kept, as_table, judged, points_of, read_kept, split
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from world_runs import DOCS, replace_part

from sim2real.deployment.bundle import load_policy
from sim2real.domains.world import World, make_importable
from sim2real.errors import Sim2RealError
from sim2real.evaluation.statistics import proportion_interval
from sim2real.files import make_folder, read_jsonl, read_yaml, write_atomic, write_json
from sim2real.progress import show_progress
from sim2real.studies.folder import StudyFolder
from sim2real.studies.jobs import address_of
from sim2real.studies.numbers import number
from sim2real.studies.plots import LIGHT, style, write_png
from sim2real.studies.run import plan_study
from sim2real.studies.summary import SHORT_WORDS, percent
from sim2real.training.callbacks import Progress
from sim2real.training.folder import RunFolder
from sim2real.training.hyperparameters import tuned_steps
from sim2real.training.parallel import run_jobs
from sim2real.transfer.adviser import MODEL, Adviser, Calibration, Features, features
from sim2real.transfer.calibration import accuracy, base_rates, brier, choose_penalty, fit_adviser, hold_out
from sim2real.transfer.finetune import FineTune
from sim2real.transfer.probes import Probes, probe

OUT = Path("runs/adviser")
LEAST_SEEDS = 2
"""Of which a verdict has intervals."""
_BINS = 5


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A pair to be probed; a job for a worker."""

    cell: str
    """Its cell of the study."""
    seed: int
    """Of the source policy, and of the probes."""
    policy: Path
    """Run folder of the source policy."""
    source: str
    """Address of the source policy's job."""
    target: World
    """The target."""
    steps: int
    """The budget."""
    file: Path
    """Where its line goes."""

    @property
    def address(self) -> str:
        """Its name, which follows from what is probed."""
        what = [self.source, self.target.to_dict(), self.steps, self.seed]
        return address_of(json.dumps(what, sort_keys=True).encode())


@dataclass(frozen=True, kw_only=True)
class Known:
    """A pair whose verdict is known."""

    cell: str
    world: str
    found: Features
    verdict: str

    @property
    def pays(self) -> bool:
        """Whether transfer pays; undecided counts as not."""
        return self.verdict == "pays"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", metavar="FILE", type=Path, default=STUDY, help="another one, to try this script out")
    parser.add_argument("--runs", metavar="DIR", type=Path, default=RUNS, help=f"its runs (default: {RUNS})")
    parser.add_argument("--out", metavar="DIR", type=Path, default=OUT, help=f"folder of the probes (default: {OUT})")
    parser.add_argument("--docs", metavar="DIR", type=Path, default=DOCS, help="folder of transfer.md and results/")
    parser.add_argument("--workers", metavar="N", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--render", action="store_true", help="probe nothing")
    args = parser.parse_args()
    if args.study != STUDY and args.docs == DOCS:
        parser.error("--study is for trying out; give another --docs too")
    make_importable(REPOSITORY)
    results = args.docs / "results"
    kept = read_probes(results / "adviser.json")
    if not args.render:
        kept = probe_all(args.study, args.runs, args.out, kept, args.workers)
        write_probes(results / "adviser.json", kept)
    pairs = known_pairs(kept, read_kept(results / "transfer.json", read_yaml(args.study)))
    said, model = calibrate(pairs)
    if model is not None:
        # What is tried out stays out of the package.
        write_json(MODEL if args.docs == DOCS else results / "model.json", model.to_dict())
        write_png(reliability(said, [pair.pays for pair in pairs]), results / "adviser.png")
    page = args.docs / "transfer.md"
    text = rendered(pairs, said, model)
    write_atomic(page, replace_part(page.read_text(encoding="utf-8"), Path(__file__).name, text))
    print(text if model else f"{len(pairs)} pairs whose verdict is known: two worlds and both verdicts are needed.")


def read_probes(file: Path) -> list[dict[str, Any]]:
    """Return the probes that are kept, one entry a pair."""
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"pairs": []}
    pairs: list[dict[str, Any]] = content["pairs"]
    return pairs


def write_probes(file: Path, pairs: Sequence[Mapping[str, Any]]) -> None:
    """Keep probes, one line a pair."""
    lines = ",\n".join(json.dumps(pair, allow_nan=False) for pair in pairs)
    make_folder(file.parent)
    write_atomic(file, f'{{"pairs": [\n{lines}\n]}}\n')


def probe_all(study: Path, runs: Path, out: Path, kept: list[dict[str, Any]], workers: int) -> list[dict[str, Any]]:
    """Probe the pairs whose source policy is there, but for those that were; return all that are of the study."""
    make_folder(out)
    file = out / "probes.jsonl"
    done = {line["address"]: line for line in [*kept, *read_jsonl(file)]}
    pairs = find_pairs(study, runs, file)
    todo = [pair for pair in pairs if pair.address not in done and RunFolder(pair.policy).finished]
    with show_progress(sys.stderr.isatty()) as bars:
        bar, finished = bars.add("probes", len(todo)), 0

        def listen(_: int) -> None:
            nonlocal finished
            finished += 1
            bar(finished)

        if todo:
            run_jobs(probe_pair, todo, [listen] * len(todo), workers)
    done |= {line["address"]: line for line in read_jsonl(file)}
    return [done[pair.address] for pair in pairs if pair.address in done]


def find_pairs(study: Path, runs: Path, file: Path) -> list[Pair]:
    """Return the pairs of a study: those of the cells of fine-tuning."""
    return [
        Pair(
            cell=cell.title,
            seed=seed,
            policy=StudyFolder(runs / f"seed_{seed}").job(source),
            source=source,
            target=cell.base.world,
            steps=cell.base.steps,
            file=file,
        )
        for cell in plan_study(study).cells
        if cell.labels["method"] == FineTune.name
        for seed, source in cell.sources.items()
    ]


def probe_pair(pair: Pair, listener: Progress) -> None:
    """Probe a pair in a worker, and add its line to the file."""
    make_importable(REPOSITORY)
    policy = load_policy(pair.policy)
    assert policy.metadata.world is not None
    line = {
        "address": pair.address,
        "cell": pair.cell,
        "seed": pair.seed,
        "world": policy.metadata.world["env"].rpartition("/")[2],
        "steps": pair.steps,
        "tuned": tuned_steps(policy.algo, pair.target),
        "probes": probe(policy, pair.target, pair.steps, pair.seed).to_dict(),
    }
    with pair.file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(line, allow_nan=False) + "\n")
        lines.flush()
        os.fsync(lines.fileno())
    listener(1)


def known_pairs(kept: Sequence[Mapping[str, Any]], curves: Kept) -> list[Known]:
    """Return the pairs whose cell has a verdict, from the seeds that all of its arms have."""
    verdicts: dict[str, str] = {}
    seeds: dict[str, set[int]] = {}
    for title, arms in curves.items():
        points = points_of(arms)
        seeds[title] = {point["seed"] for point in points}
        if split(title)[3] == FineTune.name and len(seeds[title]) >= LEAST_SEEDS:
            verdicts[title] = judged(points, FineTune.name).verdict
    return [
        Known(
            cell=line["cell"],
            world=line["world"],
            found=features(Probes.from_dict(line["probes"]), line["steps"], line["tuned"]),
            verdict=verdicts[line["cell"]],
        )
        for line in kept
        if line["cell"] in verdicts and line["seed"] in seeds[line["cell"]]
    ]


def calibrate(pairs: Sequence[Known]) -> tuple[list[float], Adviser | None]:
    """Return what models say of the pairs of worlds held out, and the model of all; nothing if there are too few."""
    rows, pays, worlds = ([getattr(pair, name) for pair in pairs] for name in ("found", "pays", "world"))
    if len(set(worlds)) < 2 or len(set(pays)) < 2:
        return [], None
    said, penalty = hold_out(rows, pays, worlds), choose_penalty(rows, pays, worlds)
    calibration = Calibration(
        pairs=len(pairs),
        pays=sum(pays),
        worlds=tuple(dict.fromkeys(worlds)),
        penalty=penalty,
        accuracy=accuracy(said, pays),
        brier=brier(said, pays),
        base_rate_brier=brier(base_rates(pays, worlds), pays),
    )
    return said, replace(fit_adviser(rows, pays, penalty), calibration=calibration)


def rendered(pairs: Sequence[Known], said: Sequence[float], model: Adviser | None) -> str:
    """Return the part of the page."""
    if model is None:
        return "Not measured yet."
    facts = model.calibration
    assert facts is not None
    verdicts = {pair.cell: pair.verdict for pair in pairs}
    counts = ", ".join(f"{list(verdicts.values()).count(verdict)} {words}" for verdict, words in SHORT_WORDS.items())
    summary = (
        f"{facts.pairs} pairs of {len(verdicts)} cells ({counts}). With each world held out in turn, the likelier was "
        f"true of {percent(facts.accuracy)} of the pairs; the Brier score is {facts.brier:.3f}, and "
        f"{facts.base_rate_brier:.3f} for always saying the share of the other worlds' pairs that pay. The intervals "
        "of the plot take pairs for independent, which the seeds of one cell, with one verdict, are not."
    )
    picture = "![Share of pairs that pay over the probability that was said](results/adviser.png)"
    parts = [summary, world_table(pairs, said), picture, weights_table(model), mistakes(pairs, said)]
    return "\n\n".join(parts)


def world_table(pairs: Sequence[Known], said: Sequence[float]) -> str:
    """Return how well models without a world do in it: a row a world, and one for all."""
    base = base_rates([pair.pays for pair in pairs], [pair.world for pair in pairs])
    lines = [["world held out", "pairs", "pay", "right", "Brier score", "of the base rate"], ["---"] * 6]
    for world in (*dict.fromkeys(pair.world for pair in pairs), "all"):
        at = [index for index, pair in enumerate(pairs) if world in (pair.world, "all")]
        pays, probabilities, rates = ([column[i] for i in at] for column in ([p.pays for p in pairs], said, base))
        numbers = [f"{brier(probabilities, pays):.3f}", f"{brier(rates, pays):.3f}"]
        lines.append([world, str(len(at)), percent(np.mean(pays)), percent(accuracy(probabilities, pays)), *numbers])
    return as_table(lines)


def weights_table(model: Adviser) -> str:
    """Return what the model of all pairs has learned."""
    lines = [["feature", "mean", "standard deviation", "weight"], ["---"] * 4]
    lines += [[name, number(t.mean), number(t.std), number(t.weight)] for name, t in model.terms.items()]
    return as_table(lines)


def mistakes(pairs: Sequence[Known], said: Sequence[float]) -> str:
    """Return the cells of which the likelier was not true, by the mean over their seeds."""
    cells: dict[str, list[float]] = {}
    for pair, probability in zip(pairs, said, strict=True):
        cells.setdefault(pair.cell, []).append(probability)
    verdicts = {pair.cell: pair.verdict for pair in pairs}
    wrong = {cell: np.mean(p) for cell, p in cells.items() if (np.mean(p) >= 0.5) != (verdicts[cell] == "pays")}
    if not wrong:
        return "It was wrong about no cell."
    lines = [["wrong about", "verdict", "probability"], ["---"] * 3]
    lines += [[cell, SHORT_WORDS[verdicts[cell]], f"{p:.2f}"] for cell, p in wrong.items()]
    return as_table(lines)


def reliability(said: Sequence[float], pays: Sequence[bool]) -> Figure:
    """Draw the share of pairs that pay over the probability that was said, with 95 % intervals (Wilson's)."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained", facecolor="white")
    axes = figure.subplots()
    style(axes)
    axes.grid(color=LIGHT.grid, linewidth=0.8)
    axes.plot([0, 1], [0, 1], color=LIGHT.muted, linestyle=":", linewidth=1.2)
    bins = np.minimum((np.asarray(said) * _BINS).astype(int), _BINS - 1)
    for index in np.unique(bins):
        inside = np.flatnonzero(bins == index)
        mean, hits = float(np.mean([said[i] for i in inside])), sum(pays[i] for i in inside)
        rate = proportion_interval(hits, len(inside))
        axes.plot([mean, mean], [rate.low, rate.high], color=LIGHT.transfer, alpha=0.45, linewidth=3)
        axes.plot(mean, hits / len(inside), "o", color=LIGHT.transfer, markersize=7)
        axes.annotate(
            f"{hits} of {len(inside)}",
            (mean, hits / len(inside)),
            xytext=(8, -3),
            textcoords="offset points",
            fontsize=8.5,
            color=LIGHT.text,
        )
    axes.set_xlim(-0.03, 1.15)
    axes.set_ylim(-0.04, 1.04)
    for axis, words in ((axes.xaxis, "probability that was said"), (axes.yaxis, "pairs that pay")):
        axis.set_major_formatter(PercentFormatter(1.0))
        axis.set_ticks(np.linspace(0, 1, _BINS + 1))
        axis.set_label_text(words, color=LIGHT.muted, fontsize=9)
    axes.set_title("Reliability in worlds held out", loc="left", color=LIGHT.text, fontsize=11, fontweight="bold")
    return figure


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
