"""``vae-restore encode``: an image as a table of latents, a row for each region."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import napari_vae_restore as vr
from napari_vae_restore.cli import options, terminal

_DIGITS = 7  # of a number, as many as float32 has


@dataclass(frozen=True, slots=True)
class EncodeCommand:
    """Write the latents of an image as features of its regions, ready for PCA or UMAP."""

    image: Annotated[Path, typer.Argument(metavar="IN", help="Image file.")]
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FEATURES", help="CSV file.")
    ]
    regions: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELS",
            help="Image file of integer labels, 0 for background; by default squares of 64 px.",
        ),
    ] = None
    model: Annotated[
        str,
        typer.Option(
            metavar="default|FILE",
            help="The model that comes with the package, which knows clean images, or a file "
            "of `vae-restore train`.",
        ),
    ] = "default"
    axes: options.Axes = None
    device: options.Device = "auto"
    overwrite: options.Overwrite = False

    def run(self) -> None:
        from napari_vae_restore.batch import outputs
        from napari_vae_restore.models.bundled import find_model

        inputs = [self.image, *([self.regions] if self.regions else [])]
        outputs.check_path(self.output, (".csv",), inputs, overwrite=self.overwrite)
        source = vr.read_image(self.image)
        labels = None if self.regions is None else vr.read_image(self.regions).data
        model = find_model(self.model)
        with terminal.working("Encoding"):
            axes = self.axes or source.axes
            latents = vr.encode(source.data, model, axes=axes, device=self.device)
            table = vr.features(latents, labels)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(table)
        for row in zip(*table.values(), strict=True):
            writer.writerow(f"{value:.{_DIGITS}g}" for value in row)
        outputs.write_file(self.output, text.getvalue().encode())
        levels = ", ".join(
            f"{stride} px: {shape[1]} × {shape[2]} × {shape[3]}"
            for stride, shape in zip(latents.strides, latents.shapes, strict=True)
        )
        terminal.report(
            [
                ("Latents", levels),
                ("Table", f"{len(table['label'])} regions, {len(table)} columns"),
                ("Model", model.name),
                ("Saved", str(self.output)),
            ]
        )
