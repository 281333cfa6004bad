"""``vae-restore inpaint``: an image file with holes to one without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_vae_restore.cli import options


@options.restoring
def inpaint(
    given: options.Restoring,
    mask: options.Mask,
    fill: options.Fill = "mean",
    noise: options.NoiseToo = None,
) -> None:
    """Fill missing pixels: scratches, dust, dead pixels, saturated spots.

    All other pixels stay as they are, bit for bit, unless --noise has them denoised.
    """
    from napari_vae_restore.cli.restoring import denoising_too, restore_files
    from napari_vae_restore.restoration.recipes.replay import Request, read_mask

    def request_of(own: Path | None) -> Request:
        return Request((replace(read_mask(own or mask), fill=fill), *denoising_too(noise)))

    restore_files(given, request_of, mask=mask)
