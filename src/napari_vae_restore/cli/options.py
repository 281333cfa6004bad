"""The options that several commands share.

Their annotations are objects, not text: typer reads those of RestoreOptions in other modules.
"""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

import typer

from napari_vae_restore.batch.choices import NEVER, SAMPLES

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


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """Options of every command that restores images, behind those of its own.

    None stands for the value in the request: the recipe's, or the default.
    """

    images: Images
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="TIFF or PNG file; of several images the folder, in which they keep their "
            "names; or an OME-Zarr folder, for an image of any size: interrupted, the same "
            "command goes on where it was.",
        ),
    ]
    _: KW_ONLY
    model: Annotated[
        str | None,
        typer.Option(metavar="default|FILE", help=MODEL_HELP, show_default="default"),
    ] = None
    samples: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Write N alternatives beside OUT, each a picture that the data allow: "
            "OUT.sample-1.tif and so on.",
            show_default="0",
        ),
    ] = None
    uncertainty: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TIFF for the standard deviation of each pixel (float32, intensity units) "
            f"over the N samples, or {SAMPLES}; of several images the folder.",
        ),
    ] = None
    axes: Axes = None
    tile: Annotated[
        int | None,
        typer.Option(
            metavar="SIDE",
            help="Pixels: changes memory and time, not the result.",
            show_default="2304",
        ),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help=SEED_HELP, show_default="0"),
    ] = None
    device: Device = "auto"
    shard: Annotated[
        bool,
        typer.Option("--shard", help="Zarr: fewer files, each with the chunks of one block."),
    ] = False
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="tcp://HOST:PORT",
            help="Zarr: have the workers of a dask scheduler compute.",
        ),
    ] = None
    suffix: Annotated[
        str,
        typer.Option(
            metavar="TEXT", help="Stands behind the names in the folder OUT, such as -denoised."
        ),
    ] = ""
    existing: Annotated[
        str,
        typer.Option(
            "--overwrite",
            metavar="never|missing|always",
            help="What becomes of output files that exist. never: in a folder, what this "
            "command would make again is kept, anything else an error; missing: they are left "
            "as they are; always, or nothing behind it: they are replaced.",
            show_default="never",
        ),
    ] = NEVER
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")
    ] = False
