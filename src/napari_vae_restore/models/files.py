"""Model files: safetensors with a versioned JSON header. Nothing is ever unpickled.

A checkpoint is a model file that also carries the state of its training, so every
checkpoint can be loaded as a model. The header is one JSON object in the file's
metadata under ``"napari_vae_restore"``; tensors are named ``model.*`` and, in
checkpoints, ``training.*``.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import torch
from torch import Tensor

from napari_vae_restore.errors import InputError, ModelFileError, shortened
from napari_vae_restore.images.atomic import atomic_write, why_not_written
from napari_vae_restore.models.config import FlatVAEConfig, HVAEConfig, RestorationConfig
from napari_vae_restore.models.error_calibration import ErrorCalibration
from napari_vae_restore.models.model import (
    Model,
    Normalisation,
    TrainingRecord,
    build_network,
    channels_last,
)
from napari_vae_restore.models.ood_score import OODScore
from napari_vae_restore.noise.notation import noise_from_dict

SUFFIX = ".safetensors"
VERSION = 1

_HEADER_KEY = "napari_vae_restore"
_HEADER_KEYS = {"version", "kind", "config", "normalisation", "noise", "record"}
_OPTIONAL_KEYS = {"spreads", "likeness", "training"}
_NOT_HASHED = {"record", "spreads", "likeness"}
_MAX_HEADER_BYTES = 16 * 2**20
_KINDS = {cls.kind: cls for cls in (HVAEConfig, FlatVAEConfig, RestorationConfig)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    """The parts of a header that pydantic reads."""

    normalisation: Normalisation | None
    record: TrainingRecord
    spreads: dict[str, ErrorCalibration] = field(default_factory=dict)
    likeness: OODScore | None = None


# The hash of each model's weights, with their addresses and change counters at the time.
_hashes: WeakKeyDictionary[Model, tuple[tuple[tuple[int, int], ...], str]] = WeakKeyDictionary()
# Models that were exchanged with other processes, by hash and name.
_unpacked: WeakValueDictionary[tuple[str, str], Model] = WeakValueDictionary()


def save(
    model: Model,
    path: str | Path,
    *,
    overwrite: bool = False,
    training_state: tuple[dict[str, Tensor], dict[str, Any]] | None = None,
) -> None:
    """Write a model atomically, as `.safetensors`; a training state makes it a checkpoint."""
    from safetensors.torch import save as to_bytes

    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(
            f"a model file's name ends in {SUFFIX}, got {path.name!r}: add the suffix"
        )
    if path.exists() and not overwrite:
        raise InputError(
            f"{path} exists and was not replaced: choose another name, or overwrite"
        )
    header = _header(model)
    tensors = {f"model.{name}": value for name, value in model.network.state_dict().items()}
    if training_state is not None:
        state, header["training"] = training_state
        tensors |= {f"training.{name}": value for name, value in state.items()}
    # A contiguous copy: safetensors keeps neither channels_last nor shared storage.
    tensors = {
        name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()
    }
    try:
        with atomic_write(path) as temporary:
            # Bytes, and not safetensors' own writer: that makes files for their owner only.
            temporary.write_bytes(to_bytes(tensors, {_HEADER_KEY: json.dumps(header)}))
    except OSError as error:
        raise ModelFileError(f"cannot write {path}: {why_not_written(error)}") from error


def load(path: str | Path, device: str | torch.device = "cpu") -> Model:
    """Read a model file or a checkpoint.

    Parameters
    ----------
    path : str or Path
        A file that :func:`save` wrote.
    device : str or torch.device
        Where the weights go.

    Returns
    -------
    Model
        In evaluation mode, equal to what was saved.

    Raises
    ------
    ModelFileError
        If the file is missing, foreign, torn, or of an unknown version, with what to
        do about it.
    """
    header, tensors = _read(Path(path))
    return _build(Path(path), header, tensors).on(torch.device(device))


def load_checkpoint(path: str | Path) -> tuple[Model, dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint: its model, and the tensors and values of its training state."""
    path = Path(path)
    header, tensors = _read(path)
    if "training" not in header:
        raise ModelFileError(
            f"{path} holds a finished model, not a checkpoint: training cannot go on from it; "
            "give a checkpoint, or train anew"
        )
    state = _with_prefix("training.", tensors)
    return _build(path, header, tensors), state, header["training"]


def packed(model: Model) -> tuple[str, str, str, bytes]:
    """A model as hash, name, header and weights, for `unpacked`."""
    from safetensors.torch import save as to_bytes

    digest = model_hash(model)
    _unpacked.setdefault((digest, model.name), model)
    weights = {
        name: value.detach().cpu().contiguous()
        for name, value in model.network.state_dict().items()
    }
    return digest, model.name, json.dumps(_header(model)), to_bytes(weights)


