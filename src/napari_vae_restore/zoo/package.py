"""Export a model as a bioimage.io package that its own tools have run.

The description is a plain mapping in the terms of format 0.5
(https://bioimage.io/docs/#/bioimageio_model_spec); ``bioimageio.core`` reads it, runs the
weights on the test tensors and on other sizes, and only what passed is written.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError, ModelFileError
from napari_vae_restore.images.arrays import as_image
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.model import Model
from napari_vae_restore.reports.model_page import page
from napari_vae_restore.reports.model_report import report_of
from napari_vae_restore.zoo.archive import EXTRA, check_free, put
from napari_vae_restore.zoo.credit import Credit
from napari_vae_restore.zoo.denoiser import denoiser, scripted
from napari_vae_restore.zoo.description import (
    README,
    REPORT,
    SAMPLE_INPUT,
    SAMPLE_OUTPUT,
    SCRIPT,
    TEST_INPUT,
    TEST_OUTPUT,
    WEIGHTS,
    default_description,
    describe,
    least_side,
    package_name,
)
from napari_vae_restore.zoo.documentation import SAMPLE_CREDIT, readme

SUFFIX: Final = ".zip"

_COVER_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".gif")
_MAX_COVER: Final = 500_000  # bytes, as bioimage.io asks for

_TEST_SIDE: Final = 256  # pixels a side of the test tensors; less for a smaller picture
_BLACK_WHITE: Final = (0.5, 99.5)
_LONGEST: Final = 300  # characters of a message of the validator
_MATTERS: Final = 30  # severity of bioimage.io's warnings; below, it informs


@dataclass(frozen=True, slots=True)
class Validation:
    """What ``bioimageio.core`` found."""

    status: str  # "passed"; a package that fails is not written
    checks: tuple[str, ...]  # what was tested
    warnings: tuple[str, ...]  # what bioimage.io would like to be better
    versions: str  # of the validator


def export_package(
    model: Model,
    path: Path,
    credit: Credit,
    *,
    picture: tuple[NDArray[Any], str] | None = None,
    cover: Path | None = None,
    overwrite: bool = False,
) -> Validation:
    """Write a model's denoising, and its file, as a .zip package that bioimageio.core has run.

    A part of `picture`, a noisy image and its axes, is packed for tests and for the cover; by
    default of a sample of this library. `cover` replaces the picture "before and after".
    """
    _check_paths(path, cover, overwrite=overwrite)
    core = validator(credit.licence)
    shown = _test_image(model, picture)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        origin = SAMPLE_CREDIT if picture is None else ""
        content = _fill(folder, model, credit, shown, cover, origin)
        packed = folder / "package.zip"
        try:
            validation = validated(core, content, folder, packed)
        except ModelFileError as error:
            if not any(author.github for author in credit.authors):
                raise
            raise ModelFileError(
                f"{error} (it looks names of GitHub users up online: without a connection, "
                "export without them)"
            ) from error
        put(packed, path)
    return validation


def _fill(
    folder: Path,
    model: Model,
    credit: Credit,
    shown: NDArray[np.float32],
    cover: Path | None,
    image_credit: str,
) -> dict[str, Any]:
    """Write the files of a package into a folder, and return their description."""
    script = scripted(denoiser(model))
    script.save(str(folder / SCRIPT))
    with torch.inference_mode():
        restored = script(torch.from_numpy(shown)).numpy()
    _write_tensors(folder, shown, restored)
    model.save(folder / WEIGHTS)
    report = report_of(model)
    (folder / REPORT).write_text(page(report), encoding="utf-8")
    title = package_name(model.name)
    about = credit.description or default_description(report)
    words = readme(report, title, about, image_credit)
    (folder / README).write_text(words, encoding="utf-8")
    return describe(
        model,
        credit,
        name=title,
        description=about,
        digest=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
        cover=_write_cover(folder, cover, shown, restored),
        spread=float(np.ptp(restored)),
    )


def _test_image(model: Model, picture: tuple[NDArray[Any], str] | None) -> NDArray[np.float32]:
    """Middle of a picture, (1, C, h, w) float32, of sides that the network takes."""
    if picture is None:
        from napari_vae_restore.images.image_files import read_image
        from napari_vae_restore.samples import sample_path

        sample = read_image(sample_path("cells"))
        picture = sample.data, sample.axes
    array, axes = as_image(*picture)
    plane = Layout.of(array, axes).to_planes(array)[0]
    config = model.network.config
    if len(plane) < config.channels or (len(plane) > config.channels > 1):
        raise InputError(
            f"expected a test image with the model's {config.channels} channels, but "
            f"{len(plane)} came: give another with --test-image"
        )
    least, (height, width) = config.fixed_size or least_side(model), plane.shape[1:]
    if min(height, width) < least:
        raise InputError(
            f"expected a test image of at least {least} × {least} pixels, but {height} × "
            f"{width} came: give a larger one"
        )
    parts = []
    for side in (height, width):
        most = max(min(side, _TEST_SIDE), least)
        length = config.fixed_size or most // config.stride * config.stride
        start = (side - length) // 2
        parts.append(slice(start, start + length))
    return np.ascontiguousarray(plane[None, : config.channels, *parts], np.float32)


def _write_tensors(
    folder: Path, before: NDArray[np.float32], after: NDArray[np.float32]
) -> None:
    """As numpy's files for tests, and as TIFF for viewing."""
    import tifffile

    files = (before, TEST_INPUT, SAMPLE_INPUT), (after, TEST_OUTPUT, SAMPLE_OUTPUT)
    for array, test, sample in files:
        np.save(folder / test, array)
        tifffile.imwrite(folder / sample, array[0].squeeze())


