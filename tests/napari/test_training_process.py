"""Trainings in processes of their own, without a window."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from napari_vae_restore._napari.messages import (
    Preview,
    Source,
    TrainingFailed,
    TrainingSaved,
    TrainingStarted,
    TrainingUpdate,
)
from napari_vae_restore._napari.training import process as training_process
from napari_vae_restore._napari.training import runs as training_runs
from napari_vae_restore._napari.training.process import Tail, TrainingProcess, messages_of
from napari_vae_restore._napari.training.runs import (
    ADAPT,
    CLEAN,
    PAIRS,
    SCRATCH,
    SHOTS,
    Run,
    TrainingRequest,
)
from napari_vae_restore._napari.training.steps import resume_steps, start_steps, watch_steps
from napari_vae_restore.errors import TrainingError

PATIENCE = 30
REQUEST = TrainingRequest(SCRATCH, budget="0.5 s", noise="gaussian:8", name="mine")


@pytest.fixture
def source(make_image):
    return Source(make_image(), "YX")


@pytest.fixture
def started(fake_trainer, source):
    """Start a training; its steps once its process has told something."""

    def start(budget="60 s", stop=None):
        request = replace(REQUEST, budget=budget)
        steps = start_steps(source, None, request, "default", None, stop or threading.Event())
        runs = [message for message in until(steps, TrainingUpdate) if isinstance(message, Run)]
        return steps, runs[0]

    return start


def until(steps, kind):
    """Messages up to one of a kind."""
    messages = []
    for message in steps:
        messages.append(message)
        if isinstance(message, kind):
            return messages
    raise AssertionError(f"no {kind}")


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (ADAPT, "--start default"),
        (SHOTS, "--second /b --start default"),
        (PAIRS, "--clean /b --start default"),
        (CLEAN, "--simulate denoise,inpaint,super-resolve --start default"),
        (SCRATCH, ""),
    ],
)
def test_requests_are_commands(way, expected, tmp_path):
    request = TrainingRequest(way, "/a", "/b", budget="90 s", seed=3, noise="gaussian:2")
    output = tmp_path / "m.safetensors"
    given = f"{expected} --noise gaussian:2 --device auto --budget".split()
    assert request.words(output, resumed=False) == [
        *f"train /a -o {output} --json-lines".split(),
        *given,
        "90 s",
        "--seed",
        "3",
    ]
    resumed = request.words(output, resumed=True)
    assert "--budget" not in resumed
    assert "--seed" not in resumed
    assert resumed[-2:] == ["--resume", str(output)]


def test_lines_become_messages():
    line = {
        "event": "progress",
        "step": 2,
        "fraction": 0.5,
        "seconds": 2.0,
        "seconds_left": None,
        "loss": 1.5,
        "kl": [0.2, None],
        "held_out": None,
        "held_out_first": -3.0,
        "steps": [[1.0, 2.5], [2.0, None]],
    }
    judged = line | {"seconds": 3.0, "step": 3, "held_out": -2.0, "steps": [[3.0, 1.0]]}
    first, update, saved, other, failed = messages_of(
        [
            {"event": "started", "noise": "", "supervision": "pairs", "n_planes": 2, "step": 0},
            line,
            judged,
            {"event": "saved", "path": "/m.safetensors", "complete": False},
            line,
            {"event": "news of a later version"},
            {"event": "failed", "message": "out of memory"},
        ]
    )
    assert first == TrainingStarted("")
    assert update.seconds == (1.0, 2.0, 3.0)
    assert update.losses[::2] == (2.5, 1.0)
    assert update.losses[1] != update.losses[1]
    assert update.held_out == ((3.0, -2.0),)
    assert (update.step, update.held_out_first, update.seconds_left) == (3, -3.0, None)
    assert [at for at, _ in update.kl] == [2.0, 3.0]
    assert isinstance(saved, TrainingSaved)
    assert isinstance(other, TrainingUpdate)
    assert failed == TrainingFailed("out of memory")


def test_the_tail_waits_for_whole_lines_and_skips_torn_ones(tmp_path):
    path = tmp_path / "log.jsonl"
    tail = Tail(path)
    assert list(tail.read()) == []
    path.write_bytes(b'{"event": "a"}\n{"event"')
    assert list(tail.read()) == [{"event": "a"}]
    with path.open("ab") as log:
        log.write(b'\n{"event": "b"}\n[1]\n')
    assert list(tail.read()) == [{"event": "b"}]


def test_a_training_from_start_to_end(fake_trainer, source, drained, make_image):
    view = source, (slice(0, 64), slice(0, 64))
    steps = start_steps(source, None, REQUEST, "default", view, threading.Event())
    messages, ended = drained(steps)
    kinds = {type(message) for message in messages}
    assert {Run, TrainingStarted, TrainingUpdate, TrainingSaved, Preview} <= kinds
    assert sum(len(m.seconds) for m in messages if isinstance(m, TrainingUpdate)) == 50
    assert messages[-1].image.shape == (64, 64)
    assert ended.is_complete
    assert not ended.was_stopped
    assert ended.model.record.n_steps > 0
    assert ended.run.is_complete
    assert not ended.run.can_resume
    assert not list(ended.run.folder.glob("*.tif"))
    assert training_runs.offered_run() is None


def test_stopped_and_resumed(started, drained):
    stop = threading.Event()
    steps, run = started(stop=stop)
    stop.set()
    _, ended = drained(steps)
    assert ended.was_stopped
    assert not ended.is_complete
    assert run.can_resume
    assert training_runs.offered_run() == run
    messages, ended = drained(resume_steps(run, None, threading.Event()))
    assert ended.is_complete
    steps_told = [m.step for m in messages if isinstance(m, TrainingUpdate)]
    assert steps_told == sorted(steps_told)
    assert any(isinstance(m, TrainingUpdate) and len(m.seconds) > 1 for m in messages)


def test_stopped_before_it_began(fake_trainer, source, drained):
    stop = threading.Event()
    stop.set()
    _, ended = drained(start_steps(source, None, REQUEST, "default", None, stop))
    if ended.model is None:  # it may have been faster
        assert training_runs.known_runs() == []


def test_it_goes_on_unwatched_and_is_found_again(started, drained, monkeypatch):
    steps, run = started("2 s")
    steps.close()
    assert run.is_alive
    # Another window, which did not start it.
    children = dict(training_process._children)
    monkeypatch.setattr(training_process, "_children", {})
    found = training_runs.offered_run()
    assert found == run
    messages, ended = drained(resume_steps(found, None, threading.Event()))
    assert ended.is_complete
    assert sum(len(m.seconds) for m in messages if isinstance(m, TrainingUpdate)) == 200
    children[run.pid].communicate()


WINDOW = """
import os, sys, threading
from pathlib import Path
import numpy as np
from napari_vae_restore._napari.training import process as training_process
from napari_vae_restore._napari.training import runs as training_runs
from napari_vae_restore._napari.messages import Source, TrainingUpdate
from napari_vae_restore._napari.training.steps import start_steps
folder, script = sys.argv[1:]
training_runs.runs_folder = lambda: Path(folder)
training_process.PROGRAM = (sys.executable, script)
request = training_runs.TrainingRequest(training_runs.SCRATCH, budget="3 s", name="mine")
source = Source(np.random.default_rng(0).normal(100, 10, (32, 32)), "YX")
for message in start_steps(source, None, request, "default", None, threading.Event()):
    if isinstance(message, TrainingUpdate):
        os._exit(1)
