"""Output of the command line: results on stdout; notes, bars and errors on stderr."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from napari_vae_restore.errors import VAERestoreError
from napari_vae_restore.generators import drain, relayed

if TYPE_CHECKING:
    from napari_vae_restore.batch.inputs import FoundImage
    from napari_vae_restore.restoration.restore import RestoreProgress

_Result = TypeVar("_Result")
_Step = TypeVar("_Step")

SOME_FAILED: Final = 1  # exit status where some of several files failed
INTERRUPTED: Final = 130  # exit status after Ctrl-C, by the convention of shells

stdout = Console()
stderr = Console(stderr=True)

_LOGGER = logging.getLogger("napari_vae_restore")
_LABEL_WIDTH = 12
_WIDEST = 10_000  # characters of a table


class _LogLines(logging.Handler):
    """Writes each record as one line to stderr, in the form of errors."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(record.levelname.lower(), record.getMessage())


@contextlib.contextmanager
def warnings_shown() -> Iterator[None]:
    """Show the package's warnings while the command runs."""
    handler = _LogLines(level=logging.WARNING)
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)


@contextlib.contextmanager
def signals_handled(
    names: Iterable[str], act: Callable[[], None], *, once: bool = False
) -> Iterator[None]:
    """Handle the signals that this system has; `once`, the second acts as before."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if once:
            signal.signal(number, before[number])
        act()

    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def complain(kind: str, message: str) -> None:
    """Write "kind: message" to stderr as one line, however long."""
    style = "bold red" if kind == "error" else "bold yellow"
    line = Text.assemble((f"{kind}: ", style), " ".join(message.split()))
    stderr.print(line, soft_wrap=True)


def note(message: str) -> None:
    """Write a remark to stderr."""
    stderr.print(Text(message), soft_wrap=True)


def report(rows: Iterable[tuple[str, str]]) -> None:
    """Write results to stdout, one labelled line each."""
    for label, text in rows:
        stdout.print(
            Text.assemble((f"{label:<{_LABEL_WIDTH - 1}} ", "bold"), text), soft_wrap=True
        )


def write_json(values: Any) -> None:
    """Write values to stdout as one line of JSON."""
    stdout.out(json.dumps(values, allow_nan=False), highlight=False)


def table(rows: Sequence[Sequence[str]]) -> None:
    """Write rows to stdout in columns, the first of them as a heading; none is cut."""
    heading, *others = rows
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in heading:
        shown.add_column(Text(name))
    for row in others:
        shown.add_row(*map(Text, row))
    as_wide_as_needed = stdout.options.update(max_width=_WIDEST)
    shown.width = stdout.measure(shown, options=as_wide_as_needed).maximum
    stdout.print(shown, soft_wrap=True)


def each_file(found: Iterable[FoundImage], act: Callable[[FoundImage], None]) -> None:
    """Do the same with many files; lists those that failed, and then exits with 1."""
    failed = []
    for each in found:
        try:
            act(each)
        except VAERestoreError as error:
            failed.append(f"{each.path}: {error}")
    exit_if_failed(failed)


def exit_if_failed(reasons: Sequence[str]) -> None:
    """List the files that failed, and exit with 1 if there are any."""
    for reason in reasons:
        complain("failed", reason)
    if reasons:
        raise typer.Exit(SOME_FAILED)


@contextlib.contextmanager
def working(description: str) -> Iterator[None]:
    """Show on stderr, if that is a terminal, work of unknown length."""
    if not stderr.is_terminal:
        yield
        return
    with stderr.status(description):
        yield


@contextlib.contextmanager
def progress_bar(description: str) -> Iterator[Callable[[float, str], None]]:
    """Show a bar on stderr, if that is a terminal.

    Yields a function of the share that is done (0 to 1) and a remark.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[remark]}", style="dim"),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )
    with bar:
        task = bar.add_task(description, total=1.0, remark="")

        def update(done: float, remark: str = "") -> None:
            bar.update(task, completed=done, remark=remark)

        yield update


def run_steps(
    steps: Generator[_Step, None, _Result],
    title: str,
    shown: Callable[[_Step], tuple[float, str]],
) -> _Result:
    """Drain a generator under a bar, to which `shown` gives share and remark of each step."""
    with progress_bar(title) as update:
        return drain(relayed(steps, lambda step: update(*shown(step))))


def run_restoration(steps: Generator[RestoreProgress, None, _Result], title: str) -> _Result:
    """Drain a restoration, or what yields progress like one, under a bar."""
    return run_steps(steps, title, lambda step: (step.done / step.total, ""))
