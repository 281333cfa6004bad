"""``vae-restore restore``: a restoration repeated, or one of several tasks at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_vae_restore.cli import options


@options.restoring
def restore(
    given: options.Restoring,
    recipe: Annotated[
        Path,
        typer.Option(
            metavar="RECIPE",
            help="A result of this program, whose description holds its recipe, or a JSON "
            'file: that description, or as little as {"tasks": [{"kind": "denoise"}]}.',
            show_default=False,
        ),
    ],
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="MASK",
            help="In place of the mask that the recipe names.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Restore an image by a recipe: repeat a result, or do several tasks at once.

    Options that are given outweigh the recipe. Its samples are drawn where they are
    asked for, by --samples or --uncertainty.
    """
    from napari_vae_restore.cli.restoring import restore_file
    from napari_vae_restore.restoration.recipes import read_recipe

    inputs = [recipe] if mask is None else [recipe, mask]
    restore_file(given, read_recipe(recipe, mask=mask), inputs=inputs)
