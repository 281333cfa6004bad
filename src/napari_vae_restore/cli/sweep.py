"""``vae-restore sweep``: the latent size, chosen by experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_vae_restore.cli import options, reports, runs, terminal
from napari_vae_restore.cli.sources import Images
from napari_vae_restore.errors import InputError

Output = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="FOLDER",
        help="For models, figures, plots and the report; a sweep that was broken off "
        "goes on in its folder.",
    ),
]
Budget = Annotated[
    str, typer.Option(metavar="TIME", help="Of all trainings together, such as 10min.")
]
Kind = Annotated[
    str, typer.Option(metavar="hvae|flat", help="Hierarchical, or that of the textbooks.")
]
Latent = Annotated[
    str | None,
    typer.Option(
        metavar="N,N",
        help="Latent channels of every level, or lengths of the textbook VAE's vector.",
        show_default="4,16; flat: 2,8,32",
    ),
]
Beta = Annotated[str, typer.Option(metavar="B,B", help="Weights of the KL in training.")]
Levels = Annotated[
    str | None, typer.Option(metavar="L,L", help="Of the hierarchical VAE.", show_default="3,4")
]
Size = Annotated[
    int | None,
    typer.Option(
        metavar="PIXELS",
        help="Side of what the textbook VAE sees, a multiple of 4.",
        show_default="that of small images, or 32",
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="REF", help="Clean images of the same names, by which denoising is measured."
    ),
]
Simulate = Annotated[
    str | None,
    typer.Option(
        metavar="NOISE", help="Take IN as clean, and add this noise to it, such as gaussian:25."
    ),
]
Noise = Annotated[str, typer.Option(metavar="NOISE", help=f"{options.NOISE_FORMS}.")]


def sweep(
    images: Images,
    output: Output,
    budget: Budget = "10min",
    kind: Kind = "hvae",
    latent: Latent = None,
    beta: Beta = "1",
    levels: Levels = None,
    size: Size = None,
    reference: Reference = None,
    simulate: Simulate = None,
    noise: Noise = "auto",
    axes: options.Axes = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
) -> None:
    """Train a small grid of VAEs in a given time, and recommend one.

    Ctrl-C stops it; the same command goes on with what is not finished.
    """
    grid = {
        "latent": None if latent is None else [*map(int, _numbers("--latent", latent, int))],
        "beta": _numbers("--beta", beta, float),
        "levels": None if levels is None else [*map(int, _numbers("--levels", levels, int))],
    }
    from napari_vae_restore.evaluation.sweep import RECOMMENDED, REPORT, iter_sweep

    steps = iter_sweep(
        images,
        output,
        references=reference,
        simulate=simulate,
        budget=budget,
        kind=kind,
        size=size,
        noise=noise,
        axes=axes,
        seed=seed,
        device=device,
        **grid,
    )
    found = runs.run_steps(steps, "Sweep", lambda step: (step.fraction, step.member))
    terminal.table(found.table())
    words = ["denoise", images, "--model", output / RECOMMENDED]
    terminal.report(
        [
            ("Recommended", f"{found.recommended.member.name}: {found.rule}"),
            ("Measured on", f"{found.held_out}; {found.seconds:.0f} s of training each"),
            ("Model", str(output / RECOMMENDED)),
            ("Report", str(output / REPORT)),
            ("Next", reports.as_typed("vae-restore", *words)),
        ]
    )


def _numbers(option: str, text: str, kind: type[int] | type[float]) -> list[float]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"Expected {option} as numbers with commas, such as 2,8,32, but {text!r} came."
        ) from None
