"""``vae-restore calibrate``: a model's uncertainty, checked against errors and corrected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

import napari_vae_restore as vr
from napari_vae_restore.cli import options, terminal, train
from napari_vae_restore.errors import InputError


@dataclass(frozen=True, slots=True)
class CalibrateCommand:
    """Measure how often a model's intervals contain the truth, and correct them.

    By images that it has not learned from: clean ones for measured ones, two shots of the
    same scenes, or clean ones on which the tasks are simulated.
    """

    images: options.TrainingImages
    output: options.ModelOutput
    second: train.Second = None
    clean: train.CleanImages = None
    simulate: train.Simulated = None
    model: Annotated[
        str, typer.Option(metavar="default|FILE", help="The model to calibrate.")
    ] = "default"
    noise: train.Noise = None
    axes: options.Axes = None
    seed: options.Seed = 0
    device: options.Device = "auto"
    skip_unreadable: train.SkipUnreadable = False
    overwrite: options.Overwrite = False

    def run(self) -> None:
        train.checked_files(self)
        if self.second is None and self.clean is None and self.simulate is None:
            raise InputError(
                "Expected --clean, --second or --simulate: without any truth nothing can be "
                "calibrated."
            )
        source = train.source_of(self)
        with terminal.working("Calibrating"):
            found = vr.calibrate(
                source,
                self.model,
                noise=self.noise,
                axes=self.axes,
                seed=self.seed,
                device=self.device,
                skip_unreadable=self.skip_unreadable,
            )
        found.save(self.output, overwrite=self.overwrite)
        rows = [
            (
                kind.capitalize(),
                f"90 % within {spread.factor(0.9):.2f} expected errors, "
                f"by {spread.n_pixels} pixels",
            )
            for kind, spread in found.spreads.items()
        ]
        terminal.report([*rows, ("Saved", str(self.output))])
