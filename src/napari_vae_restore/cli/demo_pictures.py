"""Pictures of the demo: its micrograph, damaged and restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from napari_vae_restore.cli import comparison, reports, terminal
from napari_vae_restore.cli.comparison import Panel
from napari_vae_restore.images.image_files import write_image
from napari_vae_restore.images.image_metadata import ImageFile, refined
from napari_vae_restore.images.layout import cast
from napari_vae_restore.models.model import Model
from napari_vae_restore.operators import Downsampling
from napari_vae_restore.restoration.restore import iter_restore
from napari_vae_restore.restoration.result import Restoration
from napari_vae_restore.restoration.tasks import Denoise, Inpaint, SuperResolve, Task

SAMPLES = 8
FACTOR = 2
KERNEL = "box"

_SCRATCHES = 6
_SPOTS = 12
_SCRATCH_WIDTH = 4
_SPOT_RADIUS = 7


@dataclass(frozen=True, slots=True, eq=False)
class DemoPictures:
    """A noisy picture, shown restored in several ways."""

    folder: Path  # of the results; earlier ones are replaced
    source: ImageFile  # of axes YX
    seed: int  # of samples and scratches
    device: str

    def denoise(self, model: Model) -> Restoration:
        """Noisy, denoised, and how sure that is."""
        result = self._restored(self.source.data, [Denoise()], model, n_samples=SAMPLES)
        self._write("denoised.tif", result.mean, self.source, result)
        top = comparison.uncertainty_limit(_plane(result.std))
        spread = f"spread of {SAMPLES} samples: black 0, bright {top:.3g} grey values"
        panels = {
            "noisy.png": self._panel(self.source.data, "Noisy", "as recorded"),
            "denoised.png": self._panel(result.mean, "Denoised", f"by the model {model.name}"),
            "uncertainty.png": Panel(
                comparison.to_colour(_plane(result.std), top), "Uncertainty", spread
            ),
        }
        for name, panel in panels.items():
            self._draw(name, panel.picture)
        self._compare("comparison.png", [*panels.values()], result.mean)
        return result

    def fill(self, model: Model, denoised: NDArray[Any]) -> None:
        """The noisy picture with scratches, and filled and denoised at once."""
        scratches = _scratches(self.source.data.shape, self.seed)
        scratched = np.where(scratches, self.source.data.max(), self.source.data)
        tasks: list[Task] = [Inpaint(scratches, "mask.png"), Denoise()]
        result = self._restored(scratched, tasks, model)
        self._write("scratched.tif", scratched, self.source)
        self._draw("mask.png", scratches.astype(np.uint8) * np.uint8(255))
        self._write("filled.tif", result.mean, self.source, result)
        share = f"{scratches.mean():.0%} of the pixels are missing"
        panels = [
            self._panel(scratched, "Scratched", share),
            self._panel(result.mean, "Filled", "and denoised, from the picture on the left"),
            self._panel(denoised, "Denoised", "from the picture without scratches"),
        ]
        self._compare("filled.png", panels, np.where(scratches, denoised, 0))

    def enlarge(self, model: Model, denoised: NDArray[Any]) -> None:
        """The denoised picture at half its resolution, and enlarged again."""
        rows, columns = (side - side % FACTOR for side in denoised.shape)
        whole = denoised[:rows, :columns]
        reduced = Downsampling(FACTOR, KERNEL).apply(whole[None].astype(np.float64))[0]
        small = cast(reduced, whole.dtype)
        result = self._restored(small, [SuperResolve(FACTOR, KERNEL)], model)
        scale = tuple(size * FACTOR for size in self.source.scale)
        coarse = replace(self.source, scale=scale)
        self._write("small.tif", small, coarse)
        self._write("enlarged.tif", result.mean, refined(coarse, FACTOR), result)
        blocks = small.repeat(FACTOR, axis=0).repeat(FACTOR, axis=1)
        panels = [
            self._panel(blocks, "Small", f"{FACTOR} by {FACTOR} pixels binned into one"),
            self._panel(result.mean, "Enlarged", "from the picture on the left"),
            self._panel(whole, "Original", "denoised, before the binning"),
        ]
        self._compare("enlarged.png", panels, whole)

    def _restored(
        self, image: NDArray[Any], tasks: Sequence[Task], model: Model, n_samples: int = 0
    ) -> Restoration:
        steps = iter_restore(
            image,
            tasks,
            model,
            axes=self.source.axes,
            n_samples=n_samples,
            seed=self.seed,
            device=self.device,
        )
        return terminal.run_restoration(steps, reports.title(tasks))

    def _panel(self, image: NDArray[Any], title: str, subtitle: str) -> Panel:
        limits = comparison.contrast_limits(_plane(self.source.data))
        return Panel(comparison.to_grey(_plane(image), *limits), title, subtitle)

    def _compare(self, name: str, panels: Sequence[Panel], focus: NDArray[Any]) -> None:
        limits = comparison.contrast_limits(_plane(self.source.data))
        self._draw(name, comparison.comparison(panels, _plane(focus).clip(*limits)))

    def _draw(self, name: str, picture: NDArray[np.uint8]) -> None:
        axes = "YX" if picture.ndim == 2 else "YXS"
        write_image(self.folder / name, picture, axes, overwrite=True)

    def _write(
        self, name: str, image: NDArray[Any], like: ImageFile, result: Restoration | None = None
    ) -> None:
        recipe = None if result is None else result.recipe.to_json()
        write_image(
            self.folder / name,
            image,
            self.source.axes,
            like=like,
            description=recipe,
            overwrite=True,
        )


def _plane(image: NDArray[Any] | None) -> NDArray[np.float64]:
    return np.asarray(image, np.float64)


def _scratches(shape: tuple[int, ...], seed: int) -> NDArray[np.bool_]:
    """Thin lines and spots at random, True where they are."""
    rng = np.random.default_rng(seed)
    height, width = shape
    picture = Image.new("1", (width, height))
    draw = ImageDraw.Draw(picture)
    for _ in range(_SCRATCHES):
        ends = rng.random((2, 2)) * (width, height)
        draw.line([tuple(end) for end in ends], fill=1, width=_SCRATCH_WIDTH)
    for _ in range(_SPOTS):
        draw.circle(tuple(rng.random(2) * (width, height)), _SPOT_RADIUS, fill=1)
    return np.asarray(picture)
