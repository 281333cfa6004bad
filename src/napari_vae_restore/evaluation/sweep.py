"""Choosing the latent size by experiment: a small grid, trained under one time budget.

All members see the same images for the same time and are measured on the same held-out
ones. What is finished lies in the folder, so that a sweep that was killed goes on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from napari_vae_restore.errors import InputError, told
from napari_vae_restore.evaluation.evaluate import evaluate
from napari_vae_restore.evaluation.grid import Member, MemberFigures, Sweep, members_of
from napari_vae_restore.evaluation.held_out import HeldOut, hold_out
from napari_vae_restore.evaluation.sweep_page import page
from napari_vae_restore.images.atomic import atomic_write
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.estimation.estimate import resolve_noise
from napari_vae_restore.noise.models import NoiseModel, parse_noise
from napari_vae_restore.training.engine import Training
from napari_vae_restore.training.networks import network_config, settings_on
from napari_vae_restore.training.settings import parse_budget
from napari_vae_restore.training.sources import Images, load_images, load_matched

FIGURES: Final = "sweep.json"
REPORT: Final = "report.html"
RECOMMENDED: Final = "recommended.safetensors"

_PLAN: Final = "plan.json"
_MODEL, _RESULT = ".safetensors", ".json"
_TRAINED: Final = 0.9
"""Share of the budget that is trained for; the rest is for measuring."""


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How far a sweep is.

    Attributes
    ----------
    member : str
        Name of the one that is being trained.
    fraction : float
        Share of the sweep that is over, 0 to 1.
    seconds_left : float
        Of training.
    """

    member: str
    fraction: float
    seconds_left: float


def sweep(images: Images, folder: str | Path, **options: Any) -> Sweep:
    """Train a small grid of VAEs, and recommend one.

    Parameters
    ----------
    images : array, layer, path, or sequence of them
        Noisy; or clean with `simulate`.
    folder : str or Path
        For models, figures and the report; made if it is not there. What lies there of the
        same sweep is not done again.
    **options
        The keyword parameters of :func:`iter_sweep`: `references`, `simulate`, `budget`,
        `kind`, `latent`, `beta`, `levels`, `size`, `noise`, `axes`, `seed`, `device`.

    Returns
    -------
    Sweep
        The figures of all members; `recommended` is the one to take.

    Raises
    ------
    InputError
        For images or parameters that cannot be used, or a folder with another sweep.
    ImageFileError, TrainingError, RestorationError
        As :class:`~.engine.Training` and :func:`~.evaluate.evaluate`.
    """
    steps = iter_sweep(images, folder, **options)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: Sweep = stop.value
            return result


