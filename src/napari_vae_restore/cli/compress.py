"""``vae-restore compress`` and ``decompress``: image files to .vaec and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_vae_restore.cli import options, terminal
from napari_vae_restore.errors import ImageFileError

_SUFFIX = ".vaec"
_IMAGES = (".tif", ".tiff", ".png")
_MAX_BYTES = 2**31

ModelOption = Annotated[
    str,
    typer.Option(
        metavar="default|FILE",
        help="The model that comes with the package, or a file of `vae-restore adapt`; the "
        "same reads what it wrote.",
    ),
]


Image = Annotated[Path, typer.Argument(metavar="IN", help="Image.")]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="OUT.vaec", help="The file.")]
Quality = Annotated[
    float,
    typer.Option(min=0, max=100, metavar="Q", help="0 to 100; 12.5 points halve the errors."),
]
Lossless = Annotated[
    bool, typer.Option("--lossless", help="Add what is left, so that every bit returns.")
]
Levels = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="L",
        help="How many levels of latents are coded, coarsest first.",
        show_default="the better of 0 and 2",
    ),
]


def compress(
    image: Image,
    output: Output,
    quality: Quality = 50.0,
    lossless: Lossless = False,
    levels: Levels = None,
    model: ModelOption = "default",
    axes: options.Axes = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Compress a clean image; noise costs most of the bits, so restore first."""
    from napari_vae_restore.batch import outputs
    from napari_vae_restore.generation.compression.compress import compress as compressed
    from napari_vae_restore.images.image_files import read_image
    from napari_vae_restore.models.bundled import find_model

    outputs.check_path(output, (_SUFFIX,), [image], overwrite=overwrite)
    source = read_image(image)
    found = find_model(model)
    with terminal.working("Compressing"):
        data = compressed(
            source, found, quality=quality, lossless=lossless, levels=levels, axes=axes
        )
    outputs.write_file(output, data)
    bits, ratio = 8 * len(data) / source.data.size, source.data.nbytes / len(data)
    terminal.report(
        [
            ("Compressed", f"{len(data)} bytes, {bits:.3f} bits per value, 1 : {ratio:.1f}"),
            ("Loss", "none" if lossless else f"quality {quality:g}"),
            ("Model", f"{found.name}; it is needed to read the file"),
            ("Saved", str(output)),
        ]
    )


Source = Annotated[Path, typer.Argument(metavar="IN.vaec", help="The file.")]
OutputOption = Annotated[
    Path, typer.Option("-o", "--output", metavar="OUT", help="TIFF or PNG file.")
]


def decompress(
    source: Source,
    output: OutputOption,
    model: ModelOption = "default",
    overwrite: options.Overwrite = False,
) -> None:
    """Read a .vaec file into an image file, with pixel size, units and channel names."""
    from napari_vae_restore.batch import outputs
    from napari_vae_restore.generation.compression.compress import decompress as decompressed
    from napari_vae_restore.images.image_files import write_image
    from napari_vae_restore.models.bundled import find_model

    outputs.check_path(output, _IMAGES, [source], overwrite=overwrite)
    try:
        if source.stat().st_size > _MAX_BYTES:
            raise ImageFileError(f"{source}: the file is too large for a .vaec file.")
        data = source.read_bytes()
    except OSError as error:
        raise ImageFileError(f"Cannot read {source}: {error.strerror}.") from error
    found = find_model(model)
    with terminal.working("Decompressing"):
        image = decompressed(data, found)
    write_image(output, image.data, image.axes, like=image, overwrite=overwrite)
    shape = " × ".join(map(str, image.data.shape))
    terminal.report(
        [("Image", f"{image.axes} {shape}, {image.data.dtype}"), ("Saved", str(output))]
    )
