"""Noise2Void by careamics, in an environment of its own: see adapting.py.

python noise2void.py TRAIN.npz TEST.npz OUT.npz SECONDS THREADS
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from careamics import CAREamist
from careamics.config import create_n2v_config
from pytorch_lightning.callbacks import Callback

PATCH, BATCH = 64, 16
MANY_EPOCHS = 10_000
MULTIPLE = 4
"""Of which the sides of a picture must be; the default network halves them twice."""


class Deadline(Callback):
    """Ends the training when its wall time is over."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def on_train_batch_end(self, trainer: object, *_: object) -> None:
        if time.monotonic() > self._end:
            trainer.should_stop = True
            trainer.limit_val_batches = 0


def load(path: str) -> list[np.ndarray]:
    with np.load(path) as images:
        return [images[key] for key in images.files]


def predict(careamist: CAREamist, image: np.ndarray) -> np.ndarray:
    """A picture of any size, reflected at its end where the network needs more."""
    more = [(0, -side % MULTIPLE) for side in image.shape]
    found = careamist.predict(np.pad(image, more, mode="reflect"), axes="YX")[0][0].squeeze()
    return found[: image.shape[0], : image.shape[1]]


def main() -> None:
    train_path, test_path, out, seconds, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    deadline = Deadline(float(seconds))
    train, test = load(train_path), load(test_path)
    config = create_n2v_config(
        experiment_name="n2v",
        data_type="array",
        axes="YX" if len(train) == 1 else "SYX",
        patch_size=[PATCH, PATCH],
        batch_size=BATCH,
        num_epochs=MANY_EPOCHS,
    )
    work = Path(out).parent
    careamist = CAREamist(config, work_dir=work, callbacks=[deadline])
    careamist.train(train_data=train[0] if len(train) == 1 else np.stack(train))
    predicted = [predict(careamist, image) for image in test]
    np.savez(out, *predicted)


if __name__ == "__main__":
    main()
