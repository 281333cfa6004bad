"""``vae-restore train``: from noisy images to a model file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_vae_restore.cli import options, reports, runs, terminal
from napari_vae_restore.errors import InputError, TrainingError

if TYPE_CHECKING:
    from napari_vae_restore.training.engine import Training

BUDGET = "5min"
SEED = 0

_INTERRUPTED = 130


def train(
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="Noisy image, or folder of them.", show_default=False
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="MODEL", help="A .safetensors file.", show_default=False
        ),
    ],
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Such as 90s, 5min, 1h.", show_default=BUDGET),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Steps in place of a time: the same seed then gives the same model.",
            show_default=False,
        ),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(metavar="NOISE", help=f"{options.NOISE_FORMS}.", show_default="auto"),
    ] = None,
    axes: options.Axes = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Of weights, patches and latent noise.",
            show_default=str(SEED),
        ),
    ] = None,
    device: options.Device = "auto",
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Go on with a training that was stopped, from the file it saved, with the "
            "same images.",
            show_default=False,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Train a model on noisy images alone; no clean ones are needed.

    Ctrl-C stops it and saves the best model so far, from which --resume goes on.
    """
    from napari_vae_restore.image_files import list_images
    from napari_vae_restore.noise.words import describe_noise

    inputs = list_images(images) if images.is_dir() else [images]
    check_model_path(output, inputs, overwrite=overwrite)
    if budget is not None and steps is not None:
        raise InputError("Expected --budget or --steps, but both came: leave one out.")
    if resume is not None:
        fixed = {"--budget": budget, "--steps": steps, "--seed": seed}
        if given := [name for name, value in fixed.items() if value is not None]:
            raise InputError(
                f"--resume goes on with the settings of its checkpoint: leave {given[0]} out."
            )
    with terminal.working("Reading the images and measuring their noise"):
        training = _prepared(
            images,
            noise=noise,
            axes=axes,
            device=device,
            budget=budget,
            steps=steps,
            seed=seed,
            checkpoint=resume,
        )
    try:
        stopped = runs.run_training(training)
    except TrainingError as error:
        if not _save_unfinished(training, output):
            raise
        raise TrainingError(f"{error}; the best model so far is saved in {output}") from error
    if not stopped:
        training.model.save(output, overwrite=overwrite)
    elif not _save_unfinished(training, output):
        terminal.note("no step was finished, so nothing is saved")
        raise typer.Exit(_INTERRUPTED)
    terminal.report(
        [
            ("Noise", describe_noise(training.data_noise)),
            *reports.describe_training(training.model.record),
            ("Saved", f"{output}{' (the best model so far)' if stopped else ''}"),
        ]
    )
    if stopped:
        words = ["train", images, "-o", output, "--resume", output, "--overwrite"]
        words += ["--noise", noise] if noise else []
        words += ["--axes", axes] if axes else []
        terminal.report([("Go on with", reports.as_typed("vae-restore", *words))])
        raise typer.Exit(_INTERRUPTED)
    restored = f"{inputs[0].stem}_denoised.tif"
    words = ["denoise", inputs[0], "-o", restored, "--model", output]
    terminal.report([("Next", reports.as_typed("vae-restore", *words))])


def check_model_path(path: Path, inputs: list[Path], *, overwrite: bool) -> None:
    """Make sure that a model can be written; errors as `outputs.check_path`."""
    from napari_vae_restore.cli import outputs
    from napari_vae_restore.models.files import SUFFIX

    outputs.check_path(path, [SUFFIX], inputs, overwrite=overwrite)
    if path.suffix != SUFFIX:
        raise InputError(
            f"Expected the ending {SUFFIX} in small letters, but {path.name} came."
        )


def _prepared(
    images: Path,
    *,
    noise: str | None,
    axes: str | None,
    device: str,
    budget: str | None,
    steps: int | None,
    seed: int | None,
    checkpoint: Path | None,
) -> Training:
    from napari_vae_restore.training.engine import Training

    if checkpoint is not None:
        return Training.resume(checkpoint, images, noise=noise, axes=axes, device=device)
    return Training(
        images,
        noise=noise or "auto",
        budget=budget or BUDGET,
        steps=steps,
        axes=axes,
        seed=SEED if seed is None else seed,
        device=device,
    )


def _save_unfinished(training: Training, output: Path) -> bool:
    """Save a checkpoint, which is a model file too, if any step was done."""
    if not training.model.record.n_steps:
        return False
    training.save_checkpoint(output)
    return True
