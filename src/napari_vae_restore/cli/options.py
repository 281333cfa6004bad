"""The options that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from napari_vae_restore.batch.choices import ALWAYS, NEVER, POLICIES, SAMPLES

NOISE_FORMS = (
    "gaussian:SIGMA or poisson-gaussian:A,B (variance = A · signal + B) in the image's "
    "intensity units, or auto to measure it"
)
CORRELATED_FORMS = (
    f"{NOISE_FORMS}; with @Y,X behind the numbers where neighbours correlate, such as "
    "@0.6,0.6, or @row:0.8 for noise along lines"
)

FILES = (
    "TIFF, PNG, JPEG or BMP files; OME-Zarr or Zarr folders; other folders, for all that is "
    "in them and below; globs in quotes, such as 'data/**/*.tif'."
)
"""Help on the input of commands for one image or many."""

Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")]
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
Mask = Annotated[
    Path,
    typer.Option(
        metavar="MASK",
        help="Image file (no JPEG), any value but 0 where a pixel is missing; of the image's "
        "shape, of its shape without channels, or height and width alone. Or a folder of "
        "them, with the names of the images.",
    ),
]
Images = Annotated[list[Path], typer.Argument(metavar="IN", help=FILES)]
Model = Annotated[
    str,
    typer.Option(
        metavar="default|FILE",
        help="The model that comes with the package, or a file of `vae-restore train`.",
    ),
]
Fill = Annotated[
    str,
    typer.Option(
        metavar="mean|sample",
        help="What missing pixels get: the average of all plausible fillings, to measure on; "
        "or one of them, drawn at random.",
    ),
]
NoiseToo = Annotated[
    str | None,
    typer.Option(
        metavar="NOISE",
        help=f"Take the image as noisy, and denoise it too: {CORRELATED_FORMS}.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """Options of every command that restores images.

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
    model: Annotated[
        str | None,
        typer.Option(
            metavar="default|FILE",
            help="The model that comes with the package, or a file of `vae-restore train`.",
            show_default="default",
        ),
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
        typer.Option(
            min=0, metavar="N", help="The same seed gives the same numbers.", show_default="0"
        ),
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

    @property
    def image(self) -> Path:
        """The first image."""
        return self.images[0]

    @property
    def overwrite(self) -> bool:
        """Whether output files are replaced."""
        return self.existing == ALWAYS


class OverwriteCommand(TyperCommand):
    """A command whose ``--overwrite`` may stand alone, and then means "always".

    Typer has no options with an optional value.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word behind the option; see click."""
        full: list[str] = []
        for word, following in zip(args, [*args[1:], ""], strict=True):
            full.append(word)
            if word == "--overwrite" and following not in POLICIES:
                full.append(ALWAYS)
        return super().parse_args(ctx, full)


_FIRST = 2
"""The first fields of `Restoring`, IN and OUT, stand before a command's own options."""


def restoring(command: Callable[..., None]) -> Callable[..., None]:
    """Let typer see the fields of `Restoring` in place of a command's first parameter.

    Typer makes options of a function's signature, and so has no other way to share them.
    """
    shared = [*inspect.signature(Restoring, eval_str=True).parameters.values()]
    own = [*inspect.signature(command, eval_str=True).parameters.values()][1:]
    own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    options = [*shared[:_FIRST], *own, *shared[_FIRST:]]

    def run(**values: Any) -> None:
        given = Restoring(**{each.name: values.pop(each.name) for each in shared})
        command(given, **values)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {each.name: each.annotation for each in options}
    vars(run)["__signature__"] = inspect.Signature(options)
    return run
