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
    """One line of the table of training pictures.

    Attributes
    ----------
    source : str
        ``KIND:NAME``: ``debian:PACKAGE``, ``pypi:PACKAGE`` or ``data:FOLDER``.
    path : str
        Of the picture inside its source.
    licence : str
        As its source tells it.
    kind : str
        One of `KINDS`.
    reduce : int
        Factor by which the picture is shrunk before use, which averages its noise and
        compression artefacts away.
    weight : float
        Share of the patches that come from it, relative to other pictures of its kind and
        its size; 1 is usual.
    author : str
        As its source tells it; empty where it does not.
    """

    source: str
    path: str
    licence: str
    kind: str
    reduce: int
    weight: float
    author: str = ""

    @property
    def location(self) -> Path:
        """Where the picture lies in the folder of collected pictures."""
        return Path(self.source.partition(":")[2]) / self.path


def read_table(table: Path) -> list[Entry]:
    """Read the table of training pictures.

    Parameters
    ----------
    table : Path
        CSV with the columns source, path, licence, kind, reduce, weight and, optionally,
        author.

    Returns
    -------
    list of Entry
        In the table's order.

    Raises
    ------
    InputError
        If a column is missing, a number is none, a weight is not above 0 or a kind is none
        of `KINDS`.
    """
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
    """Read the pictures that a table lists.

    Parameters
    ----------
    folder : Path
        Holds ``NAME/PATH`` for every line of the table; see :class:`Entry`.
    table : Path
        See :func:`read_table`.

    Returns
    -------
    list of Picture
        In the table's order, shrunk and scaled. The weights of each kind add up to 1;
        within a kind a picture's is the table's times the square root of its pixels.

    Raises
    ------
    InputError
        If the table cannot be used.
    ImageFileError
        If a picture is missing or cannot be read.
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
