"""``vae-restore demo``: from nothing to a denoised micrograph in about 90 seconds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_vae_restore.cli import options, runs, terminal
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_vae_restore.image_files import ImageFile
    from napari_vae_restore.restoration.result import Restoration

FOLDER = Path("vae-restore-demo")
BUDGET = "60s"
SAMPLES = 8

_ABOUT = "about.txt"
_MARK = "Made by vae-restore demo, which replaces the files here when it runs again.\n\n"
_RESULTS = (
    "noisy.tif",
    "noisy.png",
    "denoised.tif",
    "denoised.png",
    "uncertainty.png",
    "comparison.png",
    "model.safetensors",
)
_INTERRUPTED = 130


def demo(
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="For the results.")
    ] = FOLDER,
    budget: Annotated[
        str, typer.Option(metavar="TIME", help="For the training; more gives more detail.")
    ] = BUDGET,
    seed: options.Seed = 0,
    device: options.Device = "auto",
) -> None:
    """Denoise a real micrograph, with a model trained on nothing but itself.

    It takes about 90 seconds. Files of an earlier demo in the folder are replaced.
    """
    from napari_vae_restore.image_files import read_image
    from napari_vae_restore.training.settings import parse_budget

    seconds = parse_budget(budget)
    _refuse_files_of_others(folder)
    folder.mkdir(parents=True, exist_ok=True)
    from napari_vae_restore.models.files import load
    from napari_vae_restore.restoration.restore import iter_restore
    from napari_vae_restore.restoration.tasks import Denoise
    from napari_vae_restore.samples import SAMPLES as MICROGRAPHS
    from napari_vae_restore.samples import sample_path
    from napari_vae_restore.training.engine import Training

    name, title = next(iter(MICROGRAPHS.items()))
    sources = sample_path(name).with_name("SOURCES.md")
    (folder / _ABOUT).write_text(_MARK + sources.read_text("utf-8"), "utf-8")
    noisy_file = folder / "noisy.tif"
    shutil.copyfile(sample_path(name), noisy_file)
    source = read_image(noisy_file)
    with terminal.working("Measuring the noise"):
        training = Training(
            source.data, axes=source.axes, budget=seconds, seed=seed, device=device
        )
    terminal.report(
        [
            ("Sample", f"{title}, {_size(source)}"),
            ("Noise", f"{runs.describe_noise(training.data_noise)} (measured)"),
        ]
    )
    if runs.run_training(training) and not training.model.record.n_steps:
        raise typer.Exit(_INTERRUPTED)
    model_file = folder / "model.safetensors"
    training.model.save(model_file, overwrite=True)
    record = training.model.record
    result = runs.run_restoration(
        iter_restore(
            source.data,
            Denoise(),
            load(model_file),
            axes=source.axes,
            n_samples=SAMPLES,
            seed=seed,
            device=device,
        )
    )
    trained = f"{record.seconds:.0f} s of training on this picture alone"
    _write_results(folder, source, result, trained)
    terminal.report(
        [
            (
                "Trained",
                f"{record.n_steps} steps in {record.seconds:.0f} s, on this picture "
                "alone, without a clean one",
            ),
            ("Removed", runs.describe_removal(result.diagnostics)),
            ("Files", str(folder)),
            ("", "comparison.png     look at this one first"),
            ("", "noisy.png, denoised.png, uncertainty.png"),
            ("", "noisy.tif, denoised.tif     with pixel size, for napari or Fiji"),
            ("", "model.safetensors     the model, for other images of the same kind"),
            ("", f"{_ABOUT}     where the picture comes from"),
            ("Try next", runs.as_typed("vae-restore", *_TRAIN_YOURS)),
            ("", runs.as_typed("vae-restore", *_DENOISE_YOURS)),
            ("", runs.as_typed("napari", noisy_file, folder / "denoised.tif")),
        ]
    )


_TRAIN_YOURS = ("train", "your_images", "-o", "yours.safetensors")
_DENOISE_YOURS = (
    "denoise",
    "your_image.tif",
    "-o",
    "clean.tif",
    "--model",
    "yours.safetensors",
)


def _refuse_files_of_others(folder: Path) -> None:
    """Raise where results would replace files that no demo has made."""
    about = folder / _ABOUT
    if about.is_file() and about.read_bytes().startswith(_MARK.strip().encode()):
        return
    if taken := [name for name in (_ABOUT, *_RESULTS) if (folder / name).exists()]:
        raise InputError(
            f"Expected a folder for the demo alone, but {folder / taken[0]} is there: give "
            "another one, -o FOLDER."
        )


def _write_results(folder: Path, source: ImageFile, result: Restoration, trained: str) -> None:
    import numpy as np

    from napari_vae_restore.cli import comparison
    from napari_vae_restore.image_files import write_image

    recipe = result.recipe.to_json()
    write_image(
        folder / "denoised.tif",
        result.mean,
        source.axes,
        like=source,
        description=recipe,
        overwrite=True,
    )
    arrays = (source.data, result.mean, result.std)
    noisy, denoised, std = (_plane(np.asarray(array), source.axes) for array in arrays)
    limits = comparison.contrast_limits(noisy)
    drawn = comparison.comparison(noisy, denoised, std, trained=trained, samples=SAMPLES)
    pictures = {
        "noisy.png": comparison.to_grey(noisy, *limits),
        "denoised.png": comparison.to_grey(denoised, *limits),
        "uncertainty.png": comparison.to_colour(std, comparison.uncertainty_limit(std)),
        "comparison.png": drawn,
    }
    for name, picture in pictures.items():
        axes = "YX" if picture.ndim == 2 else "YXS"
        write_image(folder / name, picture, axes, overwrite=True)


def _plane(array: NDArray[np.generic], axes: str) -> NDArray[np.float64]:
    """The first channel of the middle plane, as float64."""
    import numpy as np

    from napari_vae_restore.layout import Layout

    planes = Layout.of(array, axes).to_planes(array)
    middle: NDArray[np.float64] = planes[len(planes) // 2, 0].astype(np.float64)
    return middle


def _size(image: ImageFile) -> str:
    return f"{' × '.join(map(str, image.data.shape))} {image.data.dtype}"
