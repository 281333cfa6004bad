"""A sweep as one page of HTML that needs no other file."""

from __future__ import annotations

from html import escape

from napari_vae_restore.evaluation.grid import Sweep
from napari_vae_restore.reports import pages

_WORDS = {"hvae": "hierarchical VAEs", "flat": "textbook VAEs"}


def page(sweep: Sweep) -> str:
    """The table of all members, with the recommended one marked, and the plots."""
    chosen = sweep.recommended
    number = sweep.members.index(chosen)
    plots = "".join(plot.svg() for plot in sweep.plots().values())
    title = f"Sweep: {len(sweep.members)} {_WORDS[sweep.kind]}"
    body = f"""<h1>{escape(title)}</h1>
{
        pages.facts(
            [
                ("Recommended", chosen.member.name),
                ("Rule", sweep.rule),
                ("Trained", f"{sweep.seconds:.0f} s each, on the same images"),
                ("Measured on", f"{sweep.held_out}, held out of every training"),
            ]
        )
    }
<h2>Members</h2>
<p>ELBO and KL in nats per pixel and channel, beta 1 whatever the training's; PSNR in dB, of
the range of each image; active units by Burda et al. 2016.</p>
{pages.grid(sweep.table(), number)}
<h2>By latent size</h2>
{plots}"""
    return pages.document(title, body)
