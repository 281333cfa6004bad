"""``vae-restore denoise``: a noisy image file and a model to a denoised file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_vae_restore.cli import options, runs, terminal
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from napari_vae_restore.image_files import ImageFile

TIFF = [".tif", ".tiff"]
SAMPLES = 16
"""Samples that an uncertainty is computed from where their number is not given."""


def denoise(
    image: options.ImageIn,
    output: options.ImageOut,
    model: Annotated[
        Path,
        typer.Option(metavar="MODEL", help="File of `vae-restore train`.", show_default=False),
    ],
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="NOISE",
            help=f"{options.NOISE_FORMS}; by default that of the images the model was "
            "trained on.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Samples of the posterior, two or more; their spread is the uncertainty.",
            show_default=f"{SAMPLES} with --uncertainty, else 0",
        ),
    ] = None,
    uncertainty: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TIFF for the standard deviation of each pixel (float32, intensity units).",
            show_default=False,
        ),
    ] = None,
    axes: options.Axes = None,
    tile: Annotated[
        int | None,
        typer.Option(
            metavar="SIDE",
            help="Pixels: changes memory and time, not the result.",
            show_default="512",
        ),
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Denoise an image.

    The output keeps the axes, pixel size and type of the input; its description holds
    the recipe, with which the result can be repeated.
    """
    from napari_vae_restore.arrays import as_image
    from napari_vae_restore.cli import outputs
    from napari_vae_restore.image_files import read_image, write_image

    inputs = [image, model]
    outputs.check_path(output, [*TIFF, ".png"], inputs, overwrite=overwrite)
    if uncertainty is not None:
        outputs.check_path(uncertainty, TIFF, inputs, overwrite=overwrite)
        outputs.check_different(output, uncertainty)
        samples = SAMPLES if samples is None else samples
        if samples < 2:
            raise InputError(
                f"Expected at least 2 samples for --uncertainty, but {samples} came: raise "
                "--samples or leave it out."
            )
    elif samples:
        terminal.complain("warning", "samples show in --uncertainty FILE only: add it")
    source = read_image(image)
    _, axes = as_image(source.data, axes or source.axes)
    outputs.check_format(output, source, axes, source.data.dtype)
    if uncertainty is not None:
        outputs.check_format(uncertainty, source, axes, "float32")
    from napari_vae_restore.models.files import load
    from napari_vae_restore.restoration.restore import TILE, iter_restore
    from napari_vae_restore.restoration.tasks import Denoise

    result = runs.run_restoration(
        iter_restore(
            source.data,
            Denoise(noise),
            load(model),
            axes=axes,
            n_samples=samples or 0,
            tile=TILE if tile is None else tile,
            seed=seed,
            device=device,
        )
    )
    # ASCII, so that no name of a model can hold what a description cannot.
    recipe = result.recipe.to_json()
    write_image(output, result.mean, axes, like=source, description=recipe, overwrite=overwrite)
    saved = str(output)
    if uncertainty is not None and result.std is not None:
        write_image(
            uncertainty, result.std, axes, like=source, description=recipe, overwrite=overwrite
        )
        saved += f", {uncertainty}"
    diagnostics = result.diagnostics
    terminal.report(
        [
            (
                "Image",
                f"{_described(source, axes)}, {diagnostics.seconds:.1f} s on "
                f"{diagnostics.device}",
            ),
            ("Noise", _noise_in_words(result.recipe.noise)),
            ("Removed", runs.describe_removal(diagnostics)),
            ("Saved", saved),
        ]
    )


def _described(image: ImageFile, axes: str) -> str:
    sizes = " × ".join(map(str, image.data.shape))
    return f"{axes} {sizes} {image.data.dtype}"


def _noise_in_words(channels: tuple[str, ...]) -> str:
    from napari_vae_restore.noise import parse_noise

    if len(set(channels)) == 1:
        return runs.describe_noise(parse_noise(channels[0]))
    return "; ".join(
        f"channel {n}: {runs.describe_noise(parse_noise(noise))}"
        for n, noise in enumerate(channels, start=1)
    )