def _write_cover(
    folder: Path, cover: Path | None, before: NDArray[np.float32], after: NDArray[np.float32]
) -> str:
    """Write the given cover, or before and after beside each other in the same grey values."""
    from PIL import Image

    if cover is not None:
        name = f"cover{cover.suffix.lower()}"
        shutil.copyfile(cover, folder / name)
        return name
    black, white = np.percentile(after, _BLACK_WHITE)
    pair = np.concatenate([before[0, 0], after[0, 0]], axis=1)
    grey = np.clip((pair - black) / max(float(white - black), 1e-6), 0, 1)
    picture = Image.fromarray(np.round(255 * grey).astype(np.uint8))
    picture.save(folder / "cover.png", optimize=True)
    return "cover.png"


def _check_paths(path: Path, cover: Path | None, *, overwrite: bool) -> None:
    if path.suffix.lower() != SUFFIX:
        raise InputError(f"expected a package that ends in {SUFFIX}, but {path.name!r} came")
    check_free(path, overwrite=overwrite)
    if cover is None:
        return
    if cover.suffix.lower() not in _COVER_SUFFIXES or not cover.is_file():
        raise InputError(
            f"expected a cover that is a {', '.join(_COVER_SUFFIXES)} file, but {cover} came"
        )
    if cover.stat().st_size > _MAX_COVER:
        raise InputError(f"expected a cover below 500 KB, but {cover} is larger: shrink it")


def validator(licence: str) -> Any:
    """bioimageio.core, if it knows the licence: its own words on that list all licences."""
    try:
        import bioimageio.core
        from bioimageio.spec.generic.v0_3 import LicenseId
    except ImportError as error:
        raise InputError(f"exporting for bioimage.io takes an extra: run {EXTRA}") from error
    try:
        LicenseId(licence)
    except ValueError as error:
        raise InputError(
            f"expected a licence by its SPDX identifier, such as CC-BY-4.0 or BSD-3-Clause, "
            f"but {licence!r} came: see https://spdx.org/licenses"
        ) from error
    return bioimageio.core


def validated(core: Any, content: dict[str, Any], folder: Path, packed: Path) -> Validation:
    """Pack the folder's files and run the package; raises where anything fails."""
    from bioimageio.spec import InvalidDescr, ValidationContext
    from bioimageio.spec import __version__ as spec_version
    from bioimageio.spec.model.v0_5 import ModelDescr

    content = {"format_version": ModelDescr.implemented_format_version, **content}
    context = ValidationContext(root=folder, perform_io_checks=False, log_warnings=False)
    found = core.build_description(content, context=context)
    if not isinstance(found, InvalidDescr):
        with _random_state_kept(), context:
            core.save_bioimageio_package(found, output_path=packed)
            summary = core.test_model(packed, devices=["cpu"])
    else:
        summary = found.validation_summary
    errors = [_entry(error) for error in summary.errors]
    if summary.status != "passed" or errors:
        raise ModelFileError(
            "the package is not valid and was not written; bioimageio.core says: "
            + "; ".join(errors or [summary.status])
        )
    return Validation(
        status=summary.status,
        checks=tuple(detail.name for detail in summary.details if detail.status == "passed"),
        warnings=tuple(_entry(w) for w in summary.warnings if w.severity >= _MATTERS),
        versions=f"bioimageio.core {core.__version__}, bioimageio.spec {spec_version}",
    )


def _entry(entry: Any) -> str:
    place = ".".join(str(part) for part in entry.loc)
    text = " ".join((f"{place}: {entry.msg}" if place else entry.msg).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Restore the global random state, which the validator seeds."""
    state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
