"""``vae-restore noise``: noise models of image files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vae_restore.cli import options, reports, terminal

if TYPE_CHECKING:
    from napari_vae_restore.reports.channel_noise import ChannelNoise
    from napari_vae_restore.reports.noise_report import NoiseReport

_MAX_WRITTEN = 120
"""Longer noise models are not shown as an option to type."""


Plot = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="SVG file for variance against signal and the residual's autocorrelation; of "
        "several images a folder of them.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON object a file.")]
Kind = Annotated[
    str,
    typer.Option(
        metavar="auto|gaussian|poisson-gaussian|mixture", help="How it depends on the signal."
    ),
]
Correlation = Annotated[
    str,
    typer.Option(metavar="auto|white|row|column|plane", help="Which neighbours it connects."),
]
Frames = Annotated[
    str | None,
    typer.Option(
        metavar="AXIS",
        help="The axis, such as T, along which one static scene was taken again and "
        "again: its mean is then the signal.",
    ),
]
Model = Annotated[
    str, typer.Option(metavar="default|FILE", help="The model of the pilot restoration.")
]


def noise(
    images: options.Images,
    plot: Plot = None,
    as_json: AsJson = False,
    kind: Kind = "auto",
    correlation: Correlation = "auto",
    frames: Frames = None,
    model: Model = "default",
    axes: options.Axes = None,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Measure the noise: its type, its parameters, and the evidence.

    A pilot restoration leaves a residual, whose variance and autocorrelation are shown.
    """
    from napari_vae_restore.batch.inputs import FoundImage, find_images, is_several
    from napari_vae_restore.cli import batches

    several = is_several(images)

    def measure(image: Path, svg: Path | None) -> None:
        report = _measured(
            image,
            svg,
            overwrite=overwrite,
            axes=axes,
            kind=kind,
            correlation=correlation,
            model=model,
            frames=frames,
            device=device,
        )
        if as_json:
            terminal.write_json({"image": str(image)} | report.to_dict())
        else:
            _show(report, [("Image", str(image))] if several else [], svg)

    def measure_found(found: FoundImage) -> None:
        svg = None if plot is None else plot / f"{found.relative}.svg"
        if svg is not None:
            svg.parent.mkdir(parents=True, exist_ok=True)
        measure(found.path, svg)

    if several:
        batches.each_file(find_images(images), measure_found)
    else:
        measure(images[0], plot)


def _measured(
    image: Path, svg: Path | None, *, overwrite: bool, axes: str | None, **options: Any
) -> NoiseReport:
    """The noise of a file, its plot written to `svg`; options as of `estimate_noise`."""
    from napari_vae_restore.batch.outputs import check_path
    from napari_vae_restore.images.image_files import read_image
    from napari_vae_restore.reports.noise_report import estimate_noise

    if svg is not None:
        check_path(svg, (".svg",), [image], overwrite=overwrite)
    picture = read_image(image)
    with terminal.working(f"Measuring the noise of {image.name}"):
        report = estimate_noise(picture.data, axes=axes or picture.axes, **options)
    if svg is not None:
        report.plot(svg)
    return report


def _show(report: NoiseReport, rows: reports.Rows, svg: Path | None) -> None:
    for number, channel in enumerate(report.channels, start=1):
        if len(report.channels) > 1:
            rows = [*rows, ("Channel", str(number))]
        rows = [*rows, *_rows(channel)]
    terminal.report([*rows, *([] if svg is None else [("Plot", str(svg))])])


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
