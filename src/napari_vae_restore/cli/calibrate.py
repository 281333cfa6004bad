"""``vae-restore calibrate``: a model's uncertainty, checked against errors and corrected."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_vae_restore.cli import options, sources, terminal
from napari_vae_restore.errors import InputError

Model = Annotated[str, typer.Option(metavar="default|FILE", help="The model to calibrate.")]


def calibrate(
    images: sources.Images,
    output: sources.Output,
    second: sources.Second = None,
    clean: sources.CleanImages = None,
    simulate: sources.Simulated = None,
    model: Model = "default",
    noise: sources.Noise = None,
    axes: options.Axes = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    skip_unreadable: sources.SkipUnreadable = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Measure how often a model's intervals contain the truth, and correct them.

    By images that it has not learned from: clean ones for measured ones, two shots of the
    same scenes, or clean ones on which the tasks are simulated.
    """
    inputs = sources.files_of(images)
    sources.check_model_path(output, inputs, overwrite=overwrite)
    if second is None and clean is None and simulate is None:
        raise InputError(
            "Expected --clean, --second or --simulate: without any truth nothing can be "
            "calibrated."
        )
    source = sources.source_of(images, second, clean, simulate)
    from napari_vae_restore.training.error_calibration import calibrate as measured

    with terminal.working("Calibrating"):
        found = measured(
            source,
            model,
            noise=noise,
            axes=axes,
            seed=seed,
            device=device,
            skip_unreadable=skip_unreadable,
        )
    found.save(output, overwrite=overwrite)
    terminal.report(
        [
            *(
                (
                    kind.capitalize(),
                    f"90 % within {spread.factor(0.9):.2f} expected errors, "
                    f"by {spread.n_pixels} pixels",
                )
                for kind, spread in found.spreads.items()
            ),
            ("Saved", str(output)),
        ]
    )
