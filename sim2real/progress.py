"""Progress bars on standard error, with time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Bars:
    """A group of progress bars, or of nothing where none are shown."""

    def __init__(self, display: object | None) -> None:
        self._display = display

    def add(self, title: str, total: int) -> Callable[[int], None]:
        """Add a bar.

        Args:
            title: What it counts.
            total: Steps at its end.

        Returns:
            To be called with the number of steps done so far.
        """
        if self._display is None:
            return _ignore
        from rich.progress import Progress

        assert isinstance(self._display, Progress)
        display = self._display
        task = display.add_task(title, total=total)
        return lambda done: display.update(task, completed=done)


def _ignore(_done: int) -> None:
    """Take a number of steps and show nothing."""


@contextmanager
def show_progress(show: bool) -> Iterator[Bars]:
    """Show bars while the context lasts."""
    if not show:
        yield Bars(None)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as display:
        yield Bars(display)
