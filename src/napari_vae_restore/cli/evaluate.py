"""``vae-restore evaluate``: how close files are to references, and how good a model is."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from napari_vae_restore.cli import options, terminal
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from napari_vae_restore.batch.inputs import FoundImage

FROM_REFERENCE = "reference"
STDOUT = Path("-")

Row: TypeAlias = dict[str, Any]
"""Restored, reference, data_range and measures of a file; infinite ones are None."""

_HEADINGS = ("Image", "PSNR/dB", "SI-PSNR/dB", "SSIM", "RMSE")
_NAMES = ("psnr", "scale_invariant_psnr", "ssim", "rmse")


@dataclass(frozen=True, slots=True)
class EvaluateCommand:
    """Measure how close images are to references, or how good a model is on images."""

    images: Annotated[list[Path], typer.Argument(metavar="IMAGES", help=options.FILES)]
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="REF",
            help="The clean image file; or a folder of them, with the names of the others.",
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            metavar="default|FILE",
            help="Measure this model on the images: reconstruction, ELBO, KL, units in use; "
            "with --reference also what it restores, and its intervals.",
        ),
    ] = None
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Write the figures as JSON; - for stdout, without --model one object a "
            "file (infinite is null).",
        ),
    ] = None
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page (.html) with plots.")
    ] = None
    intensities: Annotated[
        str,
        typer.Option(
            "--range",
            metavar="reference|NUMBER",
            help="Range of intensities for PSNR and SSIM: that of the reference (maximum less "
            "minimum), or a number such as 255.",
        ),
    ] = FROM_REFERENCE
    noise: Annotated[
        str | None, typer.Option(metavar="NOISE", help=f"{options.NOISE_FORMS}.")
    ] = None
    n_samples: Annotated[
        int,
        typer.Option(
            "--samples", min=0, metavar="N", help="Of each restoration, for its intervals."
        ),
    ] = 16
    axes: options.Axes = None
    seed: options.Seed = 0
    device: options.Device = "auto"
    overwrite: options.Overwrite = False

    def run(self) -> None:
        from napari_vae_restore.batch import outputs

        data_range = _parse_range(self.intensities)
        for path, suffix in ((self.json_file, ".json"), (self.report, ".html")):
            if path not in (None, STDOUT):
                outputs.check_path(path, [suffix], self.images, overwrite=self.overwrite)
        if self.model is not None:
            self._measure_model(self.model, data_range)
        elif self.reference is not None:
            self._compare_files(self.reference, data_range)
        else:
            raise InputError(
                "Expected --reference to compare the images with, or --model to measure: give "
                "one of them, or both."
            )

    def _measure_model(self, model: str, data_range: float | None) -> None:
        from napari_vae_restore.evaluation.evaluate import iter_evaluate
        from napari_vae_restore.evaluation.page import page

        steps = iter_evaluate(
            model,
            *_sources(self.images, self.reference),
            noise=self.noise,
            axes=self.axes,
            data_range=data_range,
            n_samples=self.n_samples,
            seed=self.seed,
            device=self.device,
        )
        found = terminal.run_restoration(steps, "Evaluating")
        if self.json_file == STDOUT:
            terminal.write_json(found.to_dict())
        else:
            self._write_figures(found.to_dict())
            terminal.report(found.rows())
        if self.report is not None:
            _write_page(self.report, page(found))

    def _compare_files(self, reference: Path, data_range: float | None) -> None:
        from napari_vae_restore.batch.inputs import is_several
        from napari_vae_restore.reports.pages import render

        if is_several(self.images):
            rows = self._compare_several(reference, data_range)
        else:
            rows = [_measure(self.images[0], reference, data_range)]
            if self.json_file == STDOUT:
                terminal.write_json(rows[0])
            else:
                _show(rows[0], "of the reference" if data_range is None else "as given")
        if self.json_file != STDOUT:
            self._write_figures(rows)
        if self.report is not None:
            named = [(Path(row["restored"]).name, row["psnr"]) for row in rows]
            page = render(
                "closeness.html",
                title="Images against references",
                table=_table(rows),
                psnr=[(name, psnr) for name, psnr in named if psnr is not None],
            )
            _write_page(self.report, page)

    def _compare_several(self, reference: Path, data_range: float | None) -> list[Row]:
        """Each against its reference, in a table or lines; exits with 1 if some failed."""
        found, partners = _partners(self.images, reference)
        partner_of = {each.path: other for each, other in zip(found, partners, strict=True)}
        rows: list[Row] = []

        def measure(each: FoundImage) -> None:
            partner = partner_of[each.path]
            if partner is None:
                raise InputError(f"there is no image of this name in {reference}")
            rows.append(_measure(each.path, partner, data_range))
            if self.json_file == STDOUT:
                terminal.write_json(rows[-1])

        try:
            terminal.each_file(found, measure)
        finally:
            if rows and self.json_file != STDOUT:
                mean = {name: _mean([row[name] for row in rows]) for name in _NAMES}
                terminal.table([*_table(rows), ["mean", *_texts(mean)]])
        return rows

    def _write_figures(self, values: Any) -> None:
        """Write JSON to the file that was asked for, if one was."""
        from napari_vae_restore.batch.outputs import write_file

        if self.json_file is not None:
            text = json.dumps(values, allow_nan=False, indent=1) + "\n"
            write_file(self.json_file, text.encode())
            terminal.report([("Figures", str(self.json_file))])


def _sources(images: list[Path], reference: Path | None) -> tuple[list[Path], Any]:
    """Single files, and the reference of each where there is one."""
    found, partners = _partners(images, reference)
    files = [each.path for each in found]
    if reference is None:
        return files, None
    if alone := [each for each, other in zip(files, partners, strict=True) if other is None]:
        raise InputError(f"there is no image of the name of {alone[0]} in {reference}")
    return files, partners


def _partners(
    images: list[Path], reference: Path | None
) -> tuple[list[FoundImage], list[Path | None]]:
    """Single images, and for each the reference of its name, or the one for all."""
    from napari_vae_restore.batch.inputs import find_images, partners_of

    if reference is None or not reference.is_dir():
        found = find_images(images)
        return found, [reference] * len(found)
    found = find_images(images, without=[reference])
    return found, partners_of(found, reference)


def _measure(restored: Path, reference: Path, data_range: float | None) -> Row:
    """The measures of a file; `data_range` is by default that of the reference."""
    from napari_vae_restore.evaluation import metrics
    from napari_vae_restore.images.image_files import read_image
    from napari_vae_restore.images.layout import Layout

    x_hat, clean = read_image(restored), read_image(reference)
    x, y = x_hat.data, clean.data
    if x.shape == y.shape:  # else the metrics say so
        layout = Layout.of(y, clean.axes)
        x, y = layout.without_alpha(x), layout.without_alpha(y)
    width = metrics.resolve_range(y, data_range)
    values = {
        "psnr": metrics.psnr(x, y, width),
        "scale_invariant_psnr": metrics.scale_invariant_psnr(x, y, width),
        "ssim": metrics.ssim(x, y, width, axes=clean.axes),
        "rmse": metrics.rmse(x, y),
    }
    finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
    about = {"restored": str(restored), "reference": str(reference), "data_range": width}
    return about | finite


def _show(row: Row, origin: str) -> None:
    psnr, si_psnr, ssim, rmse = _texts(row)
    terminal.report(
        [
            ("PSNR", f"{psnr} dB"),
            ("SI-PSNR", f"{si_psnr} dB, after the best gain and offset"),
            ("SSIM", ssim),
            ("RMSE", rmse),
            ("Range", f"{row['data_range']:.6g} ({origin})"),
        ]
    )


def _table(rows: list[Row]) -> list[list[str]]:
    return [[*_HEADINGS], *([row["restored"], *_texts(row)] for row in rows)]


def _mean(values: list[float | None]) -> float | None:
    """The mean; None, for infinite, where one value is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _texts(row: Row) -> list[str]:
    psnr, si_psnr, ssim, rmse = (math.inf if row[n] is None else row[n] for n in _NAMES)
    return [f"{psnr:.2f}", f"{si_psnr:.2f}", f"{ssim:.4f}", f"{rmse:.4g}"]


def _write_page(path: Path, text: str) -> None:
    from napari_vae_restore.batch.outputs import write_file

    write_file(path, text.encode())
    terminal.note(f"report: {path}")


def _parse_range(text: str) -> float | None:
    if text == FROM_REFERENCE:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"Expected --range {FROM_REFERENCE} or a number such as 255, but {text!r} came."
        ) from None
