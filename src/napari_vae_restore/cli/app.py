"""The program: its commands, and the messages and exit statuses of errors."""

from __future__ import annotations

import io
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Annotated, Protocol

import typer
import typer.main

from napari_vae_restore import __version__
from napari_vae_restore.cli import (
    calibrate,
    compress,
    demo,
    doctor,
    encode,
    enhance,
    evaluate,
    generate,
    models,
    noise,
    options,
    restore,
    sweep,
    terminal,
    train,
)
from napari_vae_restore.errors import VAERestoreError
from napari_vae_restore.images.atomic import why_not_written
from napari_vae_restore.models.devices import is_out_of_memory

PROGRAM = "vae-restore"

# Exit statuses.
UNEXPECTED = 1  # an unexpected error
MENDABLE = 2  # an error that the user can mend; the message says how
TERMINATED = 143  # after SIGTERM, by the convention of shells


class Command(Protocol):
    """A command with its options, which are the fields of its class."""

    def run(self) -> None: ...


COMMANDS: dict[str, type[Command]] = {
    "demo": demo.DemoCommand,
    "denoise": restore.DenoiseCommand,
    "inpaint": restore.InpaintCommand,
    "super-resolve": restore.SuperResolveCommand,
    "restore": restore.RestoreCommand,
    "enhance": enhance.EnhanceCommand,
    "generate": generate.GenerateCommand,
    "encode": encode.EncodeCommand,
    "compress": compress.CompressCommand,
    "decompress": compress.DecompressCommand,
    "adapt": train.AdaptCommand,
    "train": train.TrainCommand,
    "calibrate": calibrate.CalibrateCommand,
    "noise": noise.NoiseCommand,
    "evaluate": evaluate.EvaluateCommand,
    "sweep": sweep.SweepCommand,
    "doctor": doctor.DoctorCommand,
}


def _run(command: Command | None, **_: object) -> None:
    if command is not None:
        command.run()


app = typer.Typer(
    name=PROGRAM,
    help="Denoise, fill and enlarge microscopy and medical images with variational "
    "autoencoders.",
    epilog=f"Start with: {PROGRAM} demo",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    result_callback=_run,
)
for _name, _command in COMMANDS.items():
    _takes_policy = issubclass(_command, options.RestoreOptions)
    _cls = restore.OverwriteCommand if _takes_policy else None
    app.command(_name, cls=_cls)(_command)
app.add_typer(models.models, name="models")


def _show_version(wanted: bool) -> None:
    if wanted:
        terminal.stdout.print(f"{PROGRAM} {__version__}", highlight=False)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _program(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
) -> None:
    # --version acts in its callback, and main takes --debug out wherever it stands.
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default with the words behind the program's name.

    Returns the exit status: 0; MENDABLE, 130 after Ctrl-C, TERMINATED, all of which leave
    nothing half-written; or UNEXPECTED.
    """
    if arguments is None:
        arguments = sys.argv[1:]
        _tolerate_narrow_encodings()
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    terminated = threading.Event()

    def interrupt() -> None:
        terminated.set()
        raise KeyboardInterrupt

    # Clusters and containers end a program by SIGTERM: as by Ctrl-C, every `finally` runs.
    with terminal.warnings_shown(), terminal.signals_handled(["SIGTERM"], interrupt):
        try:
            program = typer.main.get_command(app)
            status = program.main(arguments, prog_name=PROGRAM, standalone_mode=False)
        except Exception as error:
            if debug:
                terminal.stderr.out(traceback.format_exc().rstrip(), highlight=False)
            message, status = _explain(error)
            terminal.complain("error", message)
    if status == terminal.INTERRUPTED:
        terminal.note("stopped")
        status = TERMINATED if terminated.is_set() else status
    return int(status or 0)


def _tolerate_narrow_encodings() -> None:
    """Print "?" for characters that a redirected output cannot encode, as on Windows."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _explain(error: Exception) -> tuple[str, int]:
    """One line for the user, and the exit status."""
    if isinstance(error, VAERestoreError):
        return str(error), MENDABLE
    if is_out_of_memory(error):
        return "the memory does not suffice: close other programs or crop the image", MENDABLE
    if isinstance(error, OSError) and error.errno is not None:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{why_not_written(error)}", MENDABLE
    if hasattr(error, "format_message"):
        # A misused command; the type is click's or, in newer releases, typer's own copy.
        context = getattr(error, "ctx", None)
        program = context.command_path if context else PROGRAM
        message = error.format_message()
        stop = "" if message.endswith((".", "?")) else "."
        return f"{message}{stop} See {program} --help", MENDABLE
    return (
        f"{type(error).__name__}: {error}; run again with --debug for the traceback",
        UNEXPECTED,
    )
