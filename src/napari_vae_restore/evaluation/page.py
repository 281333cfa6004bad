"""An evaluation as one page of HTML that needs no other file."""

from __future__ import annotations

from html import escape
from typing import Final

from napari_vae_restore.evaluation.coverage import Calibration
from napari_vae_restore.evaluation.figures import Evaluation, Example
from napari_vae_restore.reports import pages

_ENLARGED_TO: Final = 160
"""Least screen pixels along the side of a small picture."""


def page(evaluation: Evaluation) -> str:
    """The figures, KL and units of each level, calibration, images one by one, examples."""
    title = f"{evaluation.model} – evaluation"
    parts = [
        f"<h1>{escape(title)}</h1>",
        pages.facts([row for row in evaluation.rows() if not row[0].endswith(" px")]),
        _levels(evaluation),
        *([_calibration(evaluation.calibration)] if evaluation.calibration else []),
        _images(evaluation),
        "<h2>Examples</h2>",
        "<p>The middle of the first images; a row has the contrast of its last picture.</p>",
        *(_example(example) for example in evaluation.examples),
    ]
    return pages.document(title, "\n".join(parts))


def _levels(evaluation: Evaluation) -> str:
    kl = [(f"every {level.stride} px", level.kl) for level in evaluation.levels]
    active = [
        (f"{level.active} of {level.n_units}", float(level.active))
        for level in evaluation.levels
        if level.active is not None
    ]
    bars = pages.bars(active, ".0f") if active else "<p>Unknown for a single vector.</p>"
    return f"""<h2>KL per level</h2>
<p>Nats per pixel and channel in each grid of latents, finest first: where the model stores
an image.</p>
{pages.bars(kl)}
<h2>Active units</h2>
<p>Latent channels of each level, finest first, whose posterior mean varies over the data by
a variance above 0.01 (Burda et al. 2016).</p>
{bars}"""


def _calibration(found: Calibration) -> str:
    coverage = pages.Plot(
        (pages.Curve("intervals", found.levels, found.coverage),),
        "share that intervals promise",
        "share of pixels that they contain",
        diagonal=True,
    )
    error = pages.Plot(
        (pages.Curve("tenths of pixels", found.expected_error, found.error),),
        "error to be expected, intensity units",
        "root mean square error",
        diagonal=True,
    )
    return f"""<h2>Calibration</h2>
<p>On the broken line, the restoration is as sure as it should be. Below the line in the first
plot, and above it in the second, the restoration is too sure.</p>
{coverage.svg()}{error.svg()}"""


def _images(evaluation: Evaluation) -> str:
    heading = ["Image", "ELBO", "rebuilt: PSNR/dB", "SSIM"]
    has_references = evaluation.restoration is not None
    if has_references:
        heading += ["before: PSNR/dB", "SSIM", "restored: PSNR/dB", "SSIM"]
    rows = [heading]
    for each in evaluation.images:
        row = [each.name, f"{each.elbo:.4f}"]
        for found in (each.reconstruction, each.before, each.restoration):
            if found is not None:
                row += [f"{found.psnr:.2f}", f"{found.ssim:.4f}"]
        rows.append(row)
    return f"<h2>Images</h2>{pages.grid(rows)}"


def _example(example: Example) -> str:
    panels = []
    for label, pixels in example.panels:
        enlarged = -(-_ENLARGED_TO // max(pixels.shape[:2]))
        shown = pages.picture(pixels, f"{example.name}: {label}", enlarged)
        panels.append(pages.captioned(shown, label))
    return f"<p>{escape(example.name)}</p>{''.join(panels)}"
