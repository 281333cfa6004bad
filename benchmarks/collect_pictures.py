"""Collect the pictures that the bundled weights are trained on.

    python benchmarks/collect_pictures.py OUT [--data DATA] [--manifest MANIFEST]

For every line of the manifest OUT gets ``NAME/PATH``. ``debian:NAME`` is a package that
``apt-get`` downloads (Debian's releases differ in what they have) and ``dpkg-deb`` opens,
``pypi:NAME`` one that this Python's ``pip`` downloads, ``data:NAME`` a folder inside DATA.
Files that are there are kept, so a second run asks only for what is missing.

A PATH may go on inside a file: ``A.pk3/PATH`` is a member of a zip archive, and
``V.nii.gz/z.tif`` (or ``y``, ``x``; or ``V.inv3``) are planes of a volume across an axis.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath

from bundled_model.picture_table import MANIFEST, Entry, read_table
from bundled_model.volumes import SUFFIXES, as_tiff, planes_across, read_volume
from napari_vae_restore.errors import VAERestoreError
from napari_vae_restore.images.atomic import atomic_write

BAD_ARCHIVE = (tarfile.TarError, zipfile.BadZipFile)
Files = Iterator[tuple[str, bytes]]


class SourceError(Exception):
    """A source that cannot be had."""


def debian(package: str, paths: Collection[str]) -> Files:
    """Files of a Debian package."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(["apt-get", "download", package], folder)
        for archive in folder.glob("*.deb"):
            run(["dpkg-deb", "--extract", archive.name, "files"], folder)
        yield from in_folder(folder / "files", paths)


def pypi(package: str, paths: Collection[str]) -> Files:
    """Files of a wheel, or of a source distribution where there is none."""
    with tempfile.TemporaryDirectory() as name:
        run([sys.executable, "-m", "pip", "download", "--no-deps", package], Path(name))
        for archive in Path(name).iterdir():
            for member, read in members(archive):
                # A source distribution has all in a folder, perhaps in src/ inside it.
                for path in paths:
                    if member == path or member.endswith(f"/{path}"):
                        yield path, read()


def members(archive: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names in a zip or tar archive, with how to read each."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                yield name, partial(opened.read, name)
    else:
        with tarfile.open(archive) as opened:
            for member in opened:
                if (file := opened.extractfile(member)) is not None:
                    yield member.name, file.read


def in_folder(folder: Path, paths: Collection[str]) -> Files:
    """Those of the files that a folder has."""
    for path in paths:
        if (folder / path).is_file():
            yield path, (folder / path).read_bytes()


def outer(path: str) -> str:
    """The file that a source has: the path, or the start of it that names a container."""
    for parent in reversed(PurePosixPath(path).parents):
        if parent.name.endswith((".pk3", *SUFFIXES)):
            return str(parent)
    return path


def parts(container: str, content: bytes, paths: Collection[str]) -> Files:
    """Those of the paths that lie in a source's file: itself, members of it or planes."""
    inside = {path.removeprefix(f"{container}/"): path for path in paths if path != container}
    if container in paths:
        yield container, content
    if not inside:
        return
    if container.endswith(SUFFIXES):
        volume = read_volume(container, content)
        for name, path in inside.items():
            yield path, as_tiff(planes_across(volume, name.removesuffix(".tif")))
    else:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in inside.keys() & set(archive.namelist()):
                yield inside[name], archive.read(name)


def run(command: list[str], folder: Path) -> None:
    """Run a programme quietly; its last words become the error."""
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise SourceError(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        words = (error.stderr or error.stdout).strip().splitlines() or ["no message"]
        raise SourceError(f"{' '.join(command[:-1])} failed: {words[-1]}") from None


def fetched(source: str, paths: Collection[str], data: Path | None) -> Files:
    """Those of the pictures of a source that can be had."""
    containers = {path: outer(path) for path in paths}
    for name, content in files(source, set(containers.values()), data):
        yield from parts(name, content, [p for p, c in containers.items() if c == name])


def files(source: str, paths: Collection[str], data: Path | None) -> Files:
    """Those of a source's files that can be had."""
    kind, _, name = source.partition(":")
    if kind == "debian":
        return debian(name, paths)
    if kind == "pypi":
        return pypi(name, paths)
    if kind != "data":
        raise SourceError("expected debian:NAME, pypi:NAME or data:NAME")
    if data is None:
        raise SourceError("give the folder that holds it with --data")
    return in_folder(data / name, paths)


def collect(entries: list[Entry], out: Path, data: Path | None) -> int:
    """Fetch what is missing, source by source; how many files still are."""
    n_missing = 0
    for source, group in groupby(sorted(entries, key=source_of), source_of):
        targets = {entry.path: out / entry.location for entry in group}
        missing = {path for path, target in targets.items() if not target.exists()}
        if not missing:
            print(f"{source}: all there")
            continue
        n_wanted, why = len(missing), "not in it"
        try:
            for path, content in fetched(source, sorted(missing), data):
                targets[path].parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(targets[path]) as temporary:
                    temporary.write_bytes(content)
                missing.discard(path)
        except (SourceError, OSError, ValueError, *BAD_ARCHIVE) as error:
            why = str(error)
        print(f"{source}: {n_wanted - len(missing)} of {n_wanted} files", flush=True)
        for path in sorted(missing):
            print(f"missing: {source} {path}: {why}", file=sys.stderr)
        n_missing += len(missing)
    return n_missing


def source_of(entry: Entry) -> str:
    """What entries are grouped by."""
    return entry.source


def main() -> None:
    """Fill the folder; exit with 1 if something is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to fill")
    parser.add_argument("--data", type=Path, help="folder of the manifest's data: folders")
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="list of pictures")
    asked = parser.parse_args()
    try:
        n_missing = collect(read_table(asked.manifest), asked.out, asked.data)
    except (VAERestoreError, OSError) as error:
        sys.exit(f"error: {error}")
    if n_missing:
        sys.exit(f"{n_missing} files are missing")


if __name__ == "__main__":
    main()
