"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Device = Annotated[
    str,
    typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute."),
]
Seed = Annotated[
    int, typer.Option(min=0, metavar="N", help="The same seed gives the same numbers.")
]
Axes = Annotated[
    str | None,
    typer.Option(
        metavar="ZYX",
        help="One letter per dimension, where the file does not say: T, Z, C, Y, X, S.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace output files that exist.")
]
ImageIn = Annotated[
    Path, typer.Argument(metavar="IN", help="TIFF, PNG, JPEG or BMP file.", show_default=False)
]
ImageOut = Annotated[
    Path,
    typer.Option("-o", "--output", metavar="OUT", help="TIFF or PNG file.", show_default=False),
]

NOISE_FORMS = (
    "gaussian:SIGMA or poisson-gaussian:A,B (variance = A · signal + B) in the image's "
    "intensity units, or auto to measure it"
)
