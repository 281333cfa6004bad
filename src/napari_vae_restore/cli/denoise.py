"""``vae-restore denoise``: noisy image files to denoised ones."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_vae_restore.cli import options

Noise = Annotated[
    str | None,
    typer.Option(
        metavar="NOISE",
        help=f"{options.CORRELATED_FORMS}; by default that of the images the model was "
        "trained on, or measured.",
    ),
]


@options.restoring
def denoise(given: options.Restoring, noise: Noise = None) -> None:
    """Denoise an image, or many.

    The output keeps the axes, pixel size and type of the input; its description holds
    the recipe, with which the result can be repeated.
    """
    from napari_vae_restore.cli.restoring import restore_files
    from napari_vae_restore.restoration.recipes.replay import Request
    from napari_vae_restore.restoration.tasks import Denoise

    restore_files(given, lambda mask: Request((Denoise(noise),)))
