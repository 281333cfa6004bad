"""``vae-restore sweep``: the latent size, chosen by experiment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from napari_vae_restore.cli import options, reports, terminal
from napari_vae_restore.errors import InputError

_Number = TypeVar("_Number", int, float)

# Options that `iter_sweep` takes under the same names.
_PASSED = ("simulate", "budget", "kind", "size", "noise", "axes", "seed", "device")


@dataclass(frozen=True, slots=True)
class SweepCommand:
    """Train a small grid of VAEs in a given time, and recommend one.

    Ctrl-C stops it; the same command goes on with what is not finished.
    """

    images: options.TrainingImages
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="For models, figures, plots and the report; a sweep that was broken off "
            "goes on in its folder.",
        ),
    ]
    budget: Annotated[
        str, typer.Option(metavar="TIME", help="Of all trainings together, such as 10min.")
    ] = "10min"
    kind: Annotated[
        str, typer.Option(metavar="hvae|flat", help="Hierarchical, or that of the textbooks.")
    ] = "hvae"
    latent: Annotated[
        str | None,
        typer.Option(
            metavar="N,N",
            help="Latent channels of every level, or lengths of the textbook VAE's vector.",
            show_default="4,16; flat: 2,8,32",
        ),
    ] = None
    beta: Annotated[str, typer.Option(metavar="B,B", help="Weights of the KL in training.")] = (
        "1"
    )
    levels: Annotated[
        str | None,
        typer.Option(metavar="L,L", help="Of the hierarchical VAE.", show_default="3,4"),
    ] = None
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Side of what the textbook VAE sees, a multiple of 4.",
            show_default="that of small images, or 32",
        ),
    ] = None
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="REF",
            help="Clean images of the same names, by which denoising is measured.",
        ),
    ] = None
    simulate: Annotated[
        str | None,
        typer.Option(
            metavar="NOISE",
            help="Take IN as clean, and add this noise to it, such as gaussian:25.",
        ),
    ] = None
    noise: Annotated[str, typer.Option(metavar="NOISE", help=f"{options.NOISE_FORMS}.")] = (
        "auto"
    )
    axes: options.Axes = None
    seed: options.Seed = 0
    device: options.Device = "auto"

    def run(self) -> None:
        grid: dict[str, Any] = {
            "latent": _numbers("--latent", self.latent, int),
            "beta": _numbers("--beta", self.beta, float),
            "levels": _numbers("--levels", self.levels, int),
        }
        from napari_vae_restore.evaluation.sweep import RECOMMENDED, REPORT, iter_sweep

        steps = iter_sweep(
            self.images,
            self.output,
            references=self.reference,
            **{name: getattr(self, name) for name in _PASSED},
            **grid,
        )
        found = terminal.run_steps(steps, "Sweep", lambda step: (step.fraction, step.member))
        terminal.table(found.table())
        model = self.output / RECOMMENDED
        words = ["denoise", self.images, "--model", model]
        terminal.report(
            [
                ("Recommended", f"{found.recommended.member.name}: {found.rule}"),
                ("Measured on", f"{found.held_out}; {found.seconds:.0f} s of training each"),
                ("Model", str(model)),
                ("Report", str(self.output / REPORT)),
                ("Next", reports.as_typed("vae-restore", *words)),
            ]
        )


def _numbers(option: str, text: str | None, kind: type[_Number]) -> list[_Number] | None:
    try:
        return None if text is None else [kind(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"Expected {option} as numbers with commas, such as 2,8,32, but {text!r} came."
        ) from None
