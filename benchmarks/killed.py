"""Kill a training at random moments, resume it, and compare with an unbroken one.

Each round starts ``vae-restore train``, ends it by ``kill -9`` (on Windows by its like),
looks at the file, goes on with ``--resume``, and prints what held-out data say in the end::

    python benchmarks/killed.py --rounds 10 --steps 200
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import napari_vae_restore as vr
from napari_vae_restore.image_files import read_image, write_image
from napari_vae_restore.models.files import load_checkpoint
from napari_vae_restore.samples import sample_path

# The program with a network of milliseconds a step, and a checkpoint every half second, so
# that many kills hit the writing of one.
PROGRAM = """
import sys
from napari_vae_restore import HVAEConfig
from napari_vae_restore.cli import main, runs
from napari_vae_restore.training import lessons
lessons.HVAEConfig = lambda: HVAEConfig(levels=2, width=8, latent=4)
runs.WATCHED_SAVE_SECONDS, runs._MAX_SAVE_SHARE = 0.5, 1.0
sys.exit(main())
"""
NOISE = "gaussian:60"
SIDE = 128


def main() -> None:
    """Run the rounds; the exit status says whether all ended as the unbroken run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    moments = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "cells.tif"
        write_image(images, read_image(sample_path("cells")).data[:SIDE, :SIDE], "YX")
        whole = folder / "whole.safetensors"
        started = time.monotonic()
        training_seconds = finish(fresh(images, whole, given.steps))
        expected = vr.load(whole).record
        print(
            f"unbroken: held-out ELBO {expected.held_out:.6f} nats per pixel, best after "
            f"{expected.n_steps} of {given.steps} steps, {time.monotonic() - started:.0f} s"
        )
        alike = 0
        for number in range(1, given.rounds + 1):
            output = folder / f"{number}.safetensors"
            words = fresh(images, output, given.steps)
            while True:
                killed_after = moments.uniform(0, training_seconds)
                if kill(words, killed_after):
                    break
                output.unlink()  # it was faster than the unbroken one, and had ended
            step = 0
            if output.exists():
                step = load_checkpoint(output)[2]["step"]  # raises if the file is torn
                words = [*words[:4], "--resume", output, "--overwrite", "--noise", NOISE]
            finish(words)
            record = vr.load(output).record
            alike += record.held_out == expected.held_out
            print(
                f"round {number}: killed after {killed_after:.2f} s, went on from step {step}, "
                f"held-out ELBO {record.held_out:.6f}, best after {record.n_steps} steps"
            )
        left = [path.name for path in folder.glob(".*.tmp")]
    print(f"{alike} of {given.rounds} rounds ended exactly as the unbroken run")
    print(f"temporary files of checkpoints that a kill hit: {len(left)}")
    sys.exit(alike < given.rounds)


def fresh(images: Path, output: Path, steps: int) -> list[Any]:
    """A training from the beginning, as words after the program's name."""
    return ["train", images, "-o", output, "--steps", steps, "--noise", NOISE]


def started(words: list[Any]) -> subprocess.Popen[str]:
    """Start a training that tells what it does."""
    command = [sys.executable, "-c", PROGRAM, *map(str, words), "--json-lines"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr, text=True
    )


def events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What it tells."""
    assert process.stdout is not None
    return (json.loads(line) for line in process.stdout if line.endswith("\n"))


def kill(words: list[Any], seconds: float) -> bool:
    """Start a training and kill it some seconds after its first step; whether it was time."""
    with started(words) as process:
        next(event for event in events(process) if event["event"] == "progress")
        time.sleep(seconds)
        process.kill()
        return not any(event.get("complete") for event in events(process))


def finish(words: list[Any]) -> float:
    """Run a training to its end; the seconds between its first step and its last."""
    with started(words) as process:
        told = list(events(process))
    last = told[-1]
    if last["event"] != "saved" or not last["complete"]:
        raise SystemExit(f"expected a finished run, and the last line was {last}")
    seconds = [event["seconds"] for event in told if event["event"] == "progress"]
    return float(seconds[-1] - seconds[0])


if __name__ == "__main__":
    main()
