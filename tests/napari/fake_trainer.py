"""Stands for ``vae-restore train --json-lines`` where a test needs no network.

It takes the command's words and behaves alike: a log on stdout, a checkpoint now and then,
an end by a line "stop" or SIGTERM. The model is that of ``FAKE_MODEL``; ``FAKE_END`` is
"fail" or "die" for another end than the usual one.
"""

import itertools
import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

STEP = 0.01


def main():
    words = sys.argv[1:]
    options = dict(itertools.pairwise(words))
    output = Path(options["-o"])
    budget = float(options.get("--budget", "0.5 s").removesuffix(" s"))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=listen, args=(stop,), daemon=True).start()
    assert Path(words[1]).exists(), words[1]
    tell("started", n_planes=1, noise="gaussian:8.0", supervision="noisy images", step=0)
    state = output.with_name("state.txt")
    step = int(state.read_text()) if "--resume" in options else 0
    n_steps = step + round(budget / STEP)
    while step < n_steps and not stop.is_set():
        step += 1
        time.sleep(STEP)
        held_out = -1.0 + step / 1000 if step % 5 == 0 else None
        tell(
            "progress",
            step=step,
            fraction=step / n_steps,
            seconds=step * STEP,
            seconds_left=None if step == 1 else (n_steps - step) * STEP,
            loss=2.0 / step,
            kl=[0.2, 0.1],
            beta=1.0,
            learning_rate=0.01,
            held_out=held_out,
            held_out_first=None,
            steps=[[step * STEP, 2.0 / step if step != 2 else None]],
        )
        if step % 10 == 0 and os.environ.get("FAKE_END") != "fail":
            save(output, state, step)
            tell("saved", path=str(output), complete=False)
    if end := os.environ.get("FAKE_END"):
        if end == "fail":
            tell("failed", message="out of memory on cpu")
        sys.exit("error: it died")
    save(output, state, step)
    tell("saved", path=str(output), complete=not stop.is_set())


def save(output, state, step):
    state.write_text(str(step))
    temporary = output.with_suffix(".tmp")
    shutil.copy(os.environ["FAKE_MODEL"], temporary)
    temporary.replace(output)


def tell(event, **values):
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def listen(stop):
    while part := os.read(0, 100):
        if b"stop" in part:
            stop.set()


if __name__ == "__main__":
    main()
