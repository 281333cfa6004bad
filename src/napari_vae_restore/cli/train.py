"""``vae-restore train`` and ``vae-restore adapt``: from a user's images to a model file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vae_restore.cli import options, reports, runs, sources, terminal
from napari_vae_restore.cli.json_lines import JsonLines
from napari_vae_restore.cli.sources import check_model_path, files_of, source_of
from napari_vae_restore.errors import InputError, TrainingError, VAERestoreError

if TYPE_CHECKING:
    from napari_vae_restore.models.config import ModelConfig
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.training.engine import Training

TRAIN_BUDGET, ADAPT_BUDGET = "5min", "2min"
SEED = 0

_INTERRUPTED = 130

Steps = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Steps in place of a time: the same seed then gives the same model.",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="N", help="Of weights, patches and noise.", show_default=str(SEED)
    ),
]
Devices = Annotated[
    int,
    typer.Option(min=1, metavar="N", help="Graphics cards, or processes, that share batches."),
]
Lines = Annotated[
    bool,
    typer.Option(
        "--json-lines",
        hidden=True,
        help="Tell in lines of JSON on stdout, and end at a line 'stop' on stdin.",
    ),
]


def adapt(
    images: sources.Images,
    output: sources.Output,
    model: Annotated[
        str, typer.Option(metavar="default|FILE", help="The model to start from.")
    ] = "default",
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Such as 90s, 2min, 1h.", show_default=ADAPT_BUDGET),
    ] = None,
    steps: Steps = None,
    noise: sources.Noise = None,
    axes: options.Axes = None,
    seed: Seed = None,
    device: options.Device = "auto",
    devices: Devices = 1,
    skip_unreadable: sources.SkipUnreadable = False,
    overwrite: options.Overwrite = False,
    json_lines: Lines = False,
) -> None:
    """Adapt the bundled model to noisy images; no clean ones are needed.

    Held-out pixels decide what is kept: on them, the result is never worse than before.
    Ctrl-C stops it and saves the best model so far.
    """
    inputs = files_of(images)
    check_model_path(output, inputs, overwrite=overwrite)
    _check_length(budget, steps)

    def prepared() -> Training:
        from napari_vae_restore.training.engine import Training

        return Training(
            images,
            start=model,
            noise=noise or "auto",
            budget=budget or ADAPT_BUDGET,
            steps=steps,
            axes=axes,
            seed=SEED if seed is None else seed,
            device=device,
            devices=devices,
            skip_unreadable=skip_unreadable,
        )

    going_on = _typed("train", images, output, start=model, noise=noise, axes=axes)
    _teach(
        prepared,
        inputs,
        output,
        going_on,
        JsonLines() if json_lines else None,
        overwrite=overwrite,
    )


def train(
    images: sources.Images,
    output: sources.Output,
    second: sources.Second = None,
    clean: sources.CleanImages = None,
    simulate: sources.Simulated = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="default|FILE",
            help="Model to go on from. Noisy images alone otherwise train one of their own; "
            "all else starts from the bundled one.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Such as 90s, 5min, 1h.", show_default=TRAIN_BUDGET),
    ] = None,
    steps: Steps = None,
    noise: sources.Noise = None,
    axes: options.Axes = None,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="hvae|flat",
            help="Network of fresh weights for noisy images alone; flat is that of the "
            "textbooks.",
            show_default="hvae",
        ),
    ] = None,
    latent: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Its latent channels at every level, or the length of its vector.",
            show_default="16; flat: 32",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=4,
            metavar="PIXELS",
            help="Side of what a flat one sees, a multiple of 4.",
            show_default="that of small images, or 32",
        ),
    ] = None,
    seed: Seed = None,
    device: options.Device = "auto",
    devices: Devices = 1,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Go on with a training that was stopped, from the file it saved, with the "
            "same images.",
            show_default=False,
        ),
    ] = None,
    skip_unreadable: sources.SkipUnreadable = False,
    overwrite: options.Overwrite = False,
    json_lines: Lines = False,
) -> None:
    """Train a model on noisy images alone, or with all that there is besides.

    Ctrl-C stops it and saves the best model so far, from which --resume goes on.
    """
    inputs = files_of(images)
    check_model_path(output, inputs, overwrite=overwrite)
    _check_length(budget, steps)
    source = source_of(images, second, clean, simulate)
    if resume is not None:
        fixed = {"--budget": budget, "--steps": steps, "--seed": seed}
        fixed |= {"--kind": kind, "--latent": latent, "--size": size}
        if given := [name for name, value in fixed.items() if value is not None]:
            raise InputError(
                f"--resume goes on with the settings of its checkpoint: leave {given[0]} out."
            )

    def prepared() -> Training:
        from napari_vae_restore.training.engine import Training

        common: dict[str, Any] = {
            "start": start,
            "axes": axes,
            "device": device,
            "devices": devices,
            "skip_unreadable": skip_unreadable,
        }
        if resume is not None:
            return Training.resume(resume, source, noise=noise, **common)
        return Training(
            source,
            config=_config(images, kind, latent, size, axes),
            noise=noise or "auto",
            budget=budget or TRAIN_BUDGET,
            steps=steps,
            seed=SEED if seed is None else seed,
            **common,
        )

    going_on = _typed(
        "train",
        images,
        output,
        second=second,
        clean=clean,
        simulate=simulate,
        start=start,
        noise=noise,
        axes=axes,
    )
    _teach(
        prepared,
        inputs,
        output,
        going_on,
        JsonLines() if json_lines else None,
        overwrite=overwrite,
    )


def _config(
    images: Path, kind: str | None, latent: int | None, size: int | None, axes: str | None
) -> ModelConfig | None:
    """The network of fresh weights that is asked for; None for what is usual."""
    if kind is None and latent is None and size is None:
        return None
    from napari_vae_restore.training.networks import network_config
    from napari_vae_restore.training.sources import listed, load_images

    first = load_images([listed(images)[0].given], axes, may_have_nan=True)
    return network_config(kind or "hvae", first, latent=latent, size=size)


def _check_length(budget: str | None, steps: int | None) -> None:
    if budget is not None and steps is not None:
        raise InputError("Expected --budget or --steps, but both came: leave one out.")


def _typed(command: str, images: Path, output: Path, **options: object) -> list[object]:
    """The command that goes on from what is saved, as words."""
    words: list[object] = [command, images, "-o", output, "--resume", output, "--overwrite"]
    for name, value in options.items():
        words += [f"--{name}", value] if value is not None else []
    return words


def _teach(
    prepare: Callable[[], Training],
    inputs: list[Path],
    output: Path,
    going_on: list[object],
    lines: JsonLines | None,
    *,
    overwrite: bool,
) -> None:
    """Run a training to its end or to Ctrl-C, save what it learned, and tell."""
    try:
        training, stopped = _run(prepare, output, lines)
    except Exception as error:
        if lines is not None:
            lines.failed(error)
        raise
    if not training.is_main:
        return
    if stopped and not training.step:
        terminal.note("no step was finished, so nothing is saved")
    elif lines is not None:
        lines.saved(output, complete=not stopped)
    else:
        _tell(training, inputs, output, going_on, stopped=stopped, overwrite=overwrite)
    if stopped:
        raise typer.Exit(_INTERRUPTED)


def _run(
    prepare: Callable[[], Training], output: Path, lines: JsonLines | None
) -> tuple[Training, bool]:
    """Train and save, a checkpoint where it was stopped or failed; whether it was stopped."""
    with terminal.working("Reading the images and measuring their noise"):
        training = prepare()
    if not training.is_main:
        for _ in training.run():
            pass
        return training, False
    if lines is not None:
        lines.started(training)
    try:
        stopped = runs.run_training(training, output, lines)
    except TrainingError as error:
        if not _save_unfinished(training, output):
            raise
        if lines is not None:
            lines.saved(output, complete=False)
        raise TrainingError(f"{error}; the best model so far is saved in {output}") from error
    if stopped:
        _save_unfinished(training, output)
    else:
        # It may replace a file: its own checkpoints, or what --overwrite was said of.
        training.model.save(output, overwrite=True)
    return training, stopped


def _tell(
    training: Training,
    inputs: list[Path],
    output: Path,
    going_on: list[object],
    *,
    stopped: bool,
    overwrite: bool,
) -> None:
    """Report what was trained and saved, and what to type next."""
    from napari_vae_restore.noise.words import describe_noise

    terminal.report(
        [
            ("Noise", describe_noise(training.data_noise)),
            *reports.describe_training(training.model.record),
            ("Saved", f"{output}{' (the best model so far)' if stopped else ''}"),
            *_write_report(training.model, output, overwrite=overwrite),
        ]
    )
    if stopped:
        terminal.report([("Go on with", reports.as_typed("vae-restore", *going_on))])
        return
    from napari_vae_restore.images.array_files import is_array_file

    if is_array_file(inputs[0]):
        return  # the other commands read pictures
    restored = f"{inputs[0].stem}_denoised.tif"
    words = ["denoise", inputs[0], "-o", restored, "--model", output]
    terminal.report([("Next", reports.as_typed("vae-restore", *words))])


def _write_report(model: Model, output: Path, *, overwrite: bool) -> reports.Rows:
    """Save the model's report beside it; a page that is in the way is no reason to fail."""
    from napari_vae_restore.reports.model_page import write_report_beside

    try:
        return [("Report", str(write_report_beside(model, output, overwrite=overwrite)))]
    except VAERestoreError as error:
        terminal.complain("warning", str(error))
        return []


def _save_unfinished(training: Training, output: Path) -> bool:
    """Save a checkpoint, which is a model file too, if any step was done."""
    if not training.step:
        return False
    training.save_checkpoint(output)
    return True
