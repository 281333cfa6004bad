"""Options and checks of the commands that learn from images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_vae_restore.cli import options
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from napari_vae_restore.training.sources import Source

Images = Annotated[Path, typer.Argument(metavar="IN", help="Image, or folder of images.")]
Output = Annotated[
    Path, typer.Option("-o", "--output", metavar="MODEL", help="A .safetensors file.")
]
Noise = Annotated[
    str | None,
    typer.Option(metavar="NOISE", help=f"{options.NOISE_FORMS}.", show_default="auto"),
]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Pass over files that cannot be used.")
]

Second = Annotated[
    Path | None,
    typer.Option(
        metavar="IN2",
        help="A second noisy shot of each image, under the same name: each is learned "
        "from the other.",
    ),
]
CleanImages = Annotated[
    Path | None,
    typer.Option(
        metavar="CLEAN",
        help="A clean image for each one, under the same name; or one 2, 3 or 4 times as "
        "high and wide.",
    ),
]
Simulated = Annotated[
    str | None,
    typer.Option(
        metavar="TASKS",
        help="Take IN as clean, and learn to undo what is simulated on it: denoise, "
        "inpaint, super-resolve, or several with commas.",
    ),
]


def check_model_path(path: Path, inputs: list[Path], *, overwrite: bool) -> None:
    """Raise InputError unless a model can be written to a path."""
    from napari_vae_restore.batch import outputs
    from napari_vae_restore.models.files import SUFFIX

    outputs.check_path(path, [SUFFIX], inputs, overwrite=overwrite)
    if path.suffix != SUFFIX:
        raise InputError(
            f"Expected the ending {SUFFIX} in small letters, but {path.name} came."
        )


def files_of(images: Path) -> list[Path]:
    """The files that a path stands for."""
    from napari_vae_restore.images.image_files import list_images
    from napari_vae_restore.training.sources import is_folder

    return list_images(images) if is_folder(images) else [images]


def source_of(
    images: Path, second: Path | None, clean: Path | None, simulate: str | None
) -> Source:
    """The training source that the options name; at most one of them may be given."""
    ways = {"--second": second, "--clean": clean, "--simulate": simulate}
    if len(given := [name for name, value in ways.items() if value is not None]) > 1:
        raise InputError(f"Expected one of {' and '.join(given)}: leave the others out.")
    from napari_vae_restore.training.sources import Clean, Pairs, Shots

    if second is not None:
        return Shots(images, second)
    if clean is not None:
        return Pairs(images, clean)
    if simulate is not None:
        return Clean(images, tuple(task.strip() for task in simulate.split(",")))
    return images
