"""``vae-restore generate``: pictures from a model, between two images, or like one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vae_restore import __version__
from napari_vae_restore.cli import options, terminal
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_vae_restore.images.image_files import ImageFile
    from napari_vae_restore.models.model import Model

_TIFF = (".tif", ".tiff")


Output = Annotated[
    Path, typer.Option("-o", "--output", metavar="OUT", help="TIFF file, a stack.")
]
N = Annotated[int, typer.Option("--n", min=1, metavar="N", help="Pictures.")]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="HEIGHTxWIDTH",
        help="In pixels; any, but a textbook VAE has one only.",
        show_default="256x256",
    ),
]
Temperature = Annotated[
    float, typer.Option(min=0.0, metavar="T", help="Below 1 smoother and more typical.")
]
Between = Annotated[
    tuple[Path, Path] | None,
    typer.Option(metavar="A B", help="Go from image A to B through their latents."),
]
Like = Annotated[
    Path | None, typer.Option(metavar="IMAGE", help="Redraw the finest levels of this image.")
]
Levels = Annotated[
    int, typer.Option(min=0, metavar="L", help="How many levels --like redraws.")
]


def generate(
    output: Output,
    model: options.Model = "default",
    n: N = 8,
    size: Size = None,
    temperature: Temperature = 1.0,
    between: Between = None,
    like: Like = None,
    levels: Levels = 1,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Draw pictures that a model has learned to make; they show nothing that exists."""
    from napari_vae_restore.batch import outputs
    from napari_vae_restore.models.bundled import find_model

    if between is not None and like is not None:
        raise InputError("Expected --between or --like, but both came: leave one out.")
    if size is not None and (between or like):
        raise InputError("Expected no --size beside images, which have one: leave it out.")
    inputs = [*(between or ()), *([like] if like else [])]
    inputs += [] if model == "default" else [Path(model)]
    outputs.check_path(output, _TIFF, inputs, overwrite=overwrite)
    drawing = Drawing(find_model(model), n, temperature, seed, device)
    with terminal.working("Drawing"):
        if between:
            drawn = _draw_between(drawing, *between)
        elif like:
            drawn = _draw_like(drawing, like, levels)
        else:
            drawn = _draw_new(drawing, size)
    _save(drawn, drawing.model, output, overwrite=overwrite)


@dataclass(frozen=True, slots=True)
class Drawing:
    """How pictures are drawn."""

    model: Model
    n: int
    temperature: float
    seed: int
    device: str

    @property
    def about(self) -> dict[str, Any]:
        """The part of it that the recipe of a random drawing records."""
        return {"n": self.n, "temperature": self.temperature, "seed": self.seed}


@dataclass(frozen=True, slots=True)
class Drawn:
    """Pictures (n, *shape), what their recipe says, and the image that they come from."""

    stack: NDArray[Any]
    about: dict[str, Any]
    source: ImageFile | None = None


def _draw_between(drawing: Drawing, first: Path, last: Path) -> Drawn:
    from napari_vae_restore.generation.sampling import interpolate
    from napari_vae_restore.images.image_files import read_image

    source, end = read_image(first), read_image(last)
    stack = interpolate(
        source.data, end.data, drawing.model, drawing.n, axes=source.axes, device=drawing.device
    )
    return Drawn(stack, {"n": drawing.n, "between": [first.name, last.name]}, source)


def _draw_like(drawing: Drawing, image: Path, levels: int) -> Drawn:
    from napari_vae_restore.generation.latents import encode
    from napari_vae_restore.generation.sampling import vary
    from napari_vae_restore.images.image_files import read_image

    source, model, device = read_image(image), drawing.model, drawing.device
    latents = encode(source.data, model, axes=source.axes, device=device)
    stack = vary(
        latents,
        model,
        drawing.n,
        levels=levels,
        temperature=drawing.temperature,
        seed=drawing.seed,
        device=device,
    )
    return Drawn(stack, drawing.about | {"like": image.name, "levels": levels}, source)


def _draw_new(drawing: Drawing, size: str | None) -> Drawn:
    from napari_vae_restore.generation.sampling import sample

    stack = sample(
        drawing.model,
        drawing.n,
        None if size is None else _parse_size(size),
        temperature=drawing.temperature,
        seed=drawing.seed,
        device=drawing.device,
    )
    return Drawn(stack, drawing.about)


def _save(drawn: Drawn, model: Model, output: Path, *, overwrite: bool) -> None:
    """Write the pictures along an axis that the image does not have, and report them."""
    from napari_vae_restore.images.image_files import write_image
    from napari_vae_restore.restoration.trust.invented import GENERATED

    stack, source = drawn.stack, drawn.source
    axes = ("YX" if stack.ndim == 3 else "CYX") if source is None else source.axes
    letter = next(letter for letter in "TZNQ" if letter not in axes)
    recipe = {
        "note": GENERATED,
        "generated": drawn.about,
        "model": model.name,
        "model_sha256": model.sha256,
        "package_version": __version__,
    }
    write_image(
        output,
        stack,
        letter + axes,
        like=source,
        description=json.dumps(recipe),
        overwrite=overwrite,
    )
    shape = " × ".join(map(str, stack.shape[1:]))
    terminal.report(
        [
            ("Generated", f"{len(stack)} of {shape}, along {letter}; none was measured"),
            ("Model", model.name),
            ("Saved", str(output)),
        ]
    )


def _parse_size(text: str) -> tuple[int, int]:
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise InputError(f"Expected --size HEIGHTxWIDTH such as 200x328, but {text!r} came.")
    return int(sides[0]), int(sides[-1])
