"""Trainings that another program watches, stops or kills."""

import json
import os
import random
import subprocess
import sys
import time

import pytest

import napari_vae_restore as vr
from napari_vae_restore.cli import runs
from napari_vae_restore.models.files import load_checkpoint
from napari_vae_restore.training import supervision
from napari_vae_restore.training.weight_updates import WeightUpdates

NOISE = "gaussian:25"
TINY = vr.HVAEConfig(levels=2, width=8, latent=4)

# The program with a network that takes milliseconds, and checkpoints all the time.
CHILD = """
import sys
from napari_vae_restore import HVAEConfig
from napari_vae_restore.cli import main, runs
from napari_vae_restore.training import supervision
supervision.HVAEConfig = lambda: HVAEConfig(levels=2, width=8, latent=4)
runs.WATCHED_SAVE_SECONDS, runs.MAX_SAVE_SHARE = 0.1, 1.0
sys.exit(main())
"""


@pytest.fixture
def events(run, monkeypatch):
    """Run a training here with a tiny network: exit status, its events, stderr."""
    monkeypatch.setattr(supervision, "HVAEConfig", lambda: TINY)

    def command(*words):
        status, out, err = run(*words, "--json-lines")
        return (
            status,
            [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()],
            err,
        )

    return command


@pytest.fixture
def words(folder, tmp_path):
    """A training of a few steps, as words after the program's name."""
    images, path = folder / "noisy.tif", tmp_path / "model.safetensors"
    return ["train", images, "-o", path, "--steps", 4, "--noise", NOISE]


def test_a_run_in_lines(events, words):
    status, found, err = events(*words)
    assert (status, err) == (0, "")
    started, *progress, saved = found
    assert started == {
        "event": "started",
        "n_planes": 1,
        "noise": "gaussian:25.0",
        "supervision": "noisy images",
        "step": 0,
    }
    assert {each["event"] for each in progress} == {"progress"}
    assert progress[-1]["fraction"] == 1
    assert progress[-1]["held_out"] is not None
    steps = [step for each in progress for step in each["steps"]]
    assert len(steps) == 4
    assert steps[-1] == [progress[-1]["seconds"], progress[-1]["loss"]]
    assert len(progress[-1]["kl"]) == 2
    assert saved == {"event": "saved", "path": str(words[3]), "complete": True}
    assert vr.load(words[3]).record.n_steps > 0


def test_what_is_not_finite_is_null(events, words, monkeypatch):
    monkeypatch.setattr(vr.Training, "_fraction", lambda self: float(self.step >= 4))
    _, found, _ = events(*words)
    assert found[1]["seconds_left"] is None


def test_a_failure_is_told(events, words, monkeypatch):
    def fail_at_third_step(self, fraction, take=WeightUpdates.step):
        if fraction >= 0.5:
            raise RuntimeError("cuda error")
        return take(self, fraction)

    monkeypatch.setattr(WeightUpdates, "step", fail_at_third_step)
    status, found, _ = events(*words)
    assert status == 2
    *_, saved, failed = found
    assert (saved["event"], saved["complete"]) == ("saved", False)
    assert failed["event"] == "failed"
    assert "cuda error" in failed["message"]


def test_unusable_images_are_told(events, words, tmp_path):
    (tmp_path / "bad.tif").write_bytes(b"II*")
    words[1] = tmp_path / "bad.tif"
    status, found, _ = events(*words)
    assert status == 2
    assert [each["event"] for each in found] == ["failed"]
    assert "bad.tif" in found[0]["message"]


def test_checkpoints_come_at_intervals(run, words, monkeypatch):
    monkeypatch.setattr(supervision, "HVAEConfig", lambda: TINY)
    written = []

    def save(self, path, save=vr.Training.save_checkpoint):
        written.append((self.step, path))
        save(self, path)

    monkeypatch.setattr(vr.Training, "save_checkpoint", save)
    monkeypatch.setattr(runs, "SAVE_SECONDS", 0)
    monkeypatch.setattr(runs, "MAX_SAVE_SHARE", 1e9)
    assert run(*words)[0] == 0
    assert written == [(1, words[3]), (2, words[3]), (3, words[3])]
    with pytest.raises(vr.ModelFileError, match="holds a finished model"):
        load_checkpoint(words[3])


def test_a_checkpoint_that_cannot_be_written_ends_nothing(run, words, monkeypatch):
    monkeypatch.setattr(supervision, "HVAEConfig", lambda: TINY)

    def save(self, path):
        raise vr.ModelFileError("cannot write it: no space left")

    monkeypatch.setattr(vr.Training, "save_checkpoint", save)
    monkeypatch.setattr(runs, "SAVE_SECONDS", 0)
    status, _, err = run(*words)
    assert status == 0
    assert "no space left; training goes on" in err


def child(words):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, words), "--json-lines"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        text=True,
    )


def events_until(process, event):
    """Read lines up to an event, which is returned."""
    for line in process.stdout:
        found = json.loads(line)
        if found["event"] == event:
            return found
    raise AssertionError(f"no event {event}")


def test_killed_and_resumed_is_as_unbroken(events, words):
    """``kill -9`` between two lines, then a stop by a line: no file is torn, nothing lost."""
    words[words.index("--steps") + 1] = 150
    output = words[3]
    unbroken = output.with_stem("unbroken")
    assert events(*words[:3], unbroken, *words[4:])[0] == 0
    with child(words) as process:
        process.stdin.close()  # whoever started it is gone: it goes on
        events_until(process, "saved")
        time.sleep(random.Random("killed").random() / 4)  # the same moment in every run
        process.kill()
    before = load_checkpoint(output)[2]["step"]
    assert 0 < before < 150
    resumed = [*words[:4], "--resume", output, "--overwrite", "--noise", NOISE]
    with child(resumed) as process:
        assert events_until(process, "started")["step"] == before
        events_until(process, "progress")
        process.stdin.write("stop\n")
        process.stdin.flush()
        last = json.loads(process.stdout.read().splitlines()[-1])
        assert process.wait(60) == 130
    assert (last["event"], last["complete"]) == ("saved", False)
    assert load_checkpoint(output)[2]["step"] > before
    assert events(*resumed)[0] == 0
    # A stopped run is judged once more where it was stopped, and keeps that if it is best.
    finished, whole = vr.load(output), vr.load(unbroken)
    # Another number of threads at the moment rounds otherwise.
    assert finished.record.held_out >= whole.record.held_out - 1e-3