def unpacked(digest: str, name: str, header: str, weights: bytes) -> Model:
    """The model from `packed`; in one process the same object each time."""
    from safetensors.torch import load as from_bytes

    known = _unpacked.get((digest, name))
    if known is not None:
        return known
    tensors = {f"model.{key}": value for key, value in from_bytes(weights).items()}
    built = replace(_build(Path(name), json.loads(header), tensors), name=name)
    return _unpacked.setdefault((digest, name), built)


def model_hash(model: Model) -> str:
    """SHA-256 in hex of all that affects pixels: weights, and the header without training
    record, calibration and out-of-distribution score."""
    # A tensor counts how often it was changed: a training's weights are hashed anew.
    state = tuple((v.data_ptr(), v._version) for v in model.network.state_dict().values())
    known = _hashes.get(model)
    if known is not None and known[0] == state:
        return known[1]
    header = {k: v for k, v in _header(model).items() if k not in _NOT_HASHED}
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, value in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    _hashes[model] = state, digest.hexdigest()
    return digest.hexdigest()


def _header(model: Model) -> dict[str, Any]:
    config = model.network.config
    return {
        "version": VERSION,
        "kind": config.kind,
        # Without unused fields, so that older models keep their hash.
        "config": {k: v for k, v in asdict(config).items() if v not in ((), False)},
        "normalisation": model.normalisation and asdict(model.normalisation),
        "noise": model.noise and model.noise.to_dict(),
        "record": asdict(model.record),
        "spreads": {kind: asdict(spread) for kind, spread in model.spreads.items()},
        "likeness": model.ood_score and asdict(model.ood_score),
    }


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    if path.is_dir():
        raise ModelFileError(f"{path} is a folder: give the model file in it")
    try:
        with path.open("rb") as start:
            length = start.read(8)
        # A hostile length is refused before the reader allocates what it claims.
        if len(length) == 8 and struct.unpack("<Q", length)[0] > _MAX_HEADER_BYTES:
            raise ModelFileError(
                f"{path} is torn or is no safetensors file: its header is too long"
            )
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist: check the path") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise ModelFileError(
            f"{path} is torn or is no safetensors file ({shortened(error)}): save the model "
            "again, or copy the file again from where it came"
        ) from error
    if _HEADER_KEY not in metadata:
        raise ModelFileError(
            f"{path} is a safetensors file of another program: give a file that "
            "napari-vae-restore saved"
        )
    return _parse_header(path, metadata[_HEADER_KEY]), tensors


def _parse_header(path: Path, text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ModelFileError(f"{path}: the header is not a JSON object: the file is damaged")
    if header.get("version") != VERSION:
        raise ModelFileError(
            f"{path} has format version {header.get('version')!r}, and this program reads "
            f"version {VERSION}: update napari-vae-restore, or save the model again with it"
        )
    keys = set(header) - _OPTIONAL_KEYS
    if keys != _HEADER_KEYS:
        raise ModelFileError(
            f"{path}: the header's keys differ from version {VERSION}'s: unknown "
            f"{sorted(keys - _HEADER_KEYS)}, missing {sorted(_HEADER_KEYS - keys)}"
        )
    return header


def _build(path: Path, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Model:
    from pydantic import TypeAdapter, ValidationError

    if header["kind"] not in list(_KINDS):
        raise ModelFileError(
            f"{path}: unknown kind of model {header['kind']!r}, not one of {list(_KINDS)}"
        )
    try:
        config = TypeAdapter(_KINDS[header["kind"]]).validate_python(header["config"])
        described = TypeAdapter(_Described).validate_python(header)
        noise = None if header["noise"] is None else noise_from_dict(header["noise"])
    except (ValidationError, InputError) as error:
        raise ModelFileError(f"{path}: the header is not valid: {shortened(error)}") from error
    with torch.device("meta"):
        network = build_network(config)
    stored = _with_prefix("model.", tensors)
    are_floating = all(value.is_floating_point() for value in stored.values())
    # Bundled weights are stored in half precision.
    weights = {name: value.float() for name, value in stored.items()} if are_floating else {}
    if not are_floating or not all(value.isfinite().all() for value in weights.values()):
        raise ModelFileError(f"{path}: some weights are no finite numbers: the file is damaged")
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise ModelFileError(
            f"{path}: the weights do not fit the configuration: the file is damaged"
        ) from error
    return Model(
        channels_last(network.eval()),
        described.normalisation,
        noise,
        described.record,
        path.stem,
        described.spreads,
        described.likeness,
    )


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a prefix, by names without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
