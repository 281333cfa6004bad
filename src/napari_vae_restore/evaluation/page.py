"""An evaluation, or a sweep, as one page of HTML that needs no other file."""

from __future__ import annotations

from typing import Final

from napari_vae_restore.evaluation.coverage import Calibration
from napari_vae_restore.evaluation.figures import Evaluation
from napari_vae_restore.evaluation.grid import Sweep
from napari_vae_restore.reports.pages import render
from napari_vae_restore.reports.plot import Curve, Plot

_SHOWN_SIDE: Final = 160  # screen pixels, at least, along the side of a small picture
_KINDS: Final = {"hvae": "hierarchical VAEs", "flat": "textbook VAEs"}


def page(evaluation: Evaluation) -> str:
    """The figures, KL and units of each level, calibration, images one by one, examples."""
    found = evaluation.calibration
    return render(
        "evaluation.html",
        title=f"{evaluation.model} – evaluation",
        rows=[row for row in evaluation.rows() if not row[0].endswith(" px")],
        kl=[(f"every {level.stride} px", level.kl) for level in evaluation.levels],
        active=[
            (f"{level.active} of {level.n_units}", float(level.active))
            for level in evaluation.levels
            if level.active is not None
        ],
        calibration=[] if found is None else _calibration(found),
        images=_images(evaluation),
        examples=evaluation.examples,
        shown_side=_SHOWN_SIDE,
    )


def sweep_page(sweep: Sweep) -> str:
    """The table of all members, with the recommended one marked, and the plots."""
    chosen = sweep.recommended
    return render(
        "sweep.html",
        title=f"Sweep: {len(sweep.members)} {_KINDS[sweep.kind]}",
        rows=[
            ("Recommended", chosen.member.name),
            ("Rule", sweep.rule),
            ("Trained", f"{sweep.seconds:.0f} s each, on the same images"),
            ("Measured on", f"{sweep.held_out}, held out of every training"),
        ],
        members=sweep.table(),
        chosen=sweep.members.index(chosen),
        plots=list(sweep.plots().values()),
    )


def _calibration(found: Calibration) -> list[Plot]:
    coverage = Plot(
        (Curve("intervals", found.levels, found.coverage),),
        "share that intervals promise",
        "share of pixels that they contain",
        diagonal=True,
    )
    error = Plot(
        (Curve("tenths of pixels", found.expected_error, found.error),),
        "error to be expected, intensity units",
        "root mean square error",
        diagonal=True,
    )
    return [coverage, error]


def _images(evaluation: Evaluation) -> list[list[str]]:
    """A table of the images, with its heading."""
    heading = ["Image", "ELBO", "rebuilt: PSNR/dB", "SSIM"]
    if evaluation.restoration is not None:
        heading += ["before: PSNR/dB", "SSIM", "restored: PSNR/dB", "SSIM"]
    rows = [heading]
    for each in evaluation.images:
        row = [each.name, f"{each.elbo:.4f}"]
        for found in (each.reconstruction, each.before, each.restoration):
            if found is not None:
                row += [f"{found.psnr:.2f}", f"{found.ssim:.4f}"]
        rows.append(row)
    return rows
