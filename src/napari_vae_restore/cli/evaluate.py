"""``vae-restore evaluate``: how close files are to references, and how good a model is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_vae_restore.cli import closeness, options, runs, terminal
from napari_vae_restore.errors import InputError

FROM_REFERENCE = "reference"
STDOUT = Path("-")


Images = Annotated[list[Path], typer.Argument(metavar="IMAGES", help=options.FILES)]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="REF",
        help="The clean image file; or a folder of them, with the names of the others.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="default|FILE",
        help="Measure this model on the images: reconstruction, ELBO, KL, units in use; "
        "with --reference also what it restores, and its intervals.",
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write the figures as JSON; - for stdout, without --model one object a "
        "file (infinite is null).",
    ),
]
Report = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a page (.html) with plots.")
]
Intensities = Annotated[
    str,
    typer.Option(
        "--range",
        metavar="reference|NUMBER",
        help="Range of intensities for PSNR and SSIM: that of the reference (maximum less "
        "minimum), or a number such as 255.",
    ),
]
Noise = Annotated[str | None, typer.Option(metavar="NOISE", help=f"{options.NOISE_FORMS}.")]
NSamples = Annotated[
    int,
    typer.Option(
        "--samples", min=0, metavar="N", help="Of each restoration, for its intervals."
    ),
]


def evaluate(
    images: Images,
    reference: Reference = None,
    model: Model = None,
    json_file: JsonFile = None,
    report: Report = None,
    intensities: Intensities = FROM_REFERENCE,
    noise: Noise = None,
    n_samples: NSamples = 16,
    axes: options.Axes = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Measure how close images are to references, or how good a model is on images."""
    data_range = _parse_range(intensities)
    _check_outputs(json_file, report, images, overwrite=overwrite)
    if model is None:
        if reference is None:
            raise InputError(
                "Expected --reference to compare the images with, or --model to measure: give "
                "one of them, or both."
            )
        rows = closeness.compare(images, reference, data_range, lines=json_file == STDOUT)
        _write(json_file, rows if json_file != STDOUT else None)
        if report is not None:
            _write_page(report, closeness.page(rows))
        return
    from napari_vae_restore.evaluation.evaluate import iter_evaluate
    from napari_vae_restore.evaluation.page import page

    steps = iter_evaluate(
        model,
        *_sources(images, reference),
        noise=noise,
        axes=axes,
        data_range=data_range,
        n_samples=n_samples,
        seed=seed,
        device=device,
    )
    found = runs.run_restoration(steps, "Evaluating")
    _write(json_file, found.to_dict())
    if json_file != STDOUT:
        terminal.report(found.rows())
    if report is not None:
        _write_page(report, page(found))


def _sources(images: list[Path], reference: Path | None) -> tuple[list[Path], Any]:
    """Single files, and the reference of each where there is one."""
    from napari_vae_restore.batch.inputs import find_images, partners_of

    is_folder = reference is not None and reference.is_dir()
    found = find_images(images, without=[reference] if reference and is_folder else [])
    files = [each.path for each in found]
    if reference is None or not is_folder:
        return files, None if reference is None else [reference] * len(files)
    partners = partners_of(found, reference)
    if alone := [each for each, other in zip(files, partners, strict=True) if other is None]:
        raise InputError(f"there is no image of the name of {alone[0]} in {reference}")
    return files, partners


def _check_outputs(
    json_file: Path | None, report: Path | None, images: list[Path], *, overwrite: bool
) -> None:
    from napari_vae_restore.batch import outputs

    if json_file not in (None, STDOUT):
        outputs.check_path(json_file, [".json"], images, overwrite=overwrite)
    if report is not None:
        outputs.check_path(report, [".html"], images, overwrite=overwrite)


def _write(path: Path | None, values: Any) -> None:
    """Write JSON to a file or stdout; nothing without a path or values."""
    if path is None or values is None:
        return
    if path == STDOUT:
        terminal.write_json(values)
        return
    _write_text(path, json.dumps(values, allow_nan=False, indent=1) + "\n")
    terminal.report([("Figures", str(path))])


def _write_page(path: Path, text: str) -> None:
    _write_text(path, text)
    terminal.note(f"report: {path}")


def _write_text(path: Path, text: str) -> None:
    from napari_vae_restore.batch.outputs import write_file

    write_file(path, text.encode())


def _parse_range(text: str) -> float | None:
    if text == FROM_REFERENCE:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"Expected --range {FROM_REFERENCE} or a number such as 255, but {text!r} came."
        ) from None
