"""Write a file entirely or not at all.

Knows nothing of what is written: images, weights and recipes all pass here. It
raises what the operating system raises; callers say it in their own terms.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

_WAITS = (0.02, 0.1, 0.5, 2.0) if os.name == "nt" else ()
"""Seconds between tries: Windows replaces no file that another process is reading."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What file systems that lock nothing answer."""

_FULL = (errno.ENOSPC, errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC)


def why_not_written(error: OSError) -> str:
    """Why a file could not be written and what to do, as the rest of a sentence."""
    # numpy tells a short write by an error without a number.
    if error.errno in _FULL or (error.errno is None and "written" in str(error)):
        return "the disk is full: make room, or choose another place"
    return " ".join((error.strerror or str(error)).split()).rstrip(".")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file that takes the place of `path` when all went well.

    The temporary lies in the same folder, hidden, and is flushed to the disk
    before it replaces the target in one step. Whatever interrupts the block, full
    disk or Ctrl-C, removes the temporary and leaves the old target as it was; what a
    killed process left is removed by the next one that writes the same target (not on
    Windows). A target that is a link keeps being one: the file that it points to is
    replaced.

    Raises OSError, which names the target or the folder, if the folder is missing or cannot be
    written to, the target is a folder, or the block or the flush fails.

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
    with _temporary_beside(target) as temporary:
        try:
            yield temporary
            _flush(temporary)
            if target.exists():
                shutil.copymode(target, temporary)
            _replace(target, temporary)
        except BaseException as error:
            if isinstance(error, OSError) and error.errno is not None:
                error.filename = _told(error.filename, temporary, path)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    _flush_folder(target.parent)


@contextlib.contextmanager
def _temporary_beside(target: Path) -> Iterator[Path]:
    """An empty file for one writer of a target, in the place of one that was killed.

    Its name is short, so that a target's name of the greatest length works too, and follows
    from the target's. A lock, which a killed process cannot keep, tells whether somebody
    writes: not of the file itself, since shares of Windows keep other handles of the very
    same process out of a locked file.
    """
    stem = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    for number in itertools.count():
        temporary = target.parent / f".{stem}-{number}.tmp"
        lock = temporary.with_name(f"{temporary.name}.lock")
        try:
            descriptor = _held(lock)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise _of_folder(error, target) from error
            break
        if descriptor is None:
            continue
        try:
            if _is_removed(temporary):
                yield _made(temporary, target)
                return
        finally:
            lock.unlink(missing_ok=True)
            os.close(descriptor)
    yield _made(target.parent / f".{secrets.token_hex(8)}.tmp", target)


def _made(temporary: Path, target: Path) -> Path:
    # mkstemp would deny the finished file to everyone else, whatever the umask.
    try:
        temporary.touch(mode=0o666, exist_ok=False)
    except OSError as error:
        raise _of_folder(error, target) from error
    return temporary


def _held(lock: Path) -> int | None:
    """A descriptor that holds a lock; None where another one does.

    Raises OSError if the folder cannot be written to, or locks nothing.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError:
        if os.path.lexists(lock):  # another user's
            return None
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), lock.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):  # somebody writes, or has just ended
        pass
    except OSError:
        lock.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_removed(temporary: Path) -> bool:
    """Whether there is no such file any more: another user's cannot be removed."""
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
    return not os.path.lexists(temporary)


def _told(name: Any, temporary: Path, path: str | os.PathLike[str]) -> Any:
    """The name that an error has; the target's where it has none, or the temporary's."""
    return str(path) if name in (None, str(temporary)) else name


def _of_folder(error: OSError, target: Path) -> OSError:
    return OSError(error.errno, error.strerror, str(target.parent))


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
