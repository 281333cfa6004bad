"""Whatever happens to a command, its target is the old one or the complete new one.

One contract, a list of commands, a list of faults: the target is never torn, nothing else
is left behind, the exit status and the one line on stderr are right, and the same command
succeeds when the fault is over.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import napari_vae_restore as vr
from warm import Run, Warm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, rights and limits")


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, and the file or folder that it makes."""

    words: str  # after the program's name
    target: str
    again: str = "--overwrite"  # for a target that exists


GAUSSIAN = "--noise gaussian:15"
FILES = {
    "denoise": Command("denoise in.tif -o out.tif", "out.tif"),
    "inpaint": Command("inpaint in.tif --mask mask.png -o out.png", "out.png"),
    "super-resolve": Command("super-resolve in.tif --factor 2 -o out.tif", "out.tif"),
    "restore": Command("restore in.tif --recipe recipe.json -o out.tif", "out.tif"),
    "compress": Command("compress in.tif -o out.vaec", "out.vaec"),
    "decompress": Command("decompress in.vaec -o out.tif", "out.tif"),
    "enhance": Command("enhance in.tif -o enhanced.png --contrast 1.2", "enhanced.png"),
    "generate": Command("generate -o out.tif --n 2 --size 32x32", "out.tif"),
    "encode": Command("encode in.tif -o out.csv", "out.csv"),
    "evaluate": Command("evaluate in.tif --reference clean.tif --report out.html", "out.html"),
    "noise": Command("noise in.tif --plot out.svg", "out.svg"),
    "calibrate": Command(
        f"calibrate clean.tif --simulate denoise {GAUSSIAN} -o out.safetensors",
        "out.safetensors",
    ),
    "train": Command(
        f"train in.tif {GAUSSIAN} --steps 3 -o out.safetensors",
        "out.safetensors",
    ),
}
FOLDERS = {
    "batch": Command("denoise many -o out", "out", again="--overwrite always"),
    "store": Command(f"denoise in.zarr {GAUSSIAN} -o out.zarr", "out.zarr"),
}
COMMANDS = FILES | FOLDERS

HERE = "import os; os.chdir({!r})\n"
TINY = """
from napari_vae_restore import HVAEConfig
from napari_vae_restore.training import supervision
supervision.HVAEConfig = lambda: HVAEConfig(levels=2, width=8, latent=4)
"""
AT_FLUSH = """
import errno, os, signal
from napari_vae_restore.images import atomic
def hindered(path, n=[0]):
    if not str(path).startswith(os.path.realpath(os.curdir)):
        return  # what is written on trial, elsewhere
    n[0] += 1
    {}
atomic._flush = hindered
"""
# Of what may be open to root only the rights of its owner are left.
NO_RIGHTS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
head, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc.capget(head, sets)
sets[0] &= ~0b110
assert libc.capset(head, sets) == 0
"""

FAULTS = {
    "full": (
        AT_FLUSH.format("raise OSError(errno.ENOSPC, 'No space left on device')"),
        2,
        "the disk is full: make room",
    ),
    "limited": (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))",
        2,
        "File too large|the disk is full",
    ),
    "interrupted": (
        AT_FLUSH.format("os.kill(os.getpid(), signal.SIGINT)"),
        130,
        "stopped",
    ),
    "terminated": (
        AT_FLUSH.format("os.kill(os.getpid(), signal.SIGTERM)"),
        143,
        "stopped",
    ),
    "killed": (AT_FLUSH.format("os.kill(os.getpid(), signal.SIGKILL)"), -9, ""),
}
"""Each with the code that runs before, the exit status, and the message."""

MORE = ("limited", "interrupted")
VARIED = ("denoise", "inpaint", "compress", "evaluate")
"""The commands that meet all faults, and not those alone which others differ by."""


def start(warm: Warm, place: Path, words: str, prepared: str = "") -> Run:
    return warm.start(words.split(), HERE.format(str(place)) + TINY + prepared)


def good(warm: Warm, place: Path, words: str) -> None:
    run = start(warm, place, words)
    assert run.wait() == 0, run.told


def names(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()}


def content(path: Path) -> dict[str, str]:
    """What a file or a folder holds; of a model what it computes, without the seconds."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {
        str(file.relative_to(path.parent)): vr.load(file).sha256
        if file.suffix == ".safetensors"
        else hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file()
    }


