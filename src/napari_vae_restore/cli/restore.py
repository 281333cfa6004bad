"""Commands that restore images: ``denoise``, ``inpaint``, ``super-resolve``, ``restore``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

import napari_vae_restore as vr
from napari_vae_restore.batch.choices import ALWAYS, POLICIES
from napari_vae_restore.cli import options

if TYPE_CHECKING:
    from napari_vae_restore.restoration.recipes.replay import Request


class OverwriteCommand(TyperCommand):
    """A command whose ``--overwrite`` may stand alone, and then means "always".

    Typer has no options with an optional value.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word behind the option; see click."""
        full: list[str] = []
        for word, following in zip(args, [*args[1:], ""], strict=True):
            full.append(word)
            if word == "--overwrite" and following not in POLICIES:
                full.append(ALWAYS)
        return super().parse_args(ctx, full)


@dataclass(frozen=True, slots=True)
class DenoiseCommand(options.RestoreOptions):
    """Denoise an image, or many.

    The output keeps the axes, pixel size and type of the input; its description holds
    the recipe, with which the result can be repeated.
    """

    noise: Annotated[
        str | None,
        typer.Option(
            metavar="NOISE",
            help=f"{options.CORRELATED_FORMS}; by default that of the images the model was "
            "trained on, or measured.",
        ),
    ] = None

    def run(self) -> None:
        _restore(self, vr.Denoise(self.noise))


@dataclass(frozen=True, slots=True)
class InpaintCommand(options.RestoreOptions):
    """Fill missing pixels: scratches, dust, dead pixels, saturated spots.

    All other pixels stay as they are, bit for bit, unless --noise has them denoised.
    """

    mask: Annotated[
        Path,
        typer.Option(
            metavar="MASK",
            help="Image file (no JPEG), any value but 0 where a pixel is missing; of the "
            "image's shape, of its shape without channels, or height and width alone. Or a "
            "folder of them, with the names of the images.",
        ),
    ]
    fill: Annotated[
        str,
        typer.Option(
            metavar="mean|sample",
            help="What missing pixels get: the average of all plausible fillings, to measure "
            "on; or one of them, drawn at random.",
        ),
    ] = "mean"
    noise: options.NoiseToo = None

    def run(self) -> None:
        from napari_vae_restore.cli.restoring import restore_files
        from napari_vae_restore.restoration.recipes.replay import Request, read_mask

        def request_of(own: Path | None) -> Request:
            filling = replace(read_mask(own or self.mask), fill=self.fill)
            return Request((filling, *_denoising(self.noise)))

        restore_files(self, request_of, mask=self.mask)


@dataclass(frozen=True, slots=True)
class SuperResolveCommand(options.RestoreOptions):
    """Enlarge an image, consistently with what its pixels measured.

    The pixel size in the output is that of the input divided by the factor. Without
    --noise the output, reduced again, gives the input.
    """

    factor: Annotated[
        int,
        typer.Option(metavar="2|3|4", help="Output pixels for each input pixel along Y and X."),
    ]
    kernel: Annotated[
        str,
        typer.Option(
            metavar="bicubic|box|gaussian",
            help="What an input pixel saw: box for the mean over its area, as binning makes.",
        ),
    ] = "bicubic"
    noise: options.NoiseToo = None

    def run(self) -> None:
        _restore(self, vr.SuperResolve(self.factor, self.kernel), *_denoising(self.noise))


@dataclass(frozen=True, slots=True)
class RestoreCommand(options.RestoreOptions):
    """Restore an image by a recipe: repeat a result, or do several tasks at once.

    Options that are given outweigh the recipe. Its samples are drawn where they are
    asked for, by --samples or --uncertainty.
    """

    recipe: Annotated[
        Path,
        typer.Option(
            metavar="RECIPE",
            help="A result of this program, whose description holds its recipe, or a JSON "
            'file: that description, or as little as {"tasks": [{"kind": "denoise"}]}.',
        ),
    ]
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="MASK",
            help="In place of the mask that the recipe names; or a folder of masks with the "
            "names of the images.",
        ),
    ] = None

    def run(self) -> None:
        from napari_vae_restore.cli.restoring import restore_files
        from napari_vae_restore.restoration.recipes.replay import read_recipe

        restore_files(
            self,
            lambda own: read_recipe(self.recipe, mask=own or self.mask),
            mask=self.mask,
            inputs=[self.recipe],
        )


def _restore(given: options.RestoreOptions, *tasks: vr.Denoise | vr.SuperResolve) -> None:
    """Restore by tasks that are the same for every image."""
    from napari_vae_restore.cli.restoring import restore_files
    from napari_vae_restore.restoration.recipes.replay import Request

    restore_files(given, lambda mask: Request(tasks))


def _denoising(noise: str | None) -> tuple[vr.Denoise, ...]:
    """Denoising as a second task, where an option asks for it."""
    return () if noise is None else (vr.Denoise(noise),)
