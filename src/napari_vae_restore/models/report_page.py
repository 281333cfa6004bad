"""A model's report as one page of HTML that needs nothing beside it.

Every string is escaped: a name comes from whoever made the model.
"""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.atomic import atomic_write
from napari_vae_restore.errors import InputError, ModelFileError
from napari_vae_restore.models.model import Model
from napari_vae_restore.models.report import ModelReport, report_of, sheet
from napari_vae_restore.models.words import NOT_RECORDED, Rows

SUFFIX: Final = ".report.html"

_HASH: Final = re.compile(r'<meta name="model-sha256" content="([0-9a-f]{64})">')
"""By which a report tells which weights it is derived from."""
_HEAD_BYTES: Final = 4096
_ENLARGED: Final = 2
"""Screen pixels for each pixel of a sample."""
_BAR, _ROW, _LABEL, _VALUE = 260, 24, 90, 70
"""Pixels: length of the longest bar, height of a row, width of the texts beside it."""

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c1e21; --faint: #6b7280; --line: #e2e5ea;
  --page: #ffffff; --bar: #3b82c4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --faint: #9aa2ad;
  --line: #363b43; --page: #1b1e23; --bar: #5aa2e0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 52rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin: 0 0 1.25rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { color: var(--faint); margin: .4rem 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 600; width: 9rem; padding-right: 1rem; }
img { image-rendering: pixelated; max-width: 100%; border-radius: 4px; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg rect { fill: var(--bar); }
"""


def report_path(weights: Path) -> Path:
    """Where the report of a model file lies: beside it.

    Examples
    --------
    >>> report_path(Path("cells.safetensors")).name
    'cells.report.html'
    """
    return weights.with_name(weights.stem + SUFFIX)


def write_report(report: ModelReport, path: Path, *, overwrite: bool = False) -> Path:
    """Write a report as a page; that of the same weights is replaced.

    Parameters
    ----------
    report : ModelReport
        What to write.
    path : pathlib.Path
        Ends in ``.html``.
    overwrite : bool
        Whether any other file may be replaced.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InputError
        If the name ends otherwise, or the file is there and is no report of these weights.
    ModelFileError
        If the file cannot be written.
    """
    if path.suffix.lower() != ".html":
        raise InputError(
            f"expected a report that ends in .html, but {path.name!r} came: add the ending"
        )
    try:
        if path.exists() and not overwrite and _hash_in(path) != report.sha256:
            raise InputError(
                f"{path} exists, is not a report of this model and was not replaced: choose "
                "another name, or overwrite"
            )
        with atomic_write(path) as temporary:
            temporary.write_text(page(report), encoding="utf-8")
    except OSError as error:
        raise ModelFileError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def write_report_beside(model: Model, weights: Path, *, overwrite: bool = False) -> Path:
    """Write a model's report beside the file that it was saved to.

    Parameters
    ----------
    model : Model
        What was saved; the report calls it by the file's name.
    weights : pathlib.Path
        The model file.
    overwrite : bool
        As for :func:`write_report`.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError, ModelFileError
        As :func:`write_report`.
    """
    report = report_of(replace(model, name=weights.stem), weights)
    return write_report(report, report_path(weights), overwrite=overwrite)


def page(report: ModelReport) -> str:
    """The report as HTML, with the sheet of samples and the bars inside."""
    name = escape(report.name)
    figures = report.figure_rows()
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="model-sha256" content="{escape(report.sha256)}">
<title>{name} – model report</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{name}</h1>
{_table([row for row in report.rows() if row[0] != "Model"])}
<h2>KL per level</h2>
<p>Nats per pixel in each grid of latents, finest first: where the model keeps what it
knows of an image. A level near zero is not used.</p>
{_bars(report.kl_rows())}
{f"<h2>Figures</h2>{_table(figures)}" if figures else ""}
<h2>What it imagines</h2>
<p>Samples from the prior, nothing given: what the model takes images for. Contrast
stretched alike for all, seed 0.</p>
<img alt="Samples from the prior" src="data:image/png;base64,{_png(sheet(report.samples))}">
</body>
</html>
"""


def _table(rows: Rows) -> str:
    lines = (
        f"<tr><th>{escape(label)}</th><td>{escape(text)}</td></tr>" for label, text in rows
    )
    return f"<table>{''.join(lines)}</table>"


def _bars(levels: list[tuple[str, float]]) -> str:
    """Bars as SVG, the longest of full length."""
    if not levels:
        return f"<p>{NOT_RECORDED.capitalize()}.</p>"
    largest = max(max(value for _, value in levels), 1e-12)
    parts = []
    for index, (label, value) in enumerate(levels):
        top, length = index * _ROW, max(_BAR * max(value, 0.0) / largest, 1.0)
        middle = top + 0.7 * _ROW
        parts.append(
            f'<text x="0" y="{middle:.1f}">{escape(label)}</text>'
            f'<rect x="{_LABEL}" y="{top + 4}" rx="2" width="{length:.1f}" '
            f'height="{_ROW - 8}"/>'
            f'<text x="{_LABEL + length + 8:.1f}" y="{middle:.1f}">{value:.4f}</text>'
        )
    width, height = _LABEL + _BAR + _VALUE, _ROW * len(levels)
    return f'<svg width="{width}" height="{height}" role="img">{"".join(parts)}</svg>'


def _png(pixels: NDArray[np.uint8]) -> str:
    """The picture enlarged, as a PNG in base64."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    size = (_ENLARGED * picture.width, _ENLARGED * picture.height)
    stream = io.BytesIO()
    picture.resize(size, Image.Resampling.NEAREST).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def _hash_in(path: Path) -> str:
    """The hash that a report carries; empty for any other file."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).decode("utf-8", errors="replace")
    found = _HASH.search(head)
    return found[1] if found else ""