def prepare_inputs(warm: Warm, place: Path, command: Command) -> None:
    (place / "recipe.json").write_text('{"tasks": [{"kind": "denoise"}]}')
    if "in.vaec" in command.words:
        good(warm, place, "compress clean.tif -o in.vaec")


def prepare(warm: Warm, place: Path, command: Command) -> dict[str, str]:
    """What a command makes where nothing hinders it."""
    prepare_inputs(warm, place, command)
    good(warm, place, command.words)
    return content(place / command.target)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_the_old_one_or_the_new_one(warm: Warm, place: Path, name: str) -> None:
    command = FILES[name]
    expected = prepare(warm, place, command)
    target = place / command.target
    is_model = target.suffix == ".safetensors"
    old = vr.load(target).sha256 if is_model else "old"
    for fault, (prepared, status, said) in FAULTS.items():
        if fault in MORE and name not in VARIED:
            continue
        if not is_model:
            target.write_text(old)
        before = names(place)
        run = start(warm, place, f"{command.words} {command.again}", prepared)
        assert (run.wait(), "Traceback" in run.told) == (status, False), run.told
        assert_said(run, said)
        assert content(target) == expected if is_model else target.read_text() == old, fault
        if fault == "killed":
            assert len(left(place)) == 1, "the temporary"
        else:
            assert names(place) == before, fault
    good(warm, place, f"{command.words} {command.again}")
    assert content(target) == expected
    assert left(place) == []


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_goes_on_where_it_was(warm: Warm, place: Path, name: str) -> None:
    command = FOLDERS[name]
    expected = prepare(warm, place, command)
    target = place / command.target
    target.rename(place / "whole")
    for fault in ("full", "killed", "terminated"):
        prepared, status, said = FAULTS[fault]
        if name == "batch" or fault == "full":
            # The first file is written, or the orders of the store; the next is not.
            prepared = prepared.replace("n[0] += 1", "n[0] += 1\n    if n[0] == 1: return")
        if name == "batch":
            status = 1 if fault == "full" else status  # one of two files
            shutil.rmtree(target, ignore_errors=True)
        run = start(warm, place, command.words, prepared)
        assert (run.wait(), "Traceback" in run.told) == (status, False), run.told
        assert_said(run, said)
        if name == "batch":
            made = content(target)
            assert made.pop("out/0.tif") == expected["out/0.tif"]
            assert len(made) == (1 if fault == "killed" else 0), made
        else:
            assert not target.exists()
            assert fault == "killed" or "the same command goes on" in run.told
    good(warm, place, command.words)
    assert content(target) == expected
    assert left(place) == []
    assert not list(place.glob("*.partial"))


@pytest.mark.parametrize("name", ["denoise", "batch", "store", "compress", "train", "evaluate"])
def test_a_place_that_cannot_be_written_to(warm: Warm, place: Path, name: str) -> None:
    command = COMMANDS[name]
    inside = command.words.replace(command.target, f"closed/{command.target}")
    (place / "closed").mkdir()
    (place / "closed").chmod(0o555)
    before = names(place)
    run = start(warm, place, inside, NO_RIGHTS if os.geteuid() == 0 else "")
    assert run.wait() == 2, run.told
    (line,) = [each for each in run.told.splitlines() if each.startswith("error: ")]
    assert "closed" in line
    assert "Permission denied" in line
    assert names(place) == before
    assert names(place / "closed") == set()
    (place / "closed").chmod(0o755)
    good(warm, place, inside)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_where_a_folder_should_be(warm: Warm, place: Path, name: str) -> None:
    command = COMMANDS[name]
    prepare_inputs(warm, place, command)
    before = names(place)
    words = command.words.replace(f" {command.target}", f" in.tif/{command.target}")
    run = start(warm, place, words)
    assert run.wait() == 2, run.told
    assert run.told.startswith("error: "), run.told
    assert run.told.count("\n") == 1
    assert "in.tif" in run.told
    assert names(place) == before


