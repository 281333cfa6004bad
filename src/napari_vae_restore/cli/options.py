"""The options that several commands share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

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
"""What commands take that work on one image or on many."""

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
Mask = Annotated[
    Path,
    typer.Option(
        metavar="MASK",
        help="Image file (no JPEG), any value but 0 where a pixel is missing; of the image's "
        "shape, of its shape without channels, or height and width alone. Or a folder of "
        "them, with the names of the images.",
        show_default=False,
    ),
]
NoiseToo = Annotated[
    str | None,
    typer.Option(
        metavar="NOISE",
        help=f"Take the image as noisy, and denoise it too: {CORRELATED_FORMS}.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """What every command that restores an image takes; each field is one option.

    None stands for what the request says: the recipe's value, or the usual one.
    """

    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN",
            help=FILES,
            show_default=False,
        ),
    ]
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="TIFF or PNG file; of several images the folder, in which they keep their "
            "names; or an OME-Zarr folder, for an image of any size: interrupted, the same "
            "command goes on where it was.",
            show_default=False,
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
            show_default=False,
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
            min=0,
            metavar="N",
            help="The same seed gives the same numbers.",
            show_default="0",
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
            show_default=False,
        ),
    ] = None
    suffix: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Stands behind the names in the folder OUT, such as -denoised.",
            show_default=False,
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
        """The first image, of one the only."""
        return self.images[0]

    @property
    def overwrite(self) -> bool:
        """Whether output files are replaced."""
        return self.existing == ALWAYS


class OverwriteCommand(TyperCommand):
    """A command whose ``--overwrite`` may stand alone, and then means "always"."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word behind the option; see click."""
        full: list[str] = []
        for word, following in zip(args, [*args[1:], ""], strict=True):
            full.append(word)
            if word == "--overwrite" and following not in POLICIES:
                full.append(ALWAYS)
        return super().parse_args(ctx, full)


_FILES = 2
"""Fields of `Restoring` that stand before a command's own options."""


def restoring(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function that takes a `Restoring`, then options of its own.

    Parameters
    ----------
    command : callable
        Its first parameter is replaced by an option for each field of `Restoring`.

    Returns
    -------
    callable
        What typer makes a command of.
    """
    hints = get_type_hints(Restoring, include_extras=True)
    empty = inspect.Parameter.empty
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(Restoring)
    ]
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    parameters = [*shared[:_FILES], *own, *shared[_FILES:]]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        shared_values: dict[str, Any] = {o.name: values.pop(o.name) for o in shared}
        given = Restoring(**shared_values)
        call: Callable[..., None] = command
        call(given, **values)

    # typer reads both.
    run.__annotations__ = {option.name: option.annotation for option in parameters}
    vars(run)["__signature__"] = inspect.Signature(parameters)
    return run
