"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NOISE_FORMS = (
    "gaussian:SIGMA or poisson-gaussian:A,B (variance = A · signal + B) in the image's "
    "intensity units, or auto to measure it"
)
CORRELATED_FORMS = (
    f"{NOISE_FORMS}; with @Y,X behind the numbers where neighbours correlate, such as "
    "@0.6,0.6, or @row:0.8 for noise along lines"
)

# Help on the input of commands for one image or many.
FILES = (
    "TIFF, PNG, JPEG or BMP files; OME-Zarr or Zarr folders; other folders, for all that is "
    "in them and below; globs in quotes, such as 'data/**/*.tif'."
)
MODEL_HELP = "The model that comes with the package, or a file of `vae-restore train`."
SEED_HELP = "The same seed gives the same numbers."

Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help=SEED_HELP)]
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
Images = Annotated[list[Path], typer.Argument(metavar="IN", help=FILES)]
Model = Annotated[str, typer.Option(metavar="default|FILE", help=MODEL_HELP)]
NoiseToo = Annotated[
    str | None,
    typer.Option(
        metavar="NOISE",
        help=f"Take the image as noisy, and denoise it too: {CORRELATED_FORMS}.",
    ),
]
TrainingImages = Annotated[
    Path, typer.Argument(metavar="IN", help="Image, or folder of images.")
]
ModelOutput = Annotated[
    Path, typer.Option("-o", "--output", metavar="MODEL", help="A .safetensors file.")
]
