"""``vae-restore noise``: what the noise of image files is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_vae_restore.cli import options, terminal

if TYPE_CHECKING:
    from napari_vae_restore.reports.noise_report import ChannelNoise


def noise(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IN", help=options.FILES, show_default=False),
    ],
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="SVG file for variance against signal and the residual's autocorrelation; of "
            "several images a folder of them.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object a file.")
    ] = False,
    kind: Annotated[
        str,
        typer.Option(
            metavar="auto|gaussian|poisson-gaussian|mixture",
            help="How it depends on the signal.",
        ),
    ] = "auto",
    correlation: Annotated[
        str,
        typer.Option(
            metavar="auto|white|row|column|plane", help="Which neighbours it connects."
        ),
    ] = "auto",
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="AXIS",
            help="The axis, such as T, along which one static scene was taken again and "
            "again: its mean is then the signal.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(metavar="default|FILE", help="The model of the pilot restoration."),
    ] = "default",
    axes: options.Axes = None,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Measure the noise: its type, its parameters, and the evidence.

    A pilot restoration leaves a residual, whose variance and autocorrelation are shown.
    """
    from napari_vae_restore.batch.inputs import Found, find_images, is_several
    from napari_vae_restore.batch.outputs import check_path
    from napari_vae_restore.cli import batches
    from napari_vae_restore.images.image_files import read_image
    from napari_vae_restore.reports.noise_report import estimate_noise

    def measure(image: Path, svg: Path | None) -> None:
        if svg is not None:
            check_path(svg, (".svg",), [image], overwrite=overwrite)
        picture = read_image(image)
        with terminal.working(f"Measuring the noise of {image.name}"):
            report = estimate_noise(
                picture.data,
                axes=axes or picture.axes,
                kind=kind,  # type: ignore[arg-type]  # checked there
                correlation=correlation,  # type: ignore[arg-type]
                model=model,
                frames=frames,
                device=device,
            )
        if svg is not None:
            report.plot(svg)
        if as_json:
            about = {"image": str(image)} | report.to_dict()
            terminal.stdout.out(json.dumps(about, allow_nan=False), highlight=False)
            return
        if several:
            terminal.report([("Image", str(image))])
        for number, channel in enumerate(report.channels, start=1):
            if len(report.channels) > 1:
                terminal.report([("Channel", str(number))])
            terminal.report(_rows(channel))
        if svg is not None:
            terminal.report([("Plot", str(svg))])

    several = is_several(images)
    if not several:
        measure(images[0], plot)
        return

    def measure_found(found: Found) -> None:
        svg = None if plot is None else plot / f"{found.relative}.svg"
        if svg is not None:
            svg.parent.mkdir(parents=True, exist_ok=True)
        measure(found.path, svg)

    batches.each_file(find_images(images), measure_found)


def _rows(channel: ChannelNoise) -> list[tuple[str, str]]:
    from napari_vae_restore.noise.words import describe_noise

    y, x = channel.lag_one
    rows = [
        ("Noise", describe_noise(channel.noise)),
        ("Residual", f"{channel.level:.2f} of the noise's standard deviation"),
        ("Neighbours", f"lag-1 autocorrelation {y:.2f} along Y, {x:.2f} along X"),
    ]
    if channel.doubt:
        rows.append(("Doubt", channel.doubt))
    text = str(channel.noise)
    return [*rows, ("As option", f"--noise '{text}'")] if len(text) < _MAX_WRITTEN else rows


_MAX_WRITTEN = 120
"""Characters of a written form that one might type."""
