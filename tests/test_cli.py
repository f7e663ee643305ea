import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim2real.cli import learn
from sim2real.cli.entry import run
from sim2real.cli.options import count_or_auto, key_values
from sim2real.errors import Sim2RealError

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in (".", "envs", "policies")),
    "OMP_NUM_THREADS": "1",
}
COMMANDS = {
    "train": [
        "--env", "--env-arg", "--domain", "--randomizer", "--algo", "--set", "--steps", "--seed", "--n-envs",
        "--workers", "--address", "--overlap", "--eval-every", "--eval-episodes", "--checkpoint-every", "--out",
        "--track", "--resume", "--quiet",
    ],
    "transfer": [
        "POLICY", "--target", "--env", "--env-arg", "--domain", "--targets", "--method", "--set", "--steps", "--seeds",
        "--workers", "--eval-every", "--eval-episodes", "--out", "--resume", "--json", "--quiet",
    ],
    "evaluate": [
        "POLICY", "--env", "--env-arg", "--domain", "--target", "--targets", "--randomizer", "--episodes", "--seed",
        "--dataset", "--json", "--quiet",
    ],
    "advise": [
        "POLICY", "--target", "--steps", "--env", "--env-arg", "--domain", "--targets", "--seed", "--json", "--quiet",
    ],
    "report": ["FOLDER"],
    "play": [
        "ID", "--policy", "--env-arg", "--domain", "--target", "--targets", "--episodes", "--seed", "--video",
        "--quiet",
    ],
    "envs": ["--json"],
    "check-env": ["ID", "--env-arg", "--domain", "--json"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user stands in an empty folder; what is left there shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def python(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, *map(str, args)]
    return subprocess.run(words, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def test_help_names_every_command_and_how_to_start(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "judge whether that paid" in shown
    assert "Start with: sim2real envs" in shown
    assert all(f" {command} " in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_names_its_options(command, capsys):
    assert run([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: sim2real {command}" in shown
    assert [option for option in COMMANDS[command] if option not in shown] == []


def test_version(capsys):
    import sim2real

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"sim2real {sim2real.__version__}\n"


TRAIN = ["train", "--env", "Pendulum-v1", "--steps", "10"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["trian"], "no such command 'trian'. Did you mean 'train', 'transfer'? 'sim2real --help' tells more."),
        (["--versoin"], "no such option: --versoin. Did you mean '--version'? 'sim2real --help' tells more."),
        (
            ["train", "--env", "Pendulum-v1", "--step", "10"],
            "no such option: --step. Did you mean '--steps'? 'sim2real train --help' tells more.",
        ),
        (
            ["train", "--env", "MountainCarContinuous-v0"],
            "how many steps sac needs in 'MountainCarContinuous-v0' is not known; give steps.",
        ),
        (["train", "--steps", "10"], "missing option '--env'. 'sim2real train --help' tells more."),
        (["evaluate"], "missing argument 'POLICY'. 'sim2real evaluate --help' tells more."),
        (
            ["train", "--env", "Pendulum-v1", "--steps", "0"],
            "--steps 0 must be a whole number of at least 1. 'sim2real train --help' tells more.",
        ),
        (
            ["train", "--env", "Pendulum-v1", "--steps", "-5"],
            "--steps -5 must be a whole number of at least 1. 'sim2real train --help' tells more.",
        ),
        (
            ["train", "--env", "Pendulum-v1", "--steps", "many"],
            "--steps many must be a whole number of at least 1. 'sim2real train --help' tells more.",
        ),
        (
            [*TRAIN, "--seed", "-1"],
            "--seed -1 must be a whole number of at least 0. 'sim2real train --help' tells more.",
        ),
        ([*TRAIN, "--n-envs", "none"], "--n-envs 'none' must be a whole number of at least 1, or auto."),
        ([*TRAIN, "--env-arg", "g"], "--env-arg 'g' must be KEY=VALUE, e.g. --env-arg g=1."),
        ([*TRAIN, "--randomizer", "no.yaml"], "cannot read no.yaml: No such file or directory."),
        (
            ["evaluate", "run", "--json", "no/e.json"],
            "--json no/e.json cannot be written; give a file in a folder that exists.",
        ),
        (["evaluate", "run", "--json", "."], "--json . is a folder; give the name of a file."),
        (["play"], "nothing to play: give the id of a world, or --policy."),
        (["play", "Pendulum-v1", "--video", "film.avi"], "--video film.avi must end in .mp4."),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_exit_code_2(args, message, capsys, elsewhere):
    assert run(args) == 2
    shown = capsys.readouterr()
    assert shown.err == f"error: {message}\n"
    assert shown.out == ""
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["train", "--env", "Pendulun-v1", "--steps", "10"],
            "unknown env 'Pendulun-v1'. Did you mean 'Pendulum-v1'? 'sim2real envs' lists the worlds; "
            "an env of your own is 'module:Name-v0'.",
        ),
        (
            ["train", "--env", "my_pkg:Cart-v0", "--steps", "10"],
            "unknown env 'my_pkg:Cart-v0': there is no module 'my_pkg' here; run from the folder that holds it, or add "
            "that folder to PYTHONPATH.",
        ),
        ([*TRAIN, "--algo", "sacc"], "unknown algorithm 'sacc'. Did you mean 'sac'? Known: ppo, sac, td3, tqc."),
        (
            [*TRAIN, "--randomizer", "unifrom"],
            "unknown randomizer 'unifrom'. Did you mean 'uniform'? "
            "Known: active, adr, curriculum, distributions, doraemon, learnability, none, posterior, uniform.",
        ),
        ([*TRAIN, "--domain", "no.yaml"], "cannot read no.yaml: No such file or directory."),
    ],
)
def test_a_name_that_does_not_exist_is_one_line_and_exit_code_2(args, message, capsys, elsewhere):
    assert run(args) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert list(elsewhere.iterdir()) == []


def test_unknown_hyperparameter_suggests_the_known_one(capsys, elsewhere):
    assert run([*TRAIN, "--set", "learning_rat=1e-3"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: unknown sac hyperparameter 'learning_rat'. Did you mean 'learning_rate'? Known: ")
    assert shown.count("\n") == 1
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            KeyboardInterrupt(),
            130,
            "interrupted. Go on with: sim2real train --env Pendulum-v1 --steps 10 --resume",
        ),
        (MemoryError(), 2, "out of memory; try a smaller --set buffer_size=… or fewer --n-envs."),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/a"),
            2,
            "cannot write to runs/a: No space left on device; free some space or choose another place.",
        ),
        (Sim2RealError("two\n  lines"), 2, "two lines"),
    ],
)
def test_what_stops_a_command_from_outside_is_one_line(error, code, message, capsys, monkeypatch):
    monkeypatch.setattr(learn, "import_from_here", lambda: raise_(error))
    assert run(TRAIN) == code
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize("error", [ValueError("a bug"), BrokenPipeError(), FileNotFoundError(errno.ENOENT, "gone")])
def test_a_bug_is_not_hidden(error, monkeypatch):
    monkeypatch.setattr(learn, "import_from_here", lambda: raise_(error))
    with pytest.raises(type(error)):
        run(TRAIN)


def raise_(error):
    raise error


def test_values_of_pairs_are_yaml():
    pairs = ["a=1", "b=1e-3", "c=-2E5", "d=true", "e=joint", "f=[64, 64]", "g=null", "h=x=y", "i='1'"]
    assert key_values(pairs, "--set") == {
        "a": 1, "b": 1e-3, "c": -2e5, "d": True, "e": "joint", "f": [64, 64], "g": None, "h": "x=y", "i": "1",
    }  # fmt: skip
    assert key_values(None, "--set") == {}


@pytest.mark.parametrize("text", ["[1", ".nan", "2026-01-01", "{1: 2"])
def test_values_that_json_cannot_hold_are_refused(text):
    with pytest.raises(Sim2RealError, match=r"^--set a=.*: not a plain value; give a number, a word"):
        key_values([f"a={text}"], "--set")


def test_a_key_given_twice_is_refused():
    with pytest.raises(Sim2RealError, match=r"^--set a is given twice, as 1 and 2; give it once\.$"):
        key_values(["a=1", "a=2"], "--set")


def test_count_or_auto():
    assert count_or_auto("auto", "--n-envs") == "auto"
    assert count_or_auto("4", "--n-envs") == 4


def test_imports_are_light():
    code = (
        "import sys, sim2real, sim2real_envs, sim2real_policies, sim2real.cli; dir(sim2real);"
        "print({'torch', 'matplotlib', 'stable_baselines3', 'pybullet', 'scipy', 'pandas'} & set(sys.modules))"
    )
    assert python("-c", code).stdout == "set()\n"


def test_help_needs_not_even_gymnasium():
    code = "import sys; from sim2real.cli.entry import run; run(['train', '--help']); print('gymnasium' in sys.modules)"
    assert python("-c", code).stdout.endswith("False\n")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_nobody_reading_the_output_is_no_error(option):
    words = [sys.executable, "-c", "from sim2real.cli import main; main()", option]
    process = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()  # as `| true` does
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()


def test_scripts_are_the_commands():
    for command in ("train", "transfer", "evaluate"):
        shown = python(ROOT / "scripts" / f"{command}.py", "--help")
        assert f"Usage: sim2real {command}" in shown.stdout, shown.stderr


def test_json_has_standard_output_to_itself(capsys):
    assert run(["envs", "--json", "-"]) == 0
    shown = capsys.readouterr()
    for world in json.loads(shown.out):
        assert {"env", "what", "parameters", "targets"} <= set(world)
        assert "nominal" in world["targets"]
        assert world["algo"] in ("sac", "td3", "tqc", "ppo")
        assert world["steps"] is None or f"{world['algo']} {world['steps']:,}" in shown.err
        assert world["env"] in shown.err


def test_play_writes_a_video_of_random_actions(capsys, elsewhere):
    assert run(["play", "point_mass:tests/PointMass-v0", "--episodes", "1", "--video", "film.mp4"]) == 0
    assert capsys.readouterr().out.split() == ["made", "film.mp4"]
    assert [path.name for path in elsewhere.iterdir()] == ["film.mp4"]


def test_play_shows_a_policy_in_a_target(source, capsys, elsewhere):
    (elsewhere / "far.yaml").write_text("far: {domain: {drift: 0.3}}")
    play = ["play", "--policy", str(source.folder), "--targets", "far.yaml", "--target", "far", "--video", "film.mp4"]
    assert run([*play, "--episodes", "1"]) == 0
    assert (elsewhere / "film.mp4").exists()
