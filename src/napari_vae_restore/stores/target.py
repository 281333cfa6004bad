"""Stores that a restoration writes: levels, chunks, marks of finished blocks, final names.

While it is computed, everything lies in a folder beside the output, ``OUT.partial``, with
a mark for each finished block. Each block covers whole chunks: writers never overlap, and
writing a block twice is harmless. This module knows nothing of networks.
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
from napari_vae_restore.images.atomic import atomic_write, why_not_written
from napari_vae_restore.images.layout import cast
from napari_vae_restore.images.zarr_files import ATTRIBUTE, import_zarr
from napari_vae_restore.stores.ome_zarr import level_shapes, reduced

_REQUEST: Final = "orders.json"


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
        return mean.with_name(f"{mean.name}.partial")

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
            if all(self._is_there(output, request.what) for output in self.outputs):
                return
            # Somebody has removed outputs: it begins anew.
            (self.folder / _REQUEST).unlink()
            for path in filter(Path.is_dir, list(self.folder.iterdir())):
                shutil.rmtree(path)
        with self._writing():
            (self.folder / "marks").mkdir(parents=True, exist_ok=True)
            for output in self.outputs:
                self._create(output)
            with atomic_write(self.folder / _REQUEST) as temporary:
                temporary.write_bytes(_STORED.dump_json(request))

    def mark(self, name: str) -> Path:
        """The file that marks a block as finished, after all of it is written."""
        return self.folder / "marks" / f"{name}.json"

    def write(
        self, output: Output, place: tuple[int | slice, ...], values: NDArray[Any]
    ) -> None:
        """Put values into level 0 of one output."""
        self._level(output, 0)[place] = values

    def level_blocks(self, level: int) -> Iterator[tuple[int, ...]]:
        """Numbers of the blocks of a coarser level: leading axes one by one, then Y, X."""
        *lead, height, width = level_shapes(self.shape)[level]
        yield from np.ndindex(*lead, -(-height // self.side), -(-width // self.side))

    def reduce(self, level: int, number: tuple[int, ...]) -> None:
        """Make one block of a coarser level of every output from the level before."""
        *lead, i, j = number
        side = self.side
        rows, columns = (slice(2 * side * n, 2 * side * (n + 1)) for n in (i, j))
        for output in self.outputs:
            coarse, fine = (self._level(output, n) for n in (level, level - 1))
            values = cast(reduced(fine[(*lead, rows, columns)]), np.dtype(output.dtype))
            height, width = values.shape
            place = slice(side * i, side * i + height), slice(side * j, side * j + width)
            coarse[(*lead, *place)] = values

    def finish(self, attributes: dict[str, dict[str, Any]], *, overwrite: bool) -> None:
        """Give every output its attributes, by kind, and its name, the mean last."""
        zarr = import_zarr()
        for output in reversed(self.outputs):
            made = self.folder / output.kind
            if not made.exists():
                continue  # it was named before the process died
            for level in range(self.n_levels):
                self._level(output, level)  # nothing damaged gets a name
            for left in made.rglob("*.partial"):  # of zarr, by a process that was killed
                left.unlink(missing_ok=True)
            try:
                zarr.open_group(str(made), mode="r+").attrs.update(attributes[output.kind])
            except Exception as error:  # as in `_level`
                raise self._damaged() from error
            old = self.folder / f"old-{output.kind}"
            if is_replaced := overwrite and output.path.exists():
                output.path.rename(old)
            made.rename(output.path)
            if is_replaced:
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        (self.folder / _REQUEST).unlink()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process; the system unlocks it if the process dies."""
        from filelock import FileLock, Timeout

        with self._writing():
            self.folder.mkdir(exist_ok=True)
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

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ImageFileError(
                f"Cannot write {self.folder}: {why_not_written(error)}."
            ) from error

    def _is_there(self, output: Output, what: str) -> bool:
        """Whether an output is in the folder, or already has its name."""
        return (self.folder / output.kind).exists() or finished_request(output.path) == what

    def _create(self, output: Output) -> None:
        path = str(self.folder / output.kind)
        group = import_zarr().open_group(path, mode="w", zarr_format=3)
        lead = (1,) * (len(self.shape) - 2)
        # Four chunks to a block, where it can be halved.
        chunk = self.side // 2 if self.side % 2 == 0 else self.side
        for level, shape in enumerate(level_shapes(self.shape)):
            group.create_array(
                str(level),
                shape=shape,
                dtype=output.dtype,
                chunks=(*lead, chunk, chunk),
                shards=(*lead, self.side, self.side) if self.is_sharded else None,
                fill_value=0,
            )

    def _level(self, output: Output, level: int) -> Any:
        path = str(self.folder / output.kind / str(level))
        try:
            array = import_zarr().open_array(path, mode="r+")
        except Exception as error:  # of any type, where the metadata are damaged
            raise self._damaged() from error
        if (array.shape, array.dtype) != (level_shapes(self.shape)[level], output.dtype):
            raise self._damaged()
        return array

    def _damaged(self) -> ImageFileError:
        return ImageFileError(
            f"The unfinished result {self.folder} is damaged: delete it and start again."
        )


def finished_request(path: Path) -> str | None:
    """Hash of the request that a finished store was made for; None for any other path."""
    if not path.exists():
        return None
    try:
        node = import_zarr().open_group(str(path), mode="r")
        return str(dict(node.attrs)[ATTRIBUTE]["what"])
    except Exception:  # of any type: it is no store of this package
        return None
