"""The table of training pictures, and the pictures that it lists."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from napari_vae_restore.errors import ImageFileError, InputError
from napari_vae_restore.images.image_files import read_image
from napari_vae_restore.training.pictures import Picture, picture_of

MANIFEST: Final = Path(__file__).with_name("pictures.csv")

KINDS: Final = ("microscopy", "medicine", "photograph")
"""Kinds of pictures; each gives the same share of the patches."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the table of training pictures."""

    source: str  # ``KIND:NAME``: ``debian:PACKAGE``, ``pypi:PACKAGE`` or ``data:FOLDER``
    path: str  # inside its source
    licence: str  # as its source states it
    kind: str  # one of `KINDS`
    # Factor by which the picture is shrunk; this averages noise and artefacts away.
    reduce: int
    # Share of the patches relative to other pictures of its kind and size; 1 is usual.
    weight: float
    author: str = ""  # as its source states it, if it does

    @property
    def location(self) -> Path:
        """Where the picture lies in the folder of collected pictures."""
        return Path(self.source.partition(":")[2]) / self.path


def read_table(table: Path) -> list[Entry]:
    """Read a CSV table of training pictures; the column `author` is optional."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    entries = []
    for line, row in enumerate(rows, start=2):
        try:
            values: dict[str, Any] = dict(row)
            values |= {"reduce": int(row["reduce"]), "weight": float(row["weight"])}
            if row["kind"] not in KINDS:
                raise ValueError(f"{row['kind']!r} is not one of {', '.join(KINDS)}")
            if not values["weight"] > 0:
                raise ValueError(f"{row['weight']} is no weight above 0")
            entries.append(Entry(**values))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{table}, line {line}: expected source, path, licence, kind, reduce (a whole "
                f"number), weight (a number) and perhaps author: {error}"
            ) from error
    return entries


def read_pictures(folder: Path, table: Path) -> list[Picture]:
    """Read the pictures of a table, shrunk and scaled.

    The weights of each kind add up to 1; within a kind, a picture's weight is the table's times
    the square root of its pixels.
    """
    entries = read_table(table)
    pictures = [_read(folder / entry.location, entry) for entry in entries]
    shares = [picture.weight * math.sqrt(picture.planes[:, 0].size) for picture in pictures]
    totals = dict.fromkeys(KINDS, 0.0)
    for entry, share in zip(entries, shares, strict=True):
        totals[entry.kind] += share
    return [
        replace(picture, weight=share / totals[entry.kind])
        for entry, picture, share in zip(entries, pictures, shares, strict=True)
    ]


def _read(path: Path, entry: Entry) -> Picture:
    if not path.exists():
        raise ImageFileError(
            f"{path} does not exist: collect the pictures with benchmarks/collect_pictures.py"
        )
    image = read_image(path)
    return picture_of(image.data, image.axes, reduce=entry.reduce, weight=entry.weight)
