"""``vae-restore generate``: pictures from a model, between two images, or like one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_vae_restore import __version__
from napari_vae_restore.cli import options, terminal
from napari_vae_restore.errors import InputError

_TIFF = (".tif", ".tiff")


def generate(
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="OUT", help="TIFF file, a stack.", show_default=False
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="default|FILE",
            help="The model that comes with the package, or a file of `vae-restore train`.",
        ),
    ] = "default",
    n: Annotated[int, typer.Option("--n", min=1, metavar="N", help="Pictures.")] = 8,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            help="In pixels; any, but a textbook VAE has one only.",
            show_default="256x256",
        ),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(min=0.0, metavar="T", help="Below 1 smoother and more typical."),
    ] = 1.0,
    between: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="A B",
            help="Go from image A to B through their latents.",
            show_default=False,
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE", help="Redraw the finest levels of this image.", show_default=False
        ),
    ] = None,
    levels: Annotated[
        int, typer.Option(min=0, metavar="L", help="How many levels --like redraws.")
    ] = 1,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Draw pictures that a model has learned to make; they show nothing that exists."""
    from napari_vae_restore.batch import outputs
    from napari_vae_restore.generation import sampling
    from napari_vae_restore.generation.latents import encode
    from napari_vae_restore.images.image_files import ImageFile, read_image, write_image
    from napari_vae_restore.models.bundled import find_model
    from napari_vae_restore.restoration.trust.invented import GENERATED

    if between is not None and like is not None:
        raise InputError("Expected --between or --like, but both came: leave one out.")
    if size is not None and (between or like):
        raise InputError("Expected no --size beside images, which have one: leave it out.")
    inputs = [*(between or ()), *([like] if like else [])]
    inputs += [] if model == "default" else [Path(model)]
    outputs.check_path(output, _TIFF, inputs, overwrite=overwrite)
    found = find_model(model)
    about: dict[str, Any] = {"n": n, "temperature": temperature, "seed": seed}
    source: ImageFile | None = None
    with terminal.working("Drawing"):
        if between:
            source, last = (read_image(path) for path in between)
            stack = sampling.interpolate(
                source.data, last.data, found, n, axes=source.axes, device=device
            )
            about = {"n": n, "between": [path.name for path in between]}
        elif like:
            source = read_image(like)
            latents = encode(source.data, found, axes=source.axes, device=device)
            stack = sampling.vary(
                latents,
                found,
                n,
                levels=levels,
                temperature=temperature,
                seed=seed,
                device=device,
            )
            about |= {"like": like.name, "levels": levels}
        else:
            shape = None if size is None else _parse_size(size)
            stack = sampling.sample(
                found, n, shape, temperature=temperature, seed=seed, device=device
            )
    axes = ("YX" if stack.ndim == 3 else "CYX") if source is None else source.axes
    letter = next(letter for letter in "TZNQ" if letter not in axes)
    recipe = {
        "note": GENERATED,
        "generated": about,
        "model": found.name,
        "model_sha256": found.sha256,
    }
    recipe["package_version"] = __version__
    write_image(
        output,
        stack,
        letter + axes,
        like=source,
        description=json.dumps(recipe),
        overwrite=overwrite,
    )
    shape_text = " × ".join(map(str, stack.shape[1:]))
    terminal.report(
        [
            ("Generated", f"{len(stack)} of {shape_text}, along {letter}; none was measured"),
            ("Model", found.name),
            ("Saved", str(output)),
        ]
    )


def _parse_size(text: str) -> tuple[int, int]:
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise InputError(f"Expected --size HEIGHTxWIDTH such as 200x328, but {text!r} came.")
    return int(sides[0]), int(sides[-1])