"""


def test_it_outlives_a_window_that_crashes(fake_trainer, drained):
    folder, script = training_runs.runs_folder(), training_process.PROGRAM[1]
    words = [sys.executable, "-c", WINDOW, str(folder), script]
    assert subprocess.run(words, timeout=PATIENCE).returncode == 1
    run = training_runs.offered_run()
    assert run.is_alive
    _, ended = drained(resume_steps(run, None, threading.Event()))
    assert ended.is_complete


def test_another_window_can_stop_it(started, drained, monkeypatch):
    steps, run = started()
    steps.close()
    children = dict(training_process._children)
    monkeypatch.setattr(training_process, "_children", {})
    wait_for(run.model_path.exists)
    stop = threading.Event()
    watch = resume_steps(run, None, stop)
    until(watch, TrainingUpdate)
    stop.set()
    _, ended = drained(watch)
    assert ended.was_stopped
    assert run.can_resume
    children[run.pid].communicate()


def test_killed_from_outside(started, drained):
    steps, run = started()
    wait_for(run.model_path.exists)
    TrainingProcess(run).kill()
    _, ended = drained(steps)
    assert not ended.is_complete
    assert not ended.was_stopped
    assert run.can_resume


@pytest.mark.parametrize(("end", "message"), [("fail", "out of memory on cpu"), ("die", "")])
def test_a_bad_end(fake_trainer, source, drained, end, message):
    fake_trainer(end=end)
    steps = start_steps(source, None, REQUEST, "default", None, threading.Event())
    if end == "fail":
        with pytest.raises(TrainingError, match=message):
            drained(steps)
    else:
        assert not drained(steps)[1].is_complete


def test_a_process_that_dies_at_once_is_told_by_its_last_line(
    source, drained, monkeypatch, tmp_path
):
    monkeypatch.setattr(
        training_process, "PROGRAM", (training_process.PROGRAM[0], str(tmp_path / "none.py"))
    )
    steps = start_steps(source, None, REQUEST, "default", None, threading.Event())
    with pytest.raises(TrainingError, match="No such file"):
        drained(steps)


def test_a_program_that_cannot_be_started(source, drained, monkeypatch, tmp_path):
    monkeypatch.setattr(training_process, "PROGRAM", (str(tmp_path / "none"),))
    steps = start_steps(source, None, REQUEST, "default", None, threading.Event())
    with pytest.raises(TrainingError, match="could not be started"):
        drained(steps)
    assert training_runs.known_runs() == []


def test_the_model_to_start_from_is_in_a_file(fake_trainer, source, drained, tiny_model):
    request = replace(REQUEST, way=ADAPT)
    _, ended = drained(start_steps(source, None, request, tiny_model, None, threading.Event()))
    assert ended.run.request.start == str(ended.run.folder / "start.safetensors")


def test_a_number_that_was_given_to_another_process_is_not_taken_for_it(tmp_path):
    run = Run(tmp_path, REQUEST).with_process(os.getpid())
    assert run.is_alive
    assert not replace(run, pid_since=run.pid_since - 60).is_alive
    assert not replace(run, pid=None).is_alive


def test_only_the_last_runs_are_kept(tmp_path):
    for _ in range(training_runs.KEPT_RUNS + 2):
        Run(training_runs.new_folder(), REQUEST).write()
    unreadable = training_runs.new_folder() / "run.json"
    unreadable.write_text(json.dumps({"request": {"colour": 1}}))
    empty = training_runs.new_folder()
    os.utime(empty, (0, 0))
    training_runs.clean_up()
    assert len(training_runs.known_runs()) == training_runs.KEPT_RUNS
    assert unreadable.exists()
    assert not empty.exists()


def test_watching_what_has_ended_gives_its_model(started, drained):
    steps, run = started("0.3 s")
    steps.close()
    wait_for(lambda: run.is_complete)
    _, ended = drained(watch_steps(TrainingProcess(run), None, threading.Event()))
    assert ended.is_complete
    assert ended.model is not None
