"""``vae-restore evaluate``: how close restored files are to references."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from napari_vae_restore.cli import options, terminal
from napari_vae_restore.errors import InputError

FROM_REFERENCE = "reference"


def evaluate(
    restored: Annotated[
        list[Path],
        typer.Argument(metavar="RESTORED", help=options.FILES, show_default=False),
    ],
    reference: Annotated[
        Path,
        typer.Option(
            metavar="REF",
            help="The clean image file; or a folder of them, with the names of the others.",
            show_default=False,
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object a file (infinite is null).")
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
    from napari_vae_restore.scale.inputs import is_several

    given = _parse_range(intensities)
    if is_several(restored):
        _evaluate_files(restored, reference, given, as_json=as_json)
        return
    values, data_range = _measure(restored[0], reference, given)
    if as_json:
        _write_json(restored[0], reference, values, data_range)
        return
    origin = "of the reference" if given is None else "as given"
    si_psnr = f"{values['scale_invariant_psnr']:.2f} dB, after the best gain and offset"
    terminal.report(
        [
            ("PSNR", f"{values['psnr']:.2f} dB"),
            ("SI-PSNR", si_psnr),
            ("SSIM", f"{values['ssim']:.4f}"),
            ("RMSE", f"{values['rmse']:.4g}"),
            ("Range", f"{data_range:.6g} ({origin})"),
        ]
    )


def _evaluate_files(
    restored: list[Path], reference: Path, given: float | None, *, as_json: bool
) -> None:
    """Measure several files, each against the reference of its name or the one for all."""
    from napari_vae_restore.cli import batches
    from napari_vae_restore.scale.inputs import Found, find_images, partners_of

    is_folder = reference.is_dir()
    found = find_images(restored, without=[reference] if is_folder else [])
    partners = partners_of(found, reference) if is_folder else [reference] * len(found)
    partner_of = dict(zip((each.path for each in found), partners, strict=True))
    measured: dict[Path, _Values] = {}

    def measure(each: Found) -> None:
        partner = partner_of[each.path]
        if partner is None:
            raise InputError(f"there is no image of this name in {reference}")
        measured[each.path], data_range = _measure(each.path, partner, given)
        if as_json:
            _write_json(each.path, partner, measured[each.path], data_range)

    try:
        batches.each_file(found, measure)
    finally:
        if measured and not as_json:
            rows = {str(path): values for path, values in measured.items()}
            names = next(iter(measured.values()))
            rows["mean"] = {
                name: sum(values[name] for values in measured.values()) / len(measured)
                for name in names
            }
            terminal.table([("Image", *_HEADINGS), *(_row(*item) for item in rows.items())])


_Values = dict[str, float]
_HEADINGS = ("PSNR/dB", "SI-PSNR/dB", "SSIM", "RMSE")


def _row(name: str, values: _Values) -> list[str]:
    psnr, si_psnr, ssim, rmse = values.values()
    return [name, f"{psnr:.2f}", f"{si_psnr:.2f}", f"{ssim:.4f}", f"{rmse:.4g}"]


def _measure(
    restored: Path, reference: Path, data_range: float | None
) -> tuple[_Values, float]:
    """PSNR, scale-invariant PSNR, SSIM and RMSE by name, and the range that they mean."""
    from napari_vae_restore import metrics
    from napari_vae_restore.image_files import read_image
    from napari_vae_restore.layout import Layout

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
    return values, width


def _write_json(restored: Path, reference: Path, values: _Values, data_range: float) -> None:
    finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
    about = {"restored": str(restored), "reference": str(reference), "data_range": data_range}
    terminal.stdout.out(json.dumps(about | finite, allow_nan=False), highlight=False)


def _parse_range(text: str) -> float | None:
    if text == FROM_REFERENCE:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"Expected --range {FROM_REFERENCE} or a number such as 255, but {text!r} came."
        ) from None
