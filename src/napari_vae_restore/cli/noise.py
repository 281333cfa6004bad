"""``vae-restore noise``: noise models of image files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import napari_vae_restore as vr
from napari_vae_restore.cli import options, reports, terminal

if TYPE_CHECKING:
    from napari_vae_restore.batch.inputs import FoundImage
    from napari_vae_restore.reports.channel_noise import ChannelNoise

_MAX_WRITTEN = 120  # longer noise models are not shown as an option to type


@dataclass(frozen=True, slots=True)
class NoiseCommand:
    """Measure the noise: its type, its parameters, and the evidence.

    A pilot restoration leaves a residual, whose variance and autocorrelation are shown.
    """

    images: options.Images
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="SVG file for variance against signal and the residual's autocorrelation; of "
            "several images a folder of them.",
        ),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object a file.")] = (
        False
    )
    kind: Annotated[
        str,
        typer.Option(
            metavar="auto|gaussian|poisson-gaussian|mixture",
            help="How it depends on the signal.",
        ),
    ] = "auto"
    correlation: Annotated[
        str,
        typer.Option(
            metavar="auto|white|row|column|plane", help="Which neighbours it connects."
        ),
    ] = "auto"
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="AXIS",
            help="The axis, such as T, along which one static scene was taken again and "
            "again: its mean is then the signal.",
        ),
    ] = None
    model: Annotated[
        str, typer.Option(metavar="default|FILE", help="The model of the pilot restoration.")
    ] = "default"
    axes: options.Axes = None
    device: options.Device = "auto"
    overwrite: options.Overwrite = False

    def run(self) -> None:
        from napari_vae_restore.batch.inputs import find_images, is_several

        if is_several(self.images):
            terminal.each_file(find_images(self.images), self._measure_found)
        else:
            self._measure(self.images[0], self.plot, [])

    def _measure_found(self, found: FoundImage) -> None:
        """Measure one of several images, its plot in the folder of plots."""
        svg = None if self.plot is None else self.plot / f"{found.relative}.svg"
        if svg is not None:
            svg.parent.mkdir(parents=True, exist_ok=True)
        self._measure(found.path, svg, [("Image", str(found.path))])

    def _measure(self, image: Path, svg: Path | None, rows: reports.Rows) -> None:
        """Measure the noise of a file, and show it below `rows`."""
        from napari_vae_restore.batch.outputs import check_path

        if svg is not None:
            check_path(svg, (".svg",), [image], overwrite=self.overwrite)
        source = vr.read_image(image)
        kinds: dict[str, Any] = {"kind": self.kind, "correlation": self.correlation}
        with terminal.working(f"Measuring the noise of {image.name}"):
            report = vr.estimate_noise(
                source.data,
                axes=self.axes or source.axes,
                model=self.model,
                frames=self.frames,
                device=self.device,
                **kinds,
            )
        if svg is not None:
            report.plot(svg)
        if self.as_json:
            terminal.write_json({"image": str(image)} | report.to_dict())
            return
        for number, channel in enumerate(report.channels, start=1):
            if len(report.channels) > 1:
                rows = [*rows, ("Channel", str(number))]
            rows = [*rows, *_rows(channel)]
        terminal.report([*rows, *([] if svg is None else [("Plot", str(svg))])])


def _rows(channel: ChannelNoise) -> reports.Rows:
    from napari_vae_restore.noise.words import describe_noise

    y, x = channel.lag_one
    rows = [
        ("Noise", describe_noise(channel.noise)),
        ("Residual", f"{channel.level:.2f} of the noise's standard deviation"),
        ("Neighbours", f"lag-1 autocorrelation {y:.2f} along Y, {x:.2f} along X"),
    ]
    if channel.doubt:
        rows.append(("Doubt", channel.doubt))
    if len(text := str(channel.noise)) < _MAX_WRITTEN:
        rows.append(("As option", f"--noise '{text}'"))
    return rows
