"""``vae-restore evaluate``: how close a restored file is to a reference."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from napari_vae_restore.cli import terminal
from napari_vae_restore.errors import InputError

FROM_REFERENCE = "reference"


def evaluate(
    restored: Annotated[
        Path, typer.Argument(metavar="RESTORED", help="Image file.", show_default=False)
    ],
    reference: Annotated[
        Path,
        typer.Option(metavar="REF", help="The clean image file.", show_default=False),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object (infinite is null).")
    ] = False,
    intensities: Annotated[
        str,
        typer.Option(
            "--range",
            metavar="reference|NUMBER",
            help="Range of intensities for PSNR and SSIM: that of the reference (maximum less "
            "minimum), or a number such as 255.",
        ),
    ] = FROM_REFERENCE,
) -> None:
    """Measure PSNR, scale-invariant PSNR, SSIM and RMSE against a clean reference."""
    from napari_vae_restore import metrics
    from napari_vae_restore.image_files import read_image
    from napari_vae_restore.layout import Layout

    given = _parse_range(intensities)
    x_hat, clean = read_image(restored), read_image(reference)
    x, y = x_hat.data, clean.data
    if x.shape == y.shape:  # else the metrics say so
        layout = Layout.of(y, clean.axes)
        x, y = layout.without_alpha(x), layout.without_alpha(y)
    data_range = metrics.resolve_range(y, given)
    values = {
        "psnr": metrics.psnr(x, y, data_range),
        "scale_invariant_psnr": metrics.scale_invariant_psnr(x, y, data_range),
        "ssim": metrics.ssim(x, y, data_range, axes=clean.axes),
        "rmse": metrics.rmse(x, y),
    }
    if as_json:
        finite = {
            name: value if math.isfinite(value) else None for name, value in values.items()
        }
        about = {
            "restored": str(restored),
            "reference": str(reference),
            "data_range": data_range,
        }
        terminal.stdout.out(json.dumps(about | finite, allow_nan=False), highlight=False)
        return
    origin = "of the reference" if given is None else "as given"
    terminal.report(
        [
            ("PSNR", f"{values['psnr']:.2f} dB"),
            (
                "SI-PSNR",
                f"{values['scale_invariant_psnr']:.2f} dB, after the best gain and offset",
            ),
            ("SSIM", f"{values['ssim']:.4f}"),
            ("RMSE", f"{values['rmse']:.4g}"),
            ("Range", f"{data_range:.6g} ({origin})"),
        ]
    )


def _parse_range(text: str) -> float | None:
    if text == FROM_REFERENCE:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"Expected --range {FROM_REFERENCE} or a number such as 255, but {text!r} came."
        ) from None
