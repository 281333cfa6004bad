"""The model that comes with the package, and models by name.

``weights/MODEL_CARD.md`` describes its training and its quality. torch is imported with the
first model, not with this module.
"""

from __future__ import annotations

import copy
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_vae_restore.errors import ModelFileError
from napari_vae_restore.images.atomic import atomic_write

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model

DEFAULT: Final = "default"  # the name of the bundled model
WEIGHTS: Final = Path(__file__).parents[1] / "weights" / "default.safetensors"
CHECKSUM: Final = WEIGHTS.with_suffix(".sha256")  # as ``sha256sum`` writes and checks it
# The halo of the bundled network, which takes seconds to measure, and its hash.
HALO: Final = WEIGHTS.with_suffix(".json")


def find_model(model: Model | str | Path) -> Model:
    """A model as it is, by its file, or "default": the bundled one, read once, on the CPU."""
    from napari_vae_restore.models.files import load
    from napari_vae_restore.models.model import Model

    if isinstance(model, Model):
        return model
    return _bundled() if model == DEFAULT else load(model)


def is_bundled(model: Model) -> bool:
    """Whether a model is the object that `find_model` gives for "default"."""
    return _bundled.cache_info().currsize > 0 and model is _bundled()


def bundled(sha256: str) -> Model:
    """The bundled model, if it is the one of this hash."""
    model = _bundled()
    if model.sha256 != sha256:
        raise ModelFileError(
            "another process sent the bundled model of another version of napari-vae-restore: "
            "install the same version on all machines"
        )
    return model


def stored_halo(model: Model) -> int | None:
    """The halo that came with the bundled model, in pixels; None for any other model."""
    try:
        found = json.loads(HALO.read_text("utf-8"))
        known, halo = str(found["model"]), int(found["halo"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        raise ModelFileError(f"{HALO} is damaged: install napari-vae-restore again") from error
    return halo if model.sha256 == known else None


def store_halo(model: Model, halo: int, folder: Path) -> None:
    """Write the halo in pixels, for :func:`stored_halo`, beside the bundled weights.

    The model has to be read back from the exported file: half precision may change its halo.
    """
    with atomic_write(folder / HALO.name) as temporary:
        temporary.write_text(json.dumps({"model": model.sha256, "halo": halo}) + "\n", "utf-8")


def export(model: Model, folder: Path) -> Path:
    """Write a model as it is bundled: half precision, with its checksum beside it."""
    path = folder / WEIGHTS.name
    network = copy.deepcopy(model.network).half()
    from napari_vae_restore.models.files import save
    from napari_vae_restore.models.model import Model

    saved = Model(network, None, None, model.record, DEFAULT, model.spreads, model.ood_score)
    save(saved, path, overwrite=True)
    try:
        with atomic_write(folder / CHECKSUM.name) as temporary:
            temporary.write_text(f"{_digest(path)}  {path.name}\n")
    except OSError as error:
        raise ModelFileError(f"cannot write beside {path}: {error.strerror}") from error
    return path


@lru_cache(maxsize=1)
def _bundled() -> Model:
    if not (WEIGHTS.exists() and CHECKSUM.exists()):
        raise ModelFileError(
            f"{WEIGHTS} is missing: install napari-vae-restore again, or name a model file"
        )
    if _digest(WEIGHTS) != CHECKSUM.read_text().split()[0]:
        raise ModelFileError(
            f"{WEIGHTS} is not the file that this version came with: install "
            "napari-vae-restore again"
        )
    from napari_vae_restore.models.files import load

    return load(WEIGHTS)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
