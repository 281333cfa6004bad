"""Write a file entirely or not at all.

Knows nothing of what is written: images, weights and recipes all pass here. It
raises what the operating system raises; callers say it in their own terms.
"""

import contextlib
import errno
import hashlib
import os
import platform
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_WAITS = (0.02, 0.1, 0.5, 2.0) if os.name == "nt" else ()
"""Seconds between tries: Windows replaces no file that another process is reading."""

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def why_not_written(error: OSError) -> str:
    """Why a file could not be written and what to do, as the rest of a sentence."""
    # numpy tells a short write by an error without a number.
    if error.errno in _FULL or (error.errno is None and "written" in str(error)):
        return "the disk is full: make room, or choose another place"
    return " ".join((error.strerror or str(error)).split()).rstrip(".")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file that takes the place of `path` when all went well.

    The temporary lies in the same folder, hidden, and is flushed to the disk before it
    replaces the target in one step. Whatever interrupts the block, full disk or Ctrl-C,
    removes the temporary and leaves the old target as it was; what a killed process left is
    removed by the next one that writes the same target. Where the target is a link, the file
    that it points to is replaced. Raises OSError, which names the target or the folder.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "note.txt") as temporary:
    ...     _ = temporary.write_text("done")
    >>> [file.name for file in folder.iterdir()]
    ['note.txt']
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = _temporary_beside(target)
    try:
        yield temporary
        _flush(temporary)
        if target.exists():
            shutil.copymode(target, temporary)
        _replace(target, temporary)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno is not None:
            name = error.filename
            error.filename = str(path) if name in (None, str(temporary)) else name
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def _temporary_beside(target: Path) -> Path:
    """A new empty file; what killed processes of this machine left of the target goes.

    Its name is short, so that a target's name of the greatest length works too. It has a hash
    of machine and target, and the number of the process.
    """
    owner = os.fsencode(f"{platform.node()} {target.name}")
    stem = f".{hashlib.sha256(owner).hexdigest()[:16]}"
    for left in target.parent.glob(f"{stem}-*.tmp"):
        if not psutil.pid_exists(int(left.name.split("-")[1])):
            with contextlib.suppress(OSError):  # another user's
                left.unlink()
    temporary = target.parent / f"{stem}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        # mkstemp would deny the finished file to everyone else, whatever the umask.
        temporary.touch(mode=0o666, exist_ok=False)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target.parent)) from error
    return temporary


def _replace(target: Path, temporary: Path) -> None:
    for seconds in _WAITS:
        try:
            temporary.replace(target)
        except PermissionError:
            time.sleep(seconds)
        else:
            return
    temporary.replace(target)


def _flush(file: Path) -> None:
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the new name durable where the system can; the file itself is by now."""
    with contextlib.suppress(OSError):  # Windows opens no folders; some disks refuse
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
