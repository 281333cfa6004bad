"""Files of what is in memory only, for copied recipes and for the browser.

Masks that were drawn and models that were trained here have no file of their own. Copies go
into a folder of the user's data, named by their content, so that one is never written twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_vae_restore._napari.layers.placement import FILE_KEY, MISSING_KEY, RECIPE_KEY
from napari_vae_restore._napari.messages import Update
from napari_vae_restore._napari.training import runs as training_runs
from napari_vae_restore.errors import InputError, RestorationError
from napari_vae_restore.images.image_files import write_image
from napari_vae_restore.restoration.recipes.code import Places

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model

_DIGITS = 16
_READABLE = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")


def kept_folder() -> Path:
    """Where copies of masks and models are kept, on this machine only."""
    return training_runs.runs_folder().parent / "kept"


def places_for(result: Image, source: Image, model: Model | str, *, needs_file: bool) -> Places:
    """Where image, mask and model of a result are; copies are written where needed."""
    recipe = result.metadata[RECIPE_KEY]
    file = file_of(source)
    if needs_file and file is None:
        raise InputError(
            f"The command line reads files, and “{source.name}” has none that it could: save "
            "it by File ▸ Save Selected Layers… as a TIFF, open that, and run once more."
        )
    path = "" if file is None else str(file)
    try:
        mask = _kept_mask(result.metadata.get(MISSING_KEY), str(recipe["axes"]))
        kept_model = _kept_model(model)
    except OSError as error:
        raise RestorationError(f"cannot write to {kept_folder()}: {error.strerror}") from error
    if needs_file:
        return Places(path, mask=mask, model=kept_model)
    return Places(source.name, is_layer=True, mask=mask, model=kept_model)


def report_steps(model: Model | str) -> Generator[Update, None, Path]:
    """Write the page of a model's report."""
    yield Update("Looking at the model…")
    from napari_vae_restore.models.bundled import find_model
    from napari_vae_restore.reports.model_page import write_report
    from napari_vae_restore.reports.model_report import report_of

    report = report_of(find_model(model))
    path = _kept_path(f"report-{report.sha256[:_DIGITS]}.html")
    return write_report(report, path, overwrite=True)


def file_of(layer: Image) -> Path | None:
    """The file that a layer was opened from, where it holds just this layer."""
    path = layer.source.path or layer.metadata.get(FILE_KEY)
    if path is None or not Path(path).is_file():
        return None
    file = Path(path).absolute()
    return file if file.suffix.lower() in _READABLE else None


def _kept_path(name: str) -> Path:
    folder = kept_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _kept_mask(missing: Any, axes: str) -> str:
    if missing is None:
        return ""
    mask = np.asarray(missing, bool)
    digest = hashlib.sha256(np.packbits(mask).tobytes() + str(mask.shape).encode())
    path = _kept_path(f"mask-{digest.hexdigest()[:_DIGITS]}.tif")
    if not path.exists():
        own = axes if mask.ndim == len(axes) else "".join(a for a in axes if a in "YX")
        write_image(path, mask.astype(np.uint8) * 255, own)
    return str(path)


def _kept_model(model: Model | str) -> str:
    if isinstance(model, str):
        return model
    path = _kept_path(f"model-{model.sha256[:_DIGITS]}.safetensors")
    if not path.exists():
        model.save(path)
    return str(path)
