"""A sweep as one page of HTML that needs no other file."""

from __future__ import annotations

from napari_vae_restore.evaluation.grid import Sweep
from napari_vae_restore.reports.pages import render

_WORDS = {"hvae": "hierarchical VAEs", "flat": "textbook VAEs"}


def page(sweep: Sweep) -> str:
    """The table of all members, with the recommended one marked, and the plots."""
    chosen = sweep.recommended
    return render(
        "sweep.html",
        title=f"Sweep: {len(sweep.members)} {_WORDS[sweep.kind]}",
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
