"""Get a model out of a bioimage.io package, without running anything that is in it.

Two files are read: the description, and the model file of this library that it names with its
hash. TorchScript and pickles are left alone. No name in a package becomes a path.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, ClassVar, Final

from pydantic import TypeAdapter, ValidationError

from napari_vae_restore.errors import InputError, ModelFileError, shortened
from napari_vae_restore.images.atomic import atomic_write, why_not_written
from napari_vae_restore.models.files import SUFFIX, load
from napari_vae_restore.models.model import Model

DESCRIPTIONS: Final = ("bioimageio.yaml", "rdf.yaml")
CONFIG_KEY: Final = "napari_vae_restore"  # under ``config``, where the `Attachment` stands
EXTRA: Final = 'pip install "napari-vae-restore[bioimageio]"'

_VERSION: Final = 1
_MAX_DESCRIPTION: Final = 2**20
MAX_BYTES: Final = 2 * 2**30  # of a model file
_SHOWN: Final = 80  # characters of foreign text that a message repeats

# NotImplementedError, a RuntimeError: an unknown compression; RuntimeError: a password;
# UnicodeDecodeError: a name; struct.error: a header.
_TORN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    UnicodeDecodeError,
    struct.error,
)

_OpenFile = Callable[[str], IO[bytes]]


@dataclass(frozen=True, slots=True)
class Attachment:
    """The model file in a package, as the description names it."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    weights: str  # name of the file
    sha256: str  # of the file
    model_sha256: str  # of the model; see Model.sha256
    version: int = _VERSION


def import_package(
    source: Path, output: Path, *, overwrite: bool = False, max_bytes: int = MAX_BYTES
) -> Model:
    """Take the model file out of a package, and check that it is the one that was exported.

    The source is a zip, an unpacked package or its description.
    """
    if output.suffix != SUFFIX:
        raise InputError(f"expected an output that ends in {SUFFIX}, but {output.name!r} came")
    check_free(output, overwrite=overwrite)
    with _opened(source) as (description, open_file), tempfile.TemporaryDirectory() as folder:
        attachment = _attachment(description, source)
        copy = Path(folder) / output.name
        with open_file(attachment.weights) as stream:
            digest = _copied(stream, copy, source, max_bytes)
        if digest != attachment.sha256:
            raise ModelFileError(
                f"{source}: {attachment.weights} is not the file that was packed (its SHA-256 "
                "differs): get the package again from where it came"
            )
        model = load(copy)
        if model.sha256 != attachment.model_sha256:
            raise ModelFileError(f"{source}: its model is not the one that it describes")
        put(copy, output)
    return model


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise InputError if a file would be replaced without permission."""
    if path.exists() and not overwrite:
        raise InputError(
            f"{path} exists and was not replaced: choose another name, or overwrite"
        )


def put(source: Path, target: Path) -> None:
    """Copy a file, entirely or not at all; raises ModelFileError."""
    try:
        with atomic_write(target) as temporary:
            shutil.copyfile(source, temporary)
    except OSError as error:
        raise ModelFileError(f"cannot write {target}: {why_not_written(error)}") from error


@contextmanager
def _opened(source: Path) -> Iterator[tuple[Mapping[str, Any], _OpenFile]]:
    """Description of a package, and a function that opens a file of it by name."""
    absent = f"holds no {' and no '.join(DESCRIPTIONS)}"
    try:
        if source.is_dir():
            names = [name for name in DESCRIPTIONS if (source / name).is_file()]
            if not names:
                raise ModelFileError(f"{source} {absent}")
            source = source / names[0]
        if source.suffix.lower() in (".yaml", ".yml"):
            folder = source.parent
            yield _parsed(source.open("rb"), source), lambda name: (folder / name).open("rb")
            return
        with zipfile.ZipFile(source) as archive:
            names = [name for name in DESCRIPTIONS if name in archive.namelist()]
            if not names:
                raise ModelFileError(
                    f"{source} is a zip, but no bioimage.io package: it {absent}"
                )
            yield _parsed(archive.open(names[0]), source), archive.open
    except FileNotFoundError as error:
        raise ModelFileError(f"{error.filename or source} does not exist") from None
    except KeyError as error:
        raise ModelFileError(f"{source}: a file is missing in it: {error.args[0]}") from error
    except OSError as error:
        raise ModelFileError(f"cannot read {source}: {error.strerror or error}") from error
    except _TORN as error:
        raise ModelFileError(
            f"{source} is torn, encrypted or no bioimage.io package ({shortened(error)}): give "
            "the zip or the rdf.yaml of a model"
        ) from error


def _parsed(stream: IO[bytes], source: Path) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise ModelFileError(f"reading a package takes an extra: run {EXTRA}") from error
    with stream:
        content = stream.read(_MAX_DESCRIPTION + 1)
    if len(content) > _MAX_DESCRIPTION:
        raise ModelFileError(f"{source}: its description is too long to be one")
    try:
        description = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{source}: its description is damaged: it is no YAML") from error
    if not isinstance(description, dict):
        raise ModelFileError(f"{source}: its description is damaged: it is no mapping")
    return description


def _attachment(description: Mapping[str, Any], source: Path) -> Attachment:
    """The model file that a description names."""
    config = description.get("config")
    if isinstance(config, dict) and CONFIG_KEY in config:
        return _checked(config[CONFIG_KEY], source)
    kind, name = description.get("type"), _quoted(description.get("name"))
    if kind != "model":
        raise ModelFileError(
            f"{source} is {name}, of type {_quoted(kind)}, and not a model: give the package "
            "of a model that this library exported"
        )
    weights = description.get("weights")
    formats = ", ".join(map(str, weights)) if isinstance(weights, dict) else "none"
    raise ModelFileError(
        f"{source} is the model {name} with weights in the formats {_quoted(formats)}, made "
        "by another program: this library runs its own models only, and executes no weights "
        "that hold code; use bioimageio.core or another tool of bioimage.io for it"
    )


def _checked(form: object, source: Path) -> Attachment:
    if not isinstance(form, dict) or form.get("version") != _VERSION:
        raise ModelFileError(
            f"{source} was made by another version of this library: update "
            "napari-vae-restore, or ask for the model file itself"
        )
    try:
        attachment = TypeAdapter(Attachment).validate_python(form)
    except ValidationError as error:
        message = f"{source}: the description of its model file is damaged"
        raise ModelFileError(message) from error
    name = attachment.weights
    is_plain = PurePosixPath(name).name == PureWindowsPath(name).name == name
    if not is_plain or not name.endswith(SUFFIX):
        raise ModelFileError(
            f"{source} names {_quoted(name)} as its model file, and that is not the name "
            f"of a {SUFFIX} file in it: nothing was read; do not use this package"
        )
    return attachment


def _copied(stream: IO[bytes], target: Path, source: Path, max_bytes: int) -> str:
    """Copy at most the largest size of a model; returns the SHA-256."""
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        while chunk := stream.read(2**20):
            size += len(chunk)
            if size > max_bytes:
                raise ModelFileError(f"{source}: its model file is larger than any model")
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _quoted(text: object) -> str:
    """Foreign text, cut, with its control characters visible."""
    shown = str(text)
    return repr(shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…")
