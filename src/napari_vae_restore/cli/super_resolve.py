"""``vae-restore super-resolve``: an image file to one with more and smaller pixels."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_vae_restore.cli import options

Factor = Annotated[
    int, typer.Option(metavar="2|3|4", help="Output pixels for each input pixel along Y and X.")
]
Kernel = Annotated[
    str,
    typer.Option(
        metavar="bicubic|box|gaussian",
        help="What an input pixel saw: box for the mean over its area, as binning makes.",
    ),
]


@options.restoring
def super_resolve(
    given: options.Restoring,
    factor: Factor,
    kernel: Kernel = "bicubic",
    noise: options.NoiseToo = None,
) -> None:
    """Enlarge an image, consistently with what its pixels measured.

    The pixel size in the output is that of the input divided by the factor. Without
    --noise the output, reduced again, gives the input.
    """
    from napari_vae_restore.cli.restoring import denoising_too, restore_files
    from napari_vae_restore.restoration.recipes.replay import Request
    from napari_vae_restore.restoration.tasks import SuperResolve, Task

    tasks: tuple[Task, ...] = (SuperResolve(factor, kernel), *denoising_too(noise))
    restore_files(given, lambda mask: Request(tasks))
