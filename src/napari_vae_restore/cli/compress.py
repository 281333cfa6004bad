"""``vae-restore compress`` and ``decompress``: image files to .vaec and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import napari_vae_restore as vr
from napari_vae_restore.cli import options, terminal
from napari_vae_restore.errors import ImageFileError

_SUFFIX = ".vaec"
_IMAGES = (".tif", ".tiff", ".png")
_MAX_BYTES = 2**31

Model = Annotated[
    str,
    typer.Option(
        metavar="default|FILE",
        help="The model that comes with the package, or a file of `vae-restore adapt`; the "
        "same reads what it wrote.",
    ),
]


@dataclass(frozen=True, slots=True)
class CompressCommand:
    """Compress a clean image; noise costs most of the bits, so restore first."""

    image: Annotated[Path, typer.Argument(metavar="IN", help="Image.")]
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.vaec", help="The file.")
    ]
    quality: Annotated[
        float,
        typer.Option(
            min=0, max=100, metavar="Q", help="0 to 100; 12.5 points halve the errors."
        ),
    ] = 50.0
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Add what is left, so that every bit returns.")
    ] = False
    levels: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="L",
            help="How many levels of latents are coded, coarsest first.",
            show_default="the better of 0 and 2",
        ),
    ] = None
    model: Model = "default"
    axes: options.Axes = None
    overwrite: options.Overwrite = False

    def run(self) -> None:
        from napari_vae_restore.batch import outputs
        from napari_vae_restore.models.bundled import find_model

        outputs.check_path(self.output, (_SUFFIX,), [self.image], overwrite=self.overwrite)
        source = vr.read_image(self.image)
        model = find_model(self.model)
        with terminal.working("Compressing"):
            data = vr.compress(
                source,
                model,
                quality=self.quality,
                lossless=self.lossless,
                levels=self.levels,
                axes=self.axes,
            )
        outputs.write_file(self.output, data)
        bits, ratio = 8 * len(data) / source.data.size, source.data.nbytes / len(data)
        terminal.report(
            [
                (
                    "Compressed",
                    f"{len(data)} bytes, {bits:.3f} bits per value, 1 : {ratio:.1f}",
                ),
                ("Loss", "none" if self.lossless else f"quality {self.quality:g}"),
                ("Model", f"{model.name}; it is needed to read the file"),
                ("Saved", str(self.output)),
            ]
        )


@dataclass(frozen=True, slots=True)
class DecompressCommand:
    """Read a .vaec file into an image file, with pixel size, units and channel names."""

    source: Annotated[Path, typer.Argument(metavar="IN.vaec", help="The file.")]
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="TIFF or PNG file.")
    ]
    model: Model = "default"
    overwrite: options.Overwrite = False

    def run(self) -> None:
        from napari_vae_restore.batch import outputs
        from napari_vae_restore.images.image_files import write_image
        from napari_vae_restore.models.bundled import find_model

        source, output = self.source, self.output
        outputs.check_path(output, _IMAGES, [source], overwrite=self.overwrite)
        try:
            if source.stat().st_size > _MAX_BYTES:
                raise ImageFileError(f"{source}: the file is too large for a .vaec file.")
            data = source.read_bytes()
        except OSError as error:
            raise ImageFileError(f"Cannot read {source}: {error.strerror}.") from error
        model = find_model(self.model)
        with terminal.working("Decompressing"):
            image = vr.decompress(data, model)
        write_image(output, image.data, image.axes, like=image, overwrite=self.overwrite)
        shape = " × ".join(map(str, image.data.shape))
        terminal.report(
            [("Image", f"{image.axes} {shape}, {image.data.dtype}"), ("Saved", str(output))]
        )
