"""The page of a model's report, and the file beside a model that holds it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from napari_vae_restore.errors import InputError, ModelFileError
from napari_vae_restore.images.atomic import atomic_write, why_not_written
from napari_vae_restore.models.model import Model
from napari_vae_restore.reports.model_report import ModelReport, report_of, sheet
from napari_vae_restore.reports.model_words import NOT_RECORDED
from napari_vae_restore.reports.pages import render

SUFFIX: Final = ".report.html"

# The weights that a report describes.
_HASH: Final = re.compile(r'<meta name="model-sha256" content="([0-9a-f]{64})">')
_HEAD_BYTES: Final = 4096


def report_path(weights: Path) -> Path:
    """The file of a model's report, beside the model: "cells.report.html"."""
    return weights.with_name(weights.stem + SUFFIX)


def write_report(report: ModelReport, path: Path, *, overwrite: bool = False) -> Path:
    """Write a report as a page, and return its path, which ends in ``.html``.

    A report of the same weights is replaced; any other file only by `overwrite`.
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
    """Write a model's report beside its file; the report names the model after the file."""
    report = report_of(replace(model, name=weights.stem), weights)
    return write_report(report, report_path(weights), overwrite=overwrite)


def page(report: ModelReport) -> str:
    """The report as HTML, with the sheet of samples and the bars inside."""
    return render(
        "model.html",
        title=f"{report.name} – model report",
        heading=report.name,
        report=report,
        rows=[row for row in report.rows() if row[0] != "Model"],
        levels=report.kl_rows(),
        not_recorded=NOT_RECORDED,
        figures=report.figure_rows(),
        samples=sheet(report.samples),
    )


def _hash_in(path: Path) -> str:
    """The hash in a report; empty for any other file."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).decode("utf-8", errors="replace")
    return found[1] if (found := _HASH.search(head)) else ""
