"""Write a file entirely or not at all.

Knows nothing of what is written: images, weights and recipes all pass here. It
raises what the operating system raises; callers say it in their own terms.
"""

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

_WAITS = (0.02, 0.1, 0.5, 2.0) if os.name == "nt" else ()
"""Seconds between tries: Windows replaces no file that another process is reading."""


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file that takes the place of `path` when all went well.

    The temporary lies in the same folder, hidden, and is flushed to the disk
    before it replaces the target in one step. Whatever interrupts the block, full
    disk or Ctrl-C, removes the temporary and leaves the old target as it was. A
    target that is a link keeps being one: the file that it points to is replaced.

    Parameters
    ----------
    path : path-like
        The file to write.

    Yields
    ------
    pathlib.Path
        An empty file to write into; close it before the block ends.

    Raises
    ------
    OSError
        If the folder is missing or cannot be written to, the target is a folder,
        or the block or the flush fails. Errors on the temporary itself name the
        folder, for the temporary's own name says nothing.

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
    temporary = _create_beside(target)
    try:
        yield temporary
        _flush(temporary)
        if target.exists():
            shutil.copymode(target, temporary)
        _replace(target, temporary)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def _create_beside(target: Path) -> Path:
    # The name is short, so that a target's name of the greatest length works too;
    # mkstemp would deny the finished file to everyone else, whatever the umask.
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp"
    try:
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
