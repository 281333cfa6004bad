"""``vae-restore restore``: a restoration repeated, or one of several tasks at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_vae_restore.cli import options

Recipe = Annotated[
    Path,
    typer.Option(
        metavar="RECIPE",
        help="A result of this program, whose description holds its recipe, or a JSON "
        'file: that description, or as little as {"tasks": [{"kind": "denoise"}]}.',
    ),
]
Mask = Annotated[
    Path | None,
    typer.Option(
        metavar="MASK",
        help="In place of the mask that the recipe names; or a folder of masks with the "
        "names of the images.",
    ),
]


@options.restoring
def restore(given: options.Restoring, recipe: Recipe, mask: Mask = None) -> None:
    """Restore an image by a recipe: repeat a result, or do several tasks at once.

    Options that are given outweigh the recipe. Its samples are drawn where they are
    asked for, by --samples or --uncertainty.
    """
    from napari_vae_restore.cli.restoring import restore_files
    from napari_vae_restore.restoration.recipes.replay import Request, read_recipe

    def request_of(own: Path | None) -> Request:
        return read_recipe(recipe, mask=own or mask)

    restore_files(given, request_of, mask=mask, inputs=[recipe])
