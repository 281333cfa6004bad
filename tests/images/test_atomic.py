"""A file is written entirely or not at all."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from napari_vae_restore.images import atomic
from napari_vae_restore.images.atomic import atomic_write, why_not_written


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_file_appears_or_is_replaced(tmp_path):
    for text in ("first", "second"):
        with atomic_write(tmp_path / "a.txt") as temporary:
            assert temporary.parent == tmp_path
            temporary.write_text(text)
        assert (tmp_path / "a.txt").read_text() == text
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, GeneratorExit, ValueError])
def test_an_interruption_leaves_the_old_file(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def interrupted():
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_failing_flush_or_replacement_leaves_the_old_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "a.txt"
    target.write_text("old")
    for owner, name in ((os, "fsync"), (Path, "replace")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, full)
            with pytest.raises(OSError, match="No space"), atomic_write(target) as temporary:
                temporary.write_text("new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_errors_of_the_place_come_before_the_work(tmp_path, monkeypatch):
    with pytest.raises(IsADirectoryError), atomic_write(tmp_path):
        pytest.fail("the block ran")
    missing = tmp_path / "missing"
    with pytest.raises(FileNotFoundError) as caught, atomic_write(missing / "a.txt"):
        pytest.fail("the block ran")
    assert caught.value.filename == str(missing)

    def denied(self, **_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "touch", denied)
    with pytest.raises(PermissionError) as denial, atomic_write(tmp_path / "a.txt"):
        pytest.fail("the block ran")
    assert denial.value.filename == str(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="modes and links are POSIX")
def test_links_and_modes_are_kept(tmp_path):
    target, link = tmp_path / "a.txt", tmp_path / "link.txt"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    with atomic_write(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_reader_is_waited_for(tmp_path, monkeypatch):
    def replaced(self, target, replace=Path.replace, busy=[True, True]):  # noqa: B006
        if busy:
            busy.pop()
            raise PermissionError(errno.EACCES, "in use")
        return replace(self, target)

    monkeypatch.setattr(atomic, "_WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(Path, "replace", replaced)
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["a.txt"]


def test_the_longest_name_can_be_written(tmp_path):
    name = "n" * 251 + ".txt"
    with atomic_write(tmp_path / name) as temporary:
        temporary.write_text("x")
    assert names(tmp_path) == [name]


KILLED = """
import os, signal, sys
from napari_vae_restore.images.atomic import atomic_write
with atomic_write(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_what_a_killed_process_left_is_used_up(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", KILLED, str(target)])
        assert target.read_text() == "old"
        assert len(names(tmp_path)) == 2  # the temporary, once
    with atomic_write(tmp_path / "b.txt") as temporary:
        temporary.write_text("another")
    assert len(names(tmp_path)) == 3
    with atomic_write(target) as temporary:
        assert temporary.read_bytes() == b""
        temporary.write_text("new")
    assert names(tmp_path) == ["a.txt", "b.txt"]
    assert target.read_text() == "new"


def test_writers_of_one_target_do_not_meet(tmp_path):
    target, failed = tmp_path / "a.txt", []

    def write(letter):
        for _ in range(10):
            with atomic_write(target) as temporary:
                for _ in range(3):
                    with temporary.open("a") as file:
                        file.write(letter * 100)
            if len(set(target.read_text())) != 1 or len(target.read_text()) != 300:
                failed.append(letter)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert names(tmp_path) == ["a.txt"]


def test_what_cannot_be_removed_is_passed_by(tmp_path):
    with atomic_write(tmp_path / "a.txt") as temporary:
        stem, _, token = temporary.name.split("-")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    others = tmp_path / f"{stem}-{dead.pid}-{token}"
    others.mkdir()
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert others.exists()


def test_what_a_living_process_writes_stays(tmp_path):
    with atomic_write(tmp_path / "a.txt") as first:
        with atomic_write(tmp_path / "a.txt") as second:
            second.write_text("second")
        first.write_text("first")
    assert (tmp_path / "a.txt").read_text() == "first"
    assert names(tmp_path) == ["a.txt"]


def test_errors_name_the_target_and_say_what_to_do(tmp_path):
    def full(path):
        with atomic_write(path) as temporary:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))

    with pytest.raises(OSError, match="No space") as caught:
        full(tmp_path / "a.txt")
    assert caught.value.filename == str(tmp_path / "a.txt")
    advice = "the disk is full: make room, or choose another place"
    assert why_not_written(caught.value) == advice
    assert why_not_written(OSError("10 requested and 4 written")) == advice
    assert why_not_written(OSError(errno.EROFS, "Read-only file system")) == (
        "Read-only file system"
    )
