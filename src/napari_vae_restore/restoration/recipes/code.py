"""A recipe as a program: the Python and the command line that repeat a result.

Both are text for a user to paste, and both end in :func:`~.restore.restore`.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.tiling import TILE
from napari_vae_restore.restoration.tasks import Deblur, Denoise, Inpaint, SuperResolve

_DEFAULT_MODEL = "default"
_PROGRAM = "vae-restore"
MASK_IS_GONE = (
    "The recipe fills holes, and the mask that says where is not there any more: run Inpaint "
    "once more."
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the things are that a recipe only names."""

    image: str  # a file; or, with `is_layer`, the name of a layer of the viewer
    is_layer: bool = False
    mask: str = ""  # a file with the mask; empty where nothing was filled
    model: str = _DEFAULT_MODEL  # a model file, or "default" for the bundled model


def as_python(recipe: Mapping[str, Any], places: Places) -> str:
    """Write the Python that repeats a result; see :meth:`~.result.Recipe.to_dict`.

    It binds the result to ``out`` and, made for a layer, adds it to the viewer. Raises
    InputError if a task is unknown, or the recipe fills holes and no mask is given.
    """
    tasks = [_task_in_python(form) for form in recipe["tasks"]]
    lines = ["import napari_vae_restore as vr", ""]
    if places.is_layer:
        lines.append(f"image = viewer.layers[{_quoted(places.image)}]")
    else:
        lines.append(f"image = vr.read_image({_quoted(places.image)}).data")
    if any(form["kind"] == Inpaint.kind for form in recipe["tasks"]):
        lines.append(f"mask = vr.read_image({_quoted(_mask(places))}).data")
    lines += ["out = vr.restore(", "    image,", f"    [{', '.join(tasks)}],"]
    lines += [f"    {_quoted(places.model)},", f"    axes={_quoted(recipe['axes'])},"]
    if recipe["n_samples"]:
        lines.append(f"    n_samples={recipe['n_samples']},")
    if recipe["tile"] != TILE:
        lines.append(f"    tile={recipe['tile']},")
    lines += [f"    seed={recipe['seed']},", ")"]
    if width := feather_of(recipe):
        lines.append(f"out = vr.feathered(out, image, mask, {width})")
    if places.is_layer:
        lines.append("vr.add_to_viewer(viewer, out, like=image)")
    return "\n".join(lines) + "\n"


def as_command(recipe: Mapping[str, Any], places: Places, output: str) -> str:
    """Write the command line that repeats a result, quoted for this system's shell.

    Samples are written beside `output`, where the recipe has some. Raises InputError if no
    single command does what the recipe says, or a mask is missing.
    """
    words = [_PROGRAM, *_command(recipe, places)]
    words[2:2] = [places.image, "-o", output]
    if places.model != _DEFAULT_MODEL:
        words += ["--model", places.model]
    words += ["--axes", recipe["axes"]]
    if recipe["n_samples"]:
        words += ["--samples", str(recipe["n_samples"])]
    if recipe["tile"] != TILE:
        words += ["--tile", str(recipe["tile"])]
    words += ["--seed", str(recipe["seed"])]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def feather_of(recipe: Mapping[str, Any]) -> int:
    """Pixels over which a fill fades into the image; see :func:`~.feathering.feathered`."""
    return max((int(form.get("feather", 0)) for form in recipe["tasks"]), default=0)


def _command(recipe: Mapping[str, Any], places: Places) -> list[str]:
    """The command and its own options."""
    forms = {form["kind"]: form for form in recipe["tasks"]}
    kinds = set(forms)
    denoising = forms.get(Denoise.kind)
    noise = denoising["noise"] if denoising else None
    if not isinstance(noise, str | None):
        raise InputError(
            "The command line takes one noise for all channels, and this recipe has one for "
            "each: copy it as Python."
        )
    if kinds == {Denoise.kind}:
        return ["denoise", *(["--noise", noise] if noise else [])]
    too = ["--noise", noise or "auto"] if denoising else []
    if feather_of(recipe):
        raise InputError(
            "The fill fades into the image, which no command does: copy it as Python, or run "
            "Inpaint with a feather of 0."
        )
    if kinds - {Denoise.kind} == {Inpaint.kind}:
        fill = forms[Inpaint.kind].get("fill", "mean")
        drawn = [] if fill == "mean" else ["--fill", fill]
        return ["inpaint", "--mask", _mask(places), *drawn, *too]
    if kinds - {Denoise.kind} == {SuperResolve.kind}:
        form = forms[SuperResolve.kind]
        factor, kernel = str(form["factor"]), form["kernel"]
        return [SuperResolve.kind, "--factor", factor, "--kernel", kernel, *too]
    raise InputError(
        f"No single command does {' and '.join(sorted(kinds))} at once: copy it as Python, or "
        f"give a saved result to {_PROGRAM} restore --recipe."
    )


def _task_in_python(form: Mapping[str, Any]) -> str:
    kind = form["kind"]
    if kind == Denoise.kind:
        noise = form["noise"]
        if noise is None:
            return "vr.Denoise()"
        if isinstance(noise, str):
            return f"vr.Denoise({_quoted(noise)})"
        each = ", ".join(f"vr.parse_noise({_quoted(text)})" for text in noise)
        return f"vr.Denoise([{each}])"
    if kind == Inpaint.kind:
        fill = form.get("fill", "mean")
        return (
            "vr.Inpaint(mask)" if fill == "mean" else f"vr.Inpaint(mask, fill={_quoted(fill)})"
        )
    if kind == SuperResolve.kind:
        return f"vr.SuperResolve({form['factor']}, {_quoted(form['kernel'])})"
    if kind == Deblur.kind:
        return f"vr.Deblur({form['psf']!r})"
    raise InputError(f"recipe: expected a known task, got {kind!r}: update this package")


def _mask(places: Places) -> str:
    if not places.mask:
        raise InputError(MASK_IS_GONE)
    return places.mask


def _quoted(text: str) -> str:
    """As black would write it where it can: in double quotes."""
    plain = text.isprintable() and not set(text) & {'"', "\\"}
    return f'"{text}"' if plain else repr(text)