GOING = """
from napari_vae_restore.images import image_files
def read(path, *, mapped=False, read=image_files.read_tiff):
    {}
image_files.read_tiff = read
"""
GONE_BEFORE = GOING.format("path.unlink(); return read(path, mapped=mapped)")
GONE_AFTER = GOING.format("got = read(path, mapped=mapped); path.unlink(); return got")
CUT = GOING.format("os.truncate(path, 500); return read(path, mapped=mapped)")


@pytest.mark.parametrize("name", ["denoise", "compress", "enhance", "encode", "train", "batch"])
def test_an_image_that_goes_away(warm: Warm, place: Path, name: str) -> None:
    command = COMMANDS[name]
    for prepared, may_succeed in ((CUT, False), (GONE_BEFORE, False), (GONE_AFTER, True)):
        kept = {path: path.read_bytes() for path in place.rglob("*.tif")}
        run = start(warm, place, command.words, "import os\n" + prepared)
        status = run.wait()
        assert status in ((0, 1, 2) if may_succeed else (1, 2)), run.told
        assert "Traceback" not in run.told
        if status:
            assert "in.tif" in run.told or "many" in run.told
            assert not [path for path in (place / command.target).glob("*") if path.is_file()]
        for path, pixels in kept.items():
            path.write_bytes(pixels)
    good(warm, place, f"{command.words} {command.again}")


VANISHED = """
import shutil
from napari_vae_restore.stores import work
def read(*given, read=work.read_window):
    shutil.rmtree("in.zarr", ignore_errors=True)
    return read(*given)
work.read_window = read
"""


def test_a_store_that_vanishes_is_not_zeros(warm: Warm, place: Path) -> None:
    command = FOLDERS["store"]
    expected = prepare(warm, place, command)
    (place / "out.zarr").rename(place / "whole")
    shutil.copytree(place / "in.zarr", place / "kept")
    run = start(warm, place, command.words, VANISHED)
    assert run.wait() == 2, run.told
    assert "it has vanished; bring it back" in run.told
    assert not (place / "out.zarr").exists()
    (place / "kept").rename(place / "in.zarr")
    good(warm, place, command.words)
    assert content(place / "out.zarr") == expected


@pytest.mark.parametrize("name", ["denoise", "compress", "train", "batch", "store"])
def test_two_at_once_do_no_harm(warm: Warm, place: Path, name: str) -> None:
    command = COMMANDS[name]
    expected = prepare(warm, place, command)
    target = place / command.target
    if target.is_dir():
        target.rename(place / "whole")
    again = "" if name == "store" else command.again
    runs = [start(warm, place, f"{command.words} {again}") for _ in range(2)]
    states = sorted(run.wait() for run in runs)
    if name == "store":
        assert states in ([0, 0], [0, 2]), [run.told for run in runs]
    else:
        assert states == [0, 0], [run.told for run in runs]
    assert content(target) == expected
    assert left(place) == []


SHORT = """
import re, resource
used = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + {0} * 2**20, used + {0} * 2**20))
"""


@pytest.mark.parametrize("name", ["denoise", "batch", "compress", "encode", "train"])
def test_out_of_memory(warm: Warm, place: Path, name: str) -> None:
    command = COMMANDS[name]
    run = start(warm, place, command.words, SHORT.format(2))
    status = run.wait()
    assert status in (0, 1, 2), run.told
    assert "Traceback" not in run.told
    if status:
        assert "memory" in run.told, run.told
    assert left(place) == []
    good(warm, place, f"{command.words} {command.again}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 KB, of which 6 are left; only root can make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    (disk / "ballast").write_bytes(bytes(18_000))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full(warm: Warm, place: Path, small_disk: Path) -> None:
    for name in ("super-resolve", "store", "train", "batch"):
        command = COMMANDS[name]
        words = command.words.replace(f" {command.target}", f" {small_disk / command.target}")
        run = start(warm, place, words)
        assert run.wait() == (1 if name == "batch" else 2), run.told
        assert "the disk is full: make room" in run.told
        assert [path for path in small_disk.rglob("*") if path.is_file()] == [
            small_disk / "ballast"
        ]


def assert_said(run: Run, said: str) -> None:
    assert any(words in run.told for words in said.split("|")), run.told


def left(place: Path) -> list[str]:
    """Temporary files."""
    return [path.name for path in place.rglob(".*.tmp")]
