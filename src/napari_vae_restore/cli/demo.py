"""``vae-restore demo``: from nothing to a restored micrograph, in seconds."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import napari_vae_restore as vr
from napari_vae_restore.cli import options, reports, runs, terminal
from napari_vae_restore.errors import InputError
from napari_vae_restore.images.atomic import atomic_write

if TYPE_CHECKING:
    from napari_vae_restore.images.image_metadata import ImageFile

FOLDER = Path("vae-restore-demo")

_ABOUT = "about.txt"
_MARK = "Made by vae-restore demo, which replaces the files here when it runs again.\n\n"
_MODEL = "model.safetensors"
_RESULTS = (
    *("noisy.tif", "noisy.png", "denoised.tif", "denoised.png", "uncertainty.png"),
    *("scratched.tif", "mask.png", "filled.tif", "small.tif", "enlarged.tif"),
    *("comparison.png", "filled.png", "enlarged.png", _MODEL),
)


@dataclass(frozen=True, slots=True)
class DemoCommand:
    """Denoise a real micrograph, fill scratches in it, and enlarge it.

    It takes seconds. Files of an earlier demo in the folder are replaced.
    """

    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="For the results.")
    ] = FOLDER
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Denoise with a model that is trained for so long, such as 60s, on nothing "
            "but the noisy picture itself.",
        ),
    ] = None
    seed: options.Seed = 0
    device: options.Device = "auto"

    def run(self) -> None:
        seconds = None if self.budget is None else vr.parse_budget(self.budget)
        folder = self.folder
        _refuse_files_of_others(folder)
        folder.mkdir(parents=True, exist_ok=True)
        from napari_vae_restore.cli.demo_pictures import DemoPictures
        from napari_vae_restore.models.bundled import DEFAULT, find_model

        source = _sample(folder)
        bundled = find_model(DEFAULT)
        model = bundled if seconds is None else self._trained(source, seconds)
        pictures = DemoPictures(folder, source, self.seed, self.device)
        denoised = pictures.denoise(model)
        pictures.fill(bundled, denoised.mean)
        pictures.enlarge(bundled, denoised.mean)
        terminal.report(
            [
                *reports.describe_diagnostics(denoised.diagnostics),
                ("Model", "the one that comes with the package" if seconds is None else _MODEL),
                ("Files", str(folder)),
                ("", "comparison.png     look at this one first: noisy, denoised, uncertainty"),
                ("", "filled.png     scratches in the noisy picture, and how they were filled"),
                ("", "enlarged.png     the picture at half the resolution, and enlarged again"),
                ("", "*.tif     with pixel size and recipe, for napari or Fiji"),
                ("", f"{_ABOUT}     where the picture comes from"),
                *zip(("Try next", "", "", ""), _next_commands(folder), strict=True),
            ]
        )

    def _trained(self, source: ImageFile, budget: float) -> vr.Model:
        """A model trained on the picture alone, saved and read again."""
        with terminal.working("Measuring the noise"):
            training = vr.Training(
                source.data,
                axes=source.axes,
                budget=budget,
                seed=self.seed,
                device=self.device,
            )
        if runs.run_training(training) and not training.model.record.n_steps:
            raise typer.Exit(terminal.INTERRUPTED)
        path = self.folder / _MODEL
        training.model.save(path, overwrite=True)
        terminal.report(reports.describe_training(training.model.record)[:1])
        return vr.load(path)


def _sample(folder: Path) -> ImageFile:
    """The packaged micrograph, copied into the folder with a page on where it comes from."""
    from napari_vae_restore.samples import SAMPLES, sample_path

    name, title = next(iter(SAMPLES.items()))
    sources = sample_path(name).with_name("SOURCES.md")
    # The page by which a later demo knows its folder is never there in part.
    with atomic_write(folder / _ABOUT) as temporary:
        temporary.write_text(_MARK + sources.read_text("utf-8"), "utf-8")
    with atomic_write(folder / "noisy.tif") as temporary:
        shutil.copyfile(sample_path(name), temporary)
    source = vr.read_image(folder / "noisy.tif")
    terminal.report([("Sample", f"{title}, {reports.describe_size(source)}")])
    return source


def _next_commands(folder: Path) -> list[str]:
    scratched, mask = folder / "scratched.tif", folder / "mask.png"
    fill = ("inpaint", scratched, "--mask", mask, "-o", "filled.tif", "--noise", "auto")
    return [
        reports.as_typed("vae-restore", "denoise", "your_image.tif", "-o", "clean.tif"),
        reports.as_typed("vae-restore", *fill),
        reports.as_typed("vae-restore", "train", "your_images", "-o", "yours.safetensors"),
        reports.as_typed("napari", folder / "noisy.tif", folder / "denoised.tif"),
    ]


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
