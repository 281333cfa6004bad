"""``vae-restore generate``: pictures from a model, between two images, or like one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import napari_vae_restore as vr
from napari_vae_restore.cli import options, terminal
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_vae_restore.images.image_metadata import ImageFile

_TIFF = (".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class GenerateCommand:
    """Draw pictures that a model has learned to make; they show nothing that exists."""

    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="TIFF file, a stack.")
    ]
    model: options.Model = "default"
    n: Annotated[int, typer.Option("--n", min=1, metavar="N", help="Pictures.")] = 8
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            help="In pixels; any, but a textbook VAE has one only.",
            show_default="256x256",
        ),
    ] = None
    temperature: Annotated[
        float, typer.Option(min=0.0, metavar="T", help="Below 1 smoother and more typical.")
    ] = 1.0
    between: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Go from image A to B through their latents."),
    ] = None
    like: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="Redraw the finest levels of this image."),
    ] = None
    levels: Annotated[
        int, typer.Option(min=0, metavar="L", help="How many levels --like redraws.")
    ] = 1
    seed: options.Seed = 0
    device: options.Device = "auto"
    overwrite: options.Overwrite = False

    def run(self) -> None:
        from napari_vae_restore.batch import outputs
        from napari_vae_restore.models.bundled import find_model

        if self.between is not None and self.like is not None:
            raise InputError("Expected --between or --like, but both came: leave one out.")
        inputs = [*(self.between or ()), *([self.like] if self.like else [])]
        if self.size is not None and inputs:
            raise InputError("Expected no --size beside images, which have one: leave it out.")
        inputs += [] if self.model == "default" else [Path(self.model)]
        outputs.check_path(self.output, _TIFF, inputs, overwrite=self.overwrite)
        model = find_model(self.model)
        with terminal.working("Drawing"):
            stack, about, source = self._drawn(model)
        self._save(model, stack, about, source)

    def _drawn(self, model: vr.Model) -> tuple[NDArray[Any], dict[str, Any], ImageFile | None]:
        """Pictures (n, *shape), what their recipe says, and the image that they come from."""
        n, device = self.n, self.device
        if self.between:
            source, last = map(vr.read_image, self.between)
            stack = vr.interpolate(
                source.data, last.data, model, n, axes=source.axes, device=device
            )
            return stack, {"n": n, "between": [path.name for path in self.between]}, source
        about: dict[str, Any] = {"n": n, "temperature": self.temperature, "seed": self.seed}
        drawing: dict[str, Any] = {
            "temperature": self.temperature,
            "seed": self.seed,
            "device": device,
        }
        if self.like:
            source = vr.read_image(self.like)
            latents = vr.encode(source.data, model, axes=source.axes, device=device)
            stack = vr.vary(latents, model, n, levels=self.levels, **drawing)
            return stack, about | {"like": self.like.name, "levels": self.levels}, source
        size = None if self.size is None else _parse_size(self.size)
        return vr.sample(model, n, size, **drawing), about, None

    def _save(
        self,
        model: vr.Model,
        stack: NDArray[Any],
        about: dict[str, Any],
        source: ImageFile | None,
    ) -> None:
        """Write the pictures along an axis that the image does not have, and report them."""
        from napari_vae_restore.images.image_files import write_image
        from napari_vae_restore.restoration.trust.invented import GENERATED

        axes = ("YX" if stack.ndim == 3 else "CYX") if source is None else source.axes
        letter = next(letter for letter in "TZNQ" if letter not in axes)
        recipe = {
            "note": GENERATED,
            "generated": about,
            "model": model.name,
            "model_sha256": model.sha256,
            "package_version": vr.__version__,
        }
        write_image(
            self.output,
            stack,
            letter + axes,
            like=source,
            description=json.dumps(recipe),
            overwrite=self.overwrite,
        )
        shape = " × ".join(map(str, stack.shape[1:]))
        terminal.report(
            [
                ("Generated", f"{len(stack)} of {shape}, along {letter}; none was measured"),
                ("Model", model.name),
                ("Saved", str(self.output)),
            ]
        )


def _parse_size(text: str) -> tuple[int, int]:
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise InputError(f"Expected --size HEIGHTxWIDTH such as 200x328, but {text!r} came.")
    return int(sides[0]), int(sides[-1])
