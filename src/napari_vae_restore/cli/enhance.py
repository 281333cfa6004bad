"""``vae-restore enhance``: a restored image made more pleasant to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vae_restore.cli import options, terminal
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_vae_restore.restoration.result import Restoration

_FORMATS = (".tif", ".tiff", ".png")
_MARK = "enhanced"


Image = Annotated[Path, typer.Argument(metavar="IN", help="A restored image.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help='TIFF or PNG file with "enhanced" in its name.',
        show_default="IN-enhanced.tif",
    ),
]
Detail = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PX:GAIN",
        help="Gain of the latents of a level, named by the pixels of its cells: 2:1.5 "
        "raises the finest details by half; again for more (2, 4, 8, 16).",
    ),
]
Smoothing = Annotated[
    float, typer.Option(min=0, max=1, metavar="S", help="Lessens the two finest levels.")
]
Variation = Annotated[
    float,
    typer.Option(min=0, metavar="V", help="Noise on the latents, in standard deviations."),
]
Contrast = Annotated[float, typer.Option(metavar="C", help="Factor about mid-grey.")]
Brightness = Annotated[
    float, typer.Option(metavar="B", help="Added, in parts of the range, -1 to 1.")
]
Gamma = Annotated[float, typer.Option(metavar="G", help="Below 1 lifts the dark.")]
LocalContrast = Annotated[
    float, typer.Option(metavar="L", help="Share of local equalisation (CLAHE), 0 to 1.")
]


def enhance(
    image: Image,
    output: Output = None,
    detail: Detail = None,
    smoothing: Smoothing = 0.0,
    variation: Variation = 0.0,
    contrast: Contrast = 1.0,
    brightness: Brightness = 0.0,
    gamma: Gamma = 1.0,
    local_contrast: LocalContrast = 0.0,
    noise: options.NoiseToo = None,
    model: options.Model = "default",
    axes: options.Axes = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Raise details, smooth, and change tones: for looking at, no longer for measuring."""
    from napari_vae_restore.batch import outputs
    from napari_vae_restore.generation.enhancement import NOTE
    from napari_vae_restore.generation.enhancement import enhance as enhanced
    from napari_vae_restore.generation.tones import Tones
    from napari_vae_restore.images.image_files import read_image, write_image
    from napari_vae_restore.models.bundled import find_model
    from napari_vae_restore.restoration.restore import denoise

    output = output or image.with_name(f"{image.stem}-{_MARK}.tif")
    _check_name(output)
    outputs.check_path(output, _FORMATS, [image], overwrite=overwrite)
    gains = dict(_parse_detail(text) for text in detail or [])
    tones = Tones(contrast, brightness, gamma, local_contrast)
    source = read_image(image)
    axes = axes or source.axes
    outputs.check_format(output, source, axes, source.data.dtype)
    found = find_model(model)
    with terminal.working("Enhancing"):
        given: NDArray[Any] | Restoration = source.data
        if noise is not None:
            given = denoise(source.data, found, noise=noise, axes=axes, device=device)
        result = enhanced(
            given,
            found,
            detail=gains,
            smoothing=smoothing,
            variation=variation,
            tones=tones,
            axes=axes,
            seed=seed,
            device=device,
        )
    write_image(
        output,
        result.enhanced,
        axes,
        like=source,
        description=result.recipe.to_json(),
        overwrite=overwrite,
    )
    terminal.report([("Enhanced", NOTE), ("Model", found.name), ("Saved", str(output))])


def _check_name(output: Path) -> None:
    if _MARK not in output.name.lower():
        raise InputError(
            f'Expected an output with "{_MARK}" in its name, but {output.name} came: nobody '
            "shall take it for a measurement."
        )


def _parse_detail(text: str) -> tuple[int, float]:
    pixels, colon, gain = text.partition(":")
    try:
        if colon:
            return int(pixels), float(gain)
    except ValueError:
        pass
    raise InputError(f"Expected --detail PX:GAIN such as 2:1.5, but {text!r} came.")
