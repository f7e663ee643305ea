"""Build the wheel, install it into a fresh virtual environment outside the repository, and use it there.

    python scripts/smoke_wheel.py [--index-url URL for torch]

Run it with the Python of a development environment (``make wheel-smoke``). It asserts that the wheel holds all its data
and nothing else, that the packages import from site-packages and lightly, and that the command line trains and judges.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CONSTRAINTS = REPOSITORY / "constraints.txt"
PACKAGES = ("sim2real", "sim2real_envs", "sim2real_policies")
IMPORTS = """
import sys, sysconfig
import sim2real, sim2real_envs, sim2real_policies
home = sysconfig.get_path("purelib")
for module in (sim2real, sim2real_envs, sim2real_policies):
    assert module.__file__.startswith(home), module.__file__
heavy = {"torch", "matplotlib", "stable_baselines3", "pybullet", "scipy"} & set(sys.modules)
assert not heavy, f"import sim2real is not light: {heavy}"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Build, install and use the wheel outside the repository.")
    parser.add_argument("--index-url", help="where pip finds torch")
    index = parser.parse_args().index_url
    with tempfile.TemporaryDirectory(prefix="sim2real-wheel-") as name:
        folder = Path(name)
        wheel = build(folder)
        python = install(wheel, folder / "venv", index)
        use(python, folder)
    print("the wheel works outside the repository")


def build(folder: Path) -> Path:
    """Build the wheel from the source distribution, as an installer without a wheel would; check what it holds."""
    with timed("build"):
        call(sys.executable, "-m", "build", "--outdir", folder / "dist", REPOSITORY)
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = set()
    for root in (REPOSITORY, REPOSITORY / "envs", REPOSITORY / "policies"):
        for package in PACKAGES:
            files = (path for path in (root / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
            wanted |= {path.relative_to(root).as_posix() for path in files}
    assert held == wanted, f"missing from the wheel: {sorted(wanted - held)}; too much: {sorted(held - wanted)}"
    return wheel


def install(wheel: Path, venv: Path, index: str | None) -> Path:
    """Install the wheel with the tested versions; return the Python that has it."""
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--constraint", CONSTRAINTS]
    torch = next(line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))
    with timed("install"):
        call(sys.executable, "-m", "venv", "--without-pip", venv)
        call(*pip, *(["--index-url", index] if index else []), torch)
        call(*pip, wheel)
    return python


def use(python: Path, folder: Path) -> None:
    """Do with the installed package what a user does first."""
    work = folder / "work"
    work.mkdir()
    sim2real = python.with_name("sim2real")
    call(python, "-c", IMPORTS, cwd=work)
    with timed("sim2real --help"):
        assert "train" in call(sim2real, "--help", cwd=work)
    assert "sim2real/PandaReach-v0" in call(sim2real, "envs", cwd=work)
    with timed("train 1,000 steps"):
        train = ["train", "--env", "sim2real/PandaReach-v0", "--steps", "1000", "--eval-episodes", "2", "--out", "run"]
        call(sim2real, *train, cwd=work)
    with timed("evaluate"):
        evaluate = ["evaluate", "run", "--target", "mild", "--episodes", "5", "--json", "-"]
        result = json.loads(call(sim2real, *evaluate, cwd=work))
    assert result["target"] == "mild", result
    assert result["episodes"] == 5, result


class timed:  # noqa: N801 - reads as a word in `with`
    """Print how long a block took."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        print(f"  {self.what}: {time.perf_counter() - self.start:.1f} s", flush=True)


def call(*command: object, cwd: Path | None = None) -> str:
    """Run a command that must not see the repository; return its standard output."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}\nfailed with exit code {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    main()