def iter_sweep(
    images: Images,
    folder: str | Path,
    *,
    references: Images | None = None,
    simulate: NoiseModel | str | None = None,
    budget: str | float = "10 min",
    kind: str = "hvae",
    latent: Sequence[int] | None = None,
    beta: Sequence[float] = (1.0,),
    levels: Sequence[int] | None = None,
    size: int | None = None,
    noise: NoiseModel | str = "auto",
    axes: str | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Generator[SweepProgress, None, Sweep]:
    """Train and measure the members of a grid; see :func:`sweep`.

    Parameters
    ----------
    images, folder
        As for :func:`sweep`.
    references : array, layer, path, or sequence of them, optional
        The clean image of each, by which denoising is measured; nothing learns from them.
    simulate : NoiseModel or str, optional
        Noise to add to clean images, such as "gaussian:25".
    budget : str or float
        Wall time of the whole sweep, "10 min" or seconds.
    kind : str
        "hvae", or "flat" for the textbook VAE.
    latent : sequence of int, optional
        Latent channels of every level, or lengths of the textbook VAE's vector.
    beta : sequence of float
        Weights of the KL in training.
    levels : sequence of int, optional
        Of the hierarchical VAE.
    size : int, optional
        Side in pixels of what the textbook VAE sees.
    noise : NoiseModel or str
        Of noisy images; as for :class:`~.engine.Training`.
    axes : str, optional
        Of the arrays; read or guessed by default.
    seed : int
        Of what is held out, initialisation, patches and noise.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Yields
    ------
    SweepProgress
        After each step of training.

    Returns
    -------
    Sweep
        As :func:`sweep`.

    Raises
    ------
    InputError, ImageFileError, TrainingError, RestorationError
        As :func:`sweep`.
    """
    members = members_of(kind, latent, beta, levels)
    seconds = _TRAINED * parse_budget(budget) / len(members)
    data, noise = _data(images, references, simulate, noise, axes, seed)
    configs = [
        network_config(kind, data.training, latent=m.latent, levels=m.levels, size=size)
        for m in members
    ]
    place = Path(folder)
    plan = {
        "kind": kind,
        "members": [asdict(member) for member in members],
        "seconds": round(seconds, 3),
        "size": size,
        "noise": str(noise),
        "seed": seed,
        "data": data.sha256,
    }
    _open(place, plan)
    stride = max(config.stride for config in configs)
    found = []
    for number, (member, config) in enumerate(zip(members, configs, strict=True)):
        figures = _finished(place, member)
        if figures is None:
            training = Training(
                [image.data for image in data.training],
                axes=data.training[0].axes,
                noise=noise,
                budget=seconds,
                config=config,
                settings=settings_on(config, data.training, beta=member.beta, stride=stride),
                seed=seed,
                device=device,
            )
            for progress in training.run():
                share = (number + progress.fraction) / len(members)
                left = seconds * (len(members) - number - progress.fraction)
                yield SweepProgress(member.name, share, left)
            figures = _measured(training.model, member, data, seed, device)
            training.model.save(place / f"{member.name}{_MODEL}", overwrite=True)
            _write(place / f"{member.name}{_RESULT}", json.dumps(asdict(figures), indent=1))
        found.append(figures)
    result = Sweep(kind, tuple(found), data.words, round(seconds, 1))
    _write_results(place, result)
    return result


def _data(
    images: Images,
    references: Images | None,
    simulate: NoiseModel | str | None,
    noise: NoiseModel | str,
    axes: str | None,
    seed: int,
) -> tuple[HeldOut, NoiseModel | str]:
    """What is trained and measured on, and its noise, told once for all."""
    known = parse_noise(simulate) if isinstance(simulate, str) else simulate
    if references is None:
        loaded, clean = load_images(images, axes), None
    else:
        pairs = load_matched(images, references, axes)
        loaded, clean = [first for first, _ in pairs], [second for _, second in pairs]
    data = hold_out(loaded, clean, known, seed)
    if len({image.axes for image in data.training}) > 1:
        raise InputError("expected images that are all grey or all colours, got both")
    if known is not None:
        return data, known
    first = data.training[0]
    if len(data.training) == 1 and first.axes == "TCYX" and first.data.shape[1] == 1:
        return data, resolve_noise(noise, first.data[:, 0])
    return data, noise


def _measured(
    model: Model, member: Member, data: HeldOut, seed: int, device: str
) -> MemberFigures:
    """The figures of a trained member on what was held out."""
    found = evaluate(
        replace(model, name=member.name),
        [image.data for image in data.images],
        None if data.references is None else [image.data for image in data.references],
        axes=data.images[0].axes,
        n_samples=0,
        seed=seed,
        device=device,
    )
    return MemberFigures(
        member=member,
        n_parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        n_steps=model.record.n_steps,
        seconds=model.record.seconds,
        elbo=found.elbo,
        kl=found.kl,
        bits_per_dimension=found.bits_per_dimension,
        active=sum(level.active or 0 for level in found.levels),
        n_units=sum(level.n_units for level in found.levels),
        reconstruction_psnr=found.reconstruction.psnr,
        noisy_psnr=None if found.before is None else found.before.psnr,
        denoising_psnr=None if found.restoration is None else found.restoration.psnr,
    )


def _open(folder: Path, plan: dict[str, Any]) -> None:
    """Make the folder, or see that it holds this very sweep, if it has begun."""
    path = folder / _PLAN
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = json.loads(path.read_text()) if path.exists() else None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot use the folder {folder}: {told(error)}: choose another"
        ) from error
    if {*folder.iterdir()} <= {path}:  # nothing was trained yet
        _write(path, json.dumps(plan, indent=1))
    elif there is None:
        raise InputError(f"the folder {folder} holds something else: choose a new one")
    elif there != json.loads(json.dumps(plan)):
        found = there if isinstance(there, dict) else {}
        differing = [name for name in plan if found.get(name) != plan[name]]
        raise InputError(
            f"the folder {folder} holds a sweep of other {', '.join(differing) or 'settings'}: "
            "choose another folder, or the same images and options to go on with it"
        )


def _finished(folder: Path, member: Member) -> MemberFigures | None:
    """What is known of a member that was trained before."""
    path = folder / f"{member.name}{_RESULT}"
    if not path.exists() or not path.with_suffix(_MODEL).exists():
        return None
    try:
        return TypeAdapter(MemberFigures).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path} is damaged: delete it to train its member again") from error


def _write_results(folder: Path, result: Sweep) -> None:
    _write(folder / FIGURES, json.dumps(result.to_dict(), indent=1))
    for name, plot in result.plots().items():
        _write(folder / f"{name}.svg", plot.svg(alone=True))
    _write(folder / REPORT, page(result))
    chosen = folder / f"{result.recommended.member.name}{_MODEL}"
    with atomic_write(folder / RECOMMENDED) as temporary:
        shutil.copyfile(chosen, temporary)


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
