"""``vae-restore inpaint``: an image file with holes to one without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_vae_restore.cli import options

if TYPE_CHECKING:
    from napari_vae_restore.restoration.tasks import Task


@options.restoring
def inpaint(
    given: options.Restoring, mask: options.Mask, noise: options.NoiseToo = None
) -> None:
    """Fill missing pixels: scratches, dust, dead pixels, saturated spots.

    All other pixels stay as they are, bit for bit, unless --noise has them denoised.
    """
    from napari_vae_restore.cli.restoring import denoising_too, restore_file
    from napari_vae_restore.restoration.recipes import Request, read_mask

    tasks: tuple[Task, ...] = (read_mask(mask), *denoising_too(noise))
    restore_file(given, Request(tasks), inputs=[mask])
