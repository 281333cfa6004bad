"""Stores that a restoration writes: levels, chunks, marks of finished blocks, final names.

While it is computed, everything lies in a folder beside the output, ``OUT.partial``, with
a mark for each finished block. Each block covers whole chunks: writers never overlap, and
writing a block twice is harmless. The output gets its name when all is written. This
module knows nothing of networks.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from napari_vae_restore.errors import ImageFileError, InputError
from napari_vae_restore.images.array_files import ATTRIBUTE
from napari_vae_restore.images.atomic import atomic_write, why_not_written
from napari_vae_restore.images.layout import cast
from napari_vae_restore.stores.ome_zarr import import_zarr, level_shapes, reduced

PARTIAL: Final = ".partial"
"""Ending of an unfinished output's name."""

_REQUEST: Final = "orders.json"
_TEMPORARY: Final = "*.partial"  # of zarr, left by a process that was killed


@dataclass(frozen=True, slots=True)
class Output:
    """One image to be written."""

    path: Path  # its final place
    kind: str  # "mean", "std", or "sample-1" and so on; its name while unfinished
    dtype: str


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """The request that an unfinished folder was made for, as it is stored."""

    what: str  # hash of the request
    tile: int


_STORED = TypeAdapter(StoredRequest)


@dataclass(frozen=True, slots=True)
class Target:
    """All outputs of one restoration."""

    outputs: tuple[Output, ...]  # the mean first; their folders exist
    shape: tuple[int, ...]  # of each output, in the order of the standard's axes
    side: int  # of the blocks of level 0 along Y and X, the first of which starts at 0
    is_sharded: bool  # whether the chunks of a block lie in one file

    @property
    def folder(self) -> Path:
        """Folder of everything unfinished."""
        mean = self.outputs[0].path
        return mean.with_name(mean.name + PARTIAL)

    @property
    def chunk(self) -> int:
        """Side of the chunks: four to a block, where it can be halved."""
        return self.side // 2 if self.side % 2 == 0 else self.side

    @property
    def n_levels(self) -> int:
        """Levels of the pyramid."""
        return len(level_shapes(self.shape))

    def begun(self) -> StoredRequest | None:
        """The request of an unfinished folder; None without one."""
        try:
            return _STORED.validate_json((self.folder / _REQUEST).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._damaged() from error

    def start(self, request: StoredRequest) -> None:
        """Make the unfinished folder, or go on with one that was made for the same request."""
        if found := self.begun():
            if found.what != request.what:
                raise InputError(
                    f"{self.folder} is the unfinished result of another restoration: of "
                    "another image, model or recipe. Finish that one, delete the folder, or "
                    "choose another output."
                )
            if self._is_whole(request.what):
                return
            self._empty()
        try:
            (self.folder / "marks").mkdir(parents=True, exist_ok=True)
            for output in self.outputs:
                self._create(output)
            with atomic_write(self.folder / _REQUEST) as temporary:
                temporary.write_bytes(_STORED.dump_json(request))
        except OSError as error:
            raise ImageFileError(
                f"Cannot write {self.folder}: {why_not_written(error)}."
            ) from error

    def read_mark(self, name: str) -> bytes | None:
        """The JSON in a finished block's mark; None for an unfinished block."""
        try:
            return self._mark(name).read_bytes()
        except FileNotFoundError:
            return None

    def mark(self, name: str, content: bytes) -> None:
        """Mark a block as finished, after all of it is written."""
        with atomic_write(self._mark(name)) as temporary:
            temporary.write_bytes(content)

    def write(self, kind: str, place: tuple[int | slice, ...], values: NDArray[Any]) -> None:
        """Put values into level 0 of one output."""
        self._level(kind, 0)[place] = values

    def level_blocks(self, level: int) -> Iterator[tuple[int, ...]]:
        """Numbers of the blocks of a coarser level: leading axes one by one, then Y, X."""
        *lead, height, width = level_shapes(self.shape)[level]
        yield from np.ndindex(*lead, -(-height // self.side), -(-width // self.side))

    def reduce(self, level: int, number: tuple[int, ...]) -> None:
        """Make one block of a coarser level of every output from the level before."""
        *lead, i, j = number
        for output in self.outputs:
            coarse, fine = (self._level(output.kind, n) for n in (level, level - 1))
            side = self.side
            source = (
                slice(2 * side * i, 2 * side * (i + 1)),
                slice(2 * side * j, 2 * side * (j + 1)),
            )
            values = cast(reduced(fine[(*lead, *source)]), np.dtype(output.dtype))
            height, width = values.shape
            rows = slice(side * i, side * i + height)
            coarse[(*lead, rows, slice(side * j, side * j + width))] = values

    def finish(self, attributes: dict[str, dict[str, Any]], *, overwrite: bool) -> None:
        """Give every output its attributes, by kind, and its name, the mean last."""
        zarr = import_zarr()
        for output in reversed(self.outputs):
            made = self.folder / output.kind
            if not made.exists():
                continue  # it was named before the process died
            for level in range(self.n_levels):
                self._level(output.kind, level)  # nothing damaged gets a name
            for left in made.rglob(_TEMPORARY):
                left.unlink(missing_ok=True)
            try:
                zarr.open_group(str(made), mode="r+").attrs.update(attributes[output.kind])
            except Exception as error:  # as in `_level`
                raise self._damaged() from error
            if output.path.exists() and overwrite:
                _replace(output.path, made, self.folder / f"old-{output.kind}")
            else:
                made.rename(output.path)
        (self.folder / _REQUEST).unlink()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process; the system unlocks it if the process dies."""
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ImageFileError(
                f"Cannot write {self.folder}: {why_not_written(error)}."
            ) from error
        lock = FileLock(self.folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"Another process is writing {self.outputs[0].path}: wait until it is done, or "
                "stop it and start again."
            ) from None
        try:
            yield
        finally:
            lock.release()
            if not (self.folder / _REQUEST).exists():  # finished, or not begun
                shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove the folder of a process that died after it had named the outputs."""
        if self.folder.exists():
            with self.locked():
                (self.folder / _REQUEST).unlink(missing_ok=True)

    def _is_whole(self, what: str) -> bool:
        """Whether each output is in the folder or already has its name."""
        return all(
            (self.folder / output.kind).exists() or finished_request(output.path) == what
            for output in self.outputs
        )

    def _empty(self) -> None:
        """Begin anew, because somebody has removed outputs."""
        (self.folder / _REQUEST).unlink()
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)

    def _create(self, output: Output) -> None:
        zarr = import_zarr()
        group = zarr.open_group(str(self.folder / output.kind), mode="w", zarr_format=3)
        lead = (1,) * (len(self.shape) - 2)
        for level, shape in enumerate(level_shapes(self.shape)):
            group.create_array(
                str(level),
                shape=shape,
                dtype=output.dtype,
                chunks=(*lead, self.chunk, self.chunk),
                shards=(*lead, self.side, self.side) if self.is_sharded else None,
                fill_value=0,
            )

    def _level(self, kind: str, level: int) -> Any:
        try:
            array = import_zarr().open_array(str(self.folder / kind / str(level)), mode="r+")
        except Exception as error:  # of any type, where the metadata are damaged
            raise self._damaged() from error
        dtype = next(output.dtype for output in self.outputs if output.kind == kind)
        if array.shape != level_shapes(self.shape)[level] or array.dtype != np.dtype(dtype):
            raise self._damaged()
        return array

    def _damaged(self) -> ImageFileError:
        return ImageFileError(
            f"The unfinished result {self.folder} is damaged: delete it and start again."
        )

    def _mark(self, name: str) -> Path:
        return self.folder / "marks" / f"{name}.json"


def finished_request(path: Path) -> str | None:
    """Hash of the request that a finished store was made for; None for any other path."""
    if not path.exists():
        return None
    try:
        node = import_zarr().open_group(str(path), mode="r")
        return str(dict(node.attrs)[ATTRIBUTE]["what"])
    except Exception:  # of any type: it is no store of this package
        return None


def _replace(path: Path, made: Path, old: Path) -> None:
    path.rename(old)
    made.rename(path)
    shutil.rmtree(old) if old.is_dir() else old.unlink()
