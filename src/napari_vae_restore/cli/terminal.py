"""What the command line shows: results on stdout; notes, bars and errors on stderr."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

stdout = Console()
stderr = Console(stderr=True)

_LOGGER = logging.getLogger("napari_vae_restore")
_LABEL_WIDTH = 12


class _LogLines(logging.Handler):
    """One line on stderr for each record, in the form of the errors."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(record.levelname.lower(), record.getMessage())


@contextlib.contextmanager
def warnings_shown() -> Iterator[None]:
    """Show the package's warnings, for as long as the command runs."""
    handler = _LogLines(level=logging.WARNING)
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)


def complain(kind: str, message: str) -> None:
    """Write "kind: message" to stderr as one line, however long."""
    style = "bold red" if kind == "error" else "bold yellow"
    line = Text.assemble((f"{kind}: ", style), " ".join(message.split()))
    stderr.print(line, soft_wrap=True)


def note(message: str) -> None:
    """Write a remark to stderr."""
    stderr.print(Text(message), soft_wrap=True)


def report(rows: Iterable[tuple[str, str]]) -> None:
    """Write results to stdout, a label and its text in each line."""
    for label, text in rows:
        stdout.print(
            Text.assemble((f"{label:<{_LABEL_WIDTH - 1}} ", "bold"), text), soft_wrap=True
        )


def table(rows: Sequence[Sequence[str]]) -> None:
    """Write rows to stdout in columns, the first of them as a heading; none is cut."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        line = Text("  ".join(cells).rstrip(), "bold" if number == 0 else "")
        stdout.print(line, soft_wrap=True)


@contextlib.contextmanager
def working(description: str) -> Iterator[None]:
    """Show on stderr, if that is a terminal, that something of unknown length goes on."""
    if not stderr.is_terminal:
        yield
        return
    with stderr.status(description):
        yield


@contextlib.contextmanager
def progress_bar(description: str) -> Iterator[Callable[[float, float, str], None]]:
    """Show a bar on stderr, if that is a terminal.

    Yields
    ------
    callable
        To call with the share that is done (0 to 1), the seconds left and a remark.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", style="progress.remaining"),
        TextColumn("{task.fields[remark]}", style="dim"),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )
    with bar:
        task = bar.add_task(description, total=1.0, left="", remark="")

        def update(done: float, seconds_left: float, remark: str) -> None:
            bar.update(task, completed=done, left=_left(seconds_left), remark=remark)

        yield update


def _left(seconds: float) -> str:
    # Before the first step the estimate is infinite.
    return f"{timedelta(seconds=round(seconds))} left" if seconds < 1e8 else ""
