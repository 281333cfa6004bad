"""``vae-restore enhance``: a restored image made more pleasant to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import napari_vae_restore as vr
from napari_vae_restore.cli import options, terminal
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMATS = (".tif", ".tiff", ".png")
_MARK = "enhanced"


@dataclass(frozen=True, slots=True)
class EnhanceCommand:
    """Raise details, smooth, and change tones: for looking at, no longer for measuring."""

    image: Annotated[Path, typer.Argument(metavar="IN", help="A restored image.")]
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help='TIFF or PNG file with "enhanced" in its name.',
            show_default="IN-enhanced.tif",
        ),
    ] = None
    detail: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PX:GAIN",
            help="Gain of the latents of a level, named by the pixels of its cells: 2:1.5 "
            "raises the finest details by half; again for more (2, 4, 8, 16).",
        ),
    ] = None
    smoothing: Annotated[
        float, typer.Option(min=0, max=1, metavar="S", help="Lessens the two finest levels.")
    ] = 0.0
    variation: Annotated[
        float,
        typer.Option(min=0, metavar="V", help="Noise on the latents, in standard deviations."),
    ] = 0.0
    contrast: Annotated[float, typer.Option(metavar="C", help="Factor about mid-grey.")] = 1.0
    brightness: Annotated[
        float, typer.Option(metavar="B", help="Added, in parts of the range, -1 to 1.")
    ] = 0.0
    gamma: Annotated[float, typer.Option(metavar="G", help="Below 1 lifts the dark.")] = 1.0
    local_contrast: Annotated[
        float, typer.Option(metavar="L", help="Share of local equalisation (CLAHE), 0 to 1.")
    ] = 0.0
    noise: options.NoiseToo = None
    model: options.Model = "default"
    axes: options.Axes = None
    seed: options.Seed = 0
    device: options.Device = "auto"
    overwrite: options.Overwrite = False

    def run(self) -> None:
        from napari_vae_restore.batch import outputs
        from napari_vae_restore.generation.enhancement import NOTE
        from napari_vae_restore.images.image_files import write_image
        from napari_vae_restore.models.bundled import find_model

        output = self.output or self.image.with_name(f"{self.image.stem}-{_MARK}.tif")
        if _MARK not in output.name.lower():
            raise InputError(
                f'Expected an output with "{_MARK}" in its name, but {output.name} came: '
                "nobody shall take it for a measurement."
            )
        outputs.check_path(output, _FORMATS, [self.image], overwrite=self.overwrite)
        gains = dict(_parse_detail(text) for text in self.detail or [])
        tones = vr.Tones(self.contrast, self.brightness, self.gamma, self.local_contrast)
        source = vr.read_image(self.image)
        axes = self.axes or source.axes
        outputs.check_format(output, source, axes, source.data.dtype)
        model = find_model(self.model)
        with terminal.working("Enhancing"):
            given: NDArray[Any] | vr.Restoration = source.data
            if self.noise is not None:
                given = vr.denoise(
                    source.data, model, noise=self.noise, axes=axes, device=self.device
                )
            result = vr.enhance(
                given,
                model,
                detail=gains,
                smoothing=self.smoothing,
                variation=self.variation,
                tones=tones,
                axes=axes,
                seed=self.seed,
                device=self.device,
            )
        write_image(
            output,
            result.enhanced,
            axes,
            like=source,
            description=result.recipe.to_json(),
            overwrite=self.overwrite,
        )
        terminal.report([("Enhanced", NOTE), ("Model", model.name), ("Saved", str(output))])


def _parse_detail(text: str) -> tuple[int, float]:
    pixels, colon, gain = text.partition(":")
    try:
        if colon:
            return int(pixels), float(gain)
    except ValueError:
        pass
    raise InputError(f"Expected --detail PX:GAIN such as 2:1.5, but {text!r} came.")
