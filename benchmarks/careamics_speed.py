"""Seconds that careamics' default Noise2Void U-Net takes for a picture: see speed.py.

python careamics_speed.py PICTURE.npy WORK THREADS

Trained for a moment only: what its weights are does not change the time.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch
from careamics import CAREamist
from careamics.config import create_n2v_config

from noise2void import BATCH, PATCH, Deadline

SECONDS = 2.0


def main() -> None:
    path, work, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    picture = np.load(path).astype(np.float32)
    config = create_n2v_config(
        experiment_name="speed",
        data_type="array",
        axes="YX",
        patch_size=[PATCH, PATCH],
        batch_size=BATCH,
        num_epochs=1,
    )
    careamist = CAREamist(config, work_dir=work, callbacks=[Deadline(SECONDS)])
    careamist.train(train_data=picture[:512, :512])
    careamist.predict(picture[:256, :256], axes="YX")
    started = time.monotonic()
    careamist.predict(picture, axes="YX")
    print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
