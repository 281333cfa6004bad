"""A model's report as one page of HTML that needs nothing beside it.

Every string is escaped: a name comes from whoever made the model.
"""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Final

from napari_vae_restore.errors import InputError, ModelFileError
from napari_vae_restore.images.atomic import atomic_write, why_not_written
from napari_vae_restore.models.model import Model
from napari_vae_restore.reports import pages
from napari_vae_restore.reports.model_report import ModelReport, report_of, sheet
from napari_vae_restore.reports.model_words import NOT_RECORDED

SUFFIX: Final = ".report.html"

_HASH: Final = re.compile(r'<meta name="model-sha256" content="([0-9a-f]{64})">')
"""By which a report tells which weights it is derived from."""
_HEAD_BYTES: Final = 4096
_ENLARGED: Final = 2
"""Screen pixels for each pixel of a sample."""


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
        raise ModelFileError(f"cannot write {path}: {why_not_written(error)}") from error
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
    figures = report.figure_rows()
    levels = report.kl_rows()
    body = f"""<h1>{escape(report.name)}</h1>
{pages.facts([row for row in report.rows() if row[0] != "Model"])}
<h2>KL per level</h2>
<p>Nats per pixel in each grid of latents, finest first: where the model keeps what it
knows of an image. A level near zero is not used.</p>
{pages.bars(levels) if levels else f"<p>{NOT_RECORDED.capitalize()}.</p>"}
{f"<h2>Figures</h2>{pages.facts(figures)}" if figures else ""}
<h2>What it imagines</h2>
<p>Samples from the prior, nothing given: what the model takes images for. Contrast
stretched alike for all, seed 0.</p>
{pages.picture(sheet(report.samples), "Samples from the prior", _ENLARGED)}"""
    meta = f'<meta name="model-sha256" content="{escape(report.sha256)}">'
    return pages.document(f"{report.name} – model report", body, meta=meta)


def _hash_in(path: Path) -> str:
    """The hash that a report carries; empty for any other file."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).decode("utf-8", errors="replace")
    found = _HASH.search(head)
    return found[1] if found else ""
