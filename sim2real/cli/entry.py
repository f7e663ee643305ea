"""Entry point: run a command, and turn every mistake a user can mend into one line on standard error."""

from __future__ import annotations

import errno
import os
import select
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import typer
from typer.main import get_command

from sim2real.cli.app import app
from sim2real.errors import Sim2RealError
from sim2real.processes import warn_in_one_line

USER_ERROR = 2
"""Exit code of a mistake the user can mend."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells have it."""
_RESUMABLE = ("train", "transfer")


def main(command: str | None = None) -> NoReturn:
    """Run ``sim2real`` on ``sys.argv``, or one command of it on behalf of a script, and exit.

    Args:
        command: The command that a script stands for, e.g. ``"train"``.
    """
    if "_SIM2REAL_COMPLETE" in os.environ:  # the shell asks for completions
        app(prog_name="sim2real")
    warn_in_one_line()
    sys.exit(run(([command] if command else []) + sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run the command line on ``args`` and return its exit code.

    Typer's own ``main`` is bypassed: it prints errors in boxes, and takes the broken pipe of a dead worker for that of
    standard output.
    """
    try:
        command = get_command(app)
        with command.make_context("sim2real", list(args)) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as stop:
        return stop.exit_code
    except typer.TyperException as error:
        return _fail(_usage(error))
    except Sim2RealError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail(f"interrupted. {_how_to_resume(args)}".rstrip(), INTERRUPTED)
    except MemoryError:
        return _fail("out of memory; try a smaller --set buffer_size=… or fewer --n-envs.")
    except BrokenPipeError:
        if not _stdout_is_closed():
            raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG):
            raise
        place = f" to {error.filename}" if error.filename else ""
        return _fail(f"cannot write{place}: {error.strerror}; free some space or choose another place.")
    return 0


def _fail(message: str, code: int = USER_ERROR) -> int:
    sys.stdout.flush()
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    return code


def _usage(error: typer.TyperException) -> str:
    """Return click's message in the form of ours: what is wrong, what was perhaps meant, and where the help is."""
    message = error.format_message().split(" (Possible options:")[0].rstrip(".")
    if isinstance(error, typer.BadParameter) and error.param is not None and error.message:
        option = error.param.get_error_hint().strip("'")
        message = f"{option} {error.message.removeprefix('Value error, ')}"  # pydantic's word for a parser's complaint
    similar = getattr(error, "possibilities", None)
    hint = f" Did you mean {similar[0]!r}?" if similar else ""
    context = getattr(error, "ctx", None)
    where = f" '{context.command_path} --help' tells more." if context else ""
    end = "" if message.endswith("?") else "."
    return f"{message[:1].lower()}{message[1:]}{end}{hint}{where}"


def _how_to_resume(args: Sequence[str]) -> str:
    if args and args[0] in ("study", "search"):
        return f"Go on with: {shlex.join(['sim2real', *args])}"
    if not args or args[0] not in _RESUMABLE:
        return ""
    if "--out" in args[:-1] and not Path(args[list(args).index("--out") + 1], "config.yaml").exists():
        return "Nothing was worth keeping yet."
    again = [*args, *([] if "--resume" in args else ["--resume"])]
    return f"Go on with: {shlex.join(['sim2real', *again])}"


def _stdout_is_closed() -> bool:
    """Tell whether nobody reads standard output any more (``| head``); if so, keep Python from complaining at exit."""
    pipe = select.poll()
    pipe.register(sys.stdout.fileno(), 0)
    closed = any(events & select.POLLERR for _, events in pipe.poll(0))
    if closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return closed
