"""Files measured against references: PSNR, scale-invariant PSNR, SSIM, RMSE."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeAlias

from napari_vae_restore.cli import terminal
from napari_vae_restore.errors import InputError

Row: TypeAlias = dict[str, Any]
"""Restored, reference, data_range and measures of a file; infinite ones are None."""

_HEADINGS = ("PSNR/dB", "SI-PSNR/dB", "SSIM", "RMSE")
_NAMES = ("psnr", "scale_invariant_psnr", "ssim", "rmse")


def compare(
    restored: list[Path], reference: Path, data_range: float | None, *, lines: bool
) -> list[Row]:
    """Measure files and show a table, or `lines` of JSON; exits with 1 if some failed.

    `reference` is a file for all, or a folder of files with the same names. `data_range`
    is for PSNR and SSIM, by default that of each reference.
    """
    from napari_vae_restore.batch.inputs import is_several

    if is_several(restored):
        return _several(restored, reference, data_range, lines=lines)
    row = _measure(restored[0], reference, data_range)
    if lines:
        terminal.write_json(row)
        return [row]
    origin = "of the reference" if data_range is None else "as given"
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
    return [row]


def page(rows: list[Row]) -> str:
    """The measures as a page of HTML: a table, and the PSNR as bars."""
    from napari_vae_restore.reports.pages import render

    return render(
        "closeness.html",
        title="Images against references",
        table=[("Image", *_HEADINGS), *((row["restored"], *_texts(row)) for row in rows)],
        psnr=[
            (Path(row["restored"]).name, row["psnr"]) for row in rows if row["psnr"] is not None
        ],
    )


def _several(
    restored: list[Path], reference: Path, data_range: float | None, *, lines: bool
) -> list[Row]:
    """Each against the reference of its name, or the one for all."""
    from napari_vae_restore.batch.inputs import FoundImage, find_images, partners_of
    from napari_vae_restore.cli import batches

    is_folder = reference.is_dir()
    found = find_images(restored, without=[reference] if is_folder else [])
    partners = partners_of(found, reference) if is_folder else [reference] * len(found)
    partner_of = dict(zip((each.path for each in found), partners, strict=True))
    rows: list[Row] = []

    def measure(each: FoundImage) -> None:
        partner = partner_of[each.path]
        if partner is None:
            raise InputError(f"there is no image of this name in {reference}")
        rows.append(_measure(each.path, partner, data_range))
        if lines:
            terminal.write_json(rows[-1])

    try:
        batches.each_file(found, measure)
    finally:
        if rows and not lines:
            mean = {name: _mean([row[name] for row in rows]) for name in _NAMES}
            table = [[row["restored"], *_texts(row)] for row in rows]
            terminal.table([("Image", *_HEADINGS), *table, ["mean", *_texts(mean)]])
    return rows


def _measure(restored: Path, reference: Path, data_range: float | None) -> Row:
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


def _mean(values: list[float | None]) -> float | None:
    """The mean; None, for infinite, where one value is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _texts(row: Row) -> list[str]:
    psnr, si_psnr, ssim, rmse = (math.inf if row[n] is None else row[n] for n in _NAMES)
    return [f"{psnr:.2f}", f"{si_psnr:.2f}", f"{ssim:.4f}", f"{rmse:.4g}"]
