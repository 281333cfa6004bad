"""``vae-restore encode``: an image as a table of latents, a row for each region."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vae_restore.cli import options, terminal

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DIGITS = 7
"""Digits of a number, as many as float32 has."""


Image = Annotated[Path, typer.Argument(metavar="IN", help="Image file.")]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="FEATURES", help="CSV file.")]
Regions = Annotated[
    Path | None,
    typer.Option(
        metavar="LABELS",
        help="Image file of integer labels, 0 for background; by default squares of 64 px.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        metavar="default|FILE",
        help="The model that comes with the package, which knows clean images, or a file "
        "of `vae-restore train`.",
    ),
]


def encode(
    image: Image,
    output: Output,
    regions: Regions = None,
    model: Model = "default",
    axes: options.Axes = None,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Write the latents of an image as features of its regions, ready for PCA or UMAP."""
    from napari_vae_restore.batch import outputs
    from napari_vae_restore.generation.features import features
    from napari_vae_restore.generation.latents import encode as encoded
    from napari_vae_restore.images.image_files import read_image
    from napari_vae_restore.models.bundled import find_model

    inputs = [image, *([regions] if regions else [])]
    outputs.check_path(output, (".csv",), inputs, overwrite=overwrite)
    source = read_image(image)
    labels = None if regions is None else read_image(regions).data
    found = find_model(model)
    with terminal.working("Encoding"):
        latents = encoded(source.data, found, axes=axes or source.axes, device=device)
        table = features(latents, labels)
    outputs.write_file(output, _as_csv(table).encode())
    levels = ", ".join(
        f"{stride} px: {shape[1]} × {shape[2]} × {shape[3]}"
        for stride, shape in zip(latents.strides, latents.shapes, strict=True)
    )
    terminal.report(
        [
            ("Latents", levels),
            ("Table", f"{len(table['label'])} regions, {len(table)} columns"),
            ("Model", found.name),
            ("Saved", str(output)),
        ]
    )


def _as_csv(table: dict[str, NDArray[Any]]) -> str:
    """A heading, then a row for each region."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(table)
    for row in zip(*table.values(), strict=True):
        writer.writerow(f"{value:.{_DIGITS}g}" for value in row)
    return text.getvalue()
