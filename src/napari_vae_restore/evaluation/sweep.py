"""Choose the latent size by experiment: a small grid, trained under one time budget.

All members see the same images for the same time and are measured on the same held-out
ones. Finished members are stored in the folder, so that a sweep that was killed goes on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from napari_vae_restore.errors import InputError, shortened
from napari_vae_restore.evaluation.evaluate import evaluate
from napari_vae_restore.evaluation.grid import Member, MemberFigures, Sweep, members_of
from napari_vae_restore.evaluation.held_out import HeldOutSplit, hold_out
from napari_vae_restore.evaluation.page import sweep_page
from napari_vae_restore.generators import drain
from napari_vae_restore.images.atomic import atomic_write
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.estimation.estimate import resolve_noise
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.noise.notation import parse_noise
from napari_vae_restore.training.engine import Training
from napari_vae_restore.training.networks import network_config, settings_on
from napari_vae_restore.training.settings import parse_budget
from napari_vae_restore.training.sources import Images, Pairs, items_of, load

FIGURES: Final = "sweep.json"
REPORT: Final = "report.html"
RECOMMENDED: Final = "recommended.safetensors"

_PLAN: Final = "plan.json"
_MODEL, _RESULT = ".safetensors", ".json"
_TRAINED: Final = 0.9  # of the budget; the rest is for measuring


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How far a sweep is."""

    member: str  # name of the one that is being trained
    fraction: float  # of the sweep, 0 to 1
    seconds_left: float  # of training


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """The keyword parameters of :func:`sweep`."""

    references: Images | None = None
    simulate: NoiseModel | str | None = None
    budget: str | float = "10 min"
    kind: str = "hvae"
    latent: Sequence[int] | None = None
    beta: Sequence[float] = (1.0,)
    levels: Sequence[int] | None = None
    size: int | None = None
    noise: NoiseModel | str = "auto"
    axes: str | None = None
    seed: int = 0
    device: str = "auto"


def sweep(images: Images, folder: str | Path, **options: Any) -> Sweep:
    """Train a small grid of VAEs, and recommend one.

    Parameters
    ----------
    images : array, layer, path, or sequence of them
        Noisy; or clean with `simulate`.
    folder : str or Path
        For models, figures and the report; made if it does not exist. A sweep that was
        stopped goes on in its folder.
    **options
        - `references`: the clean image of each, by which denoising is measured; nothing
          learns from them.
        - `simulate`: noise to add to clean images, such as "gaussian:25".
        - `budget`: wall time of the whole sweep, "10 min" or seconds.
        - `kind`: "hvae", or "flat" for the textbook VAE.
        - `latent`: latent channels of every level, or lengths of the textbook VAE's vector.
        - `beta`: weights of the KL in training.
        - `levels`: of the hierarchical VAE. Every combination of these three is trained.
        - `size`: side in pixels of the textbook VAE's input.
        - `noise`: of noisy images, as for :class:`~.engine.Training`.
        - `axes`: of the arrays; read or guessed by default.
        - `seed`: of the held-out choice, initialisation, patches and noise.
        - `device`: "auto", "cpu", "cuda" or "mps".

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
    return drain(iter_sweep(images, folder, **options))


def iter_sweep(
    images: Images, folder: str | Path, **options: Any
) -> Generator[SweepProgress, None, Sweep]:
    """Train and measure the members of a grid, with the options of :func:`sweep`.

    Yields after each step of training.
    """
    asked = SweepOptions(**options)
    members = members_of(asked.kind, asked.latent, asked.beta, asked.levels)
    seconds = _TRAINED * parse_budget(asked.budget) / len(members)
    data, noise = _data(images, asked)
    configs = [
        network_config(
            asked.kind, data.training, latent=m.latent, levels=m.levels, size=asked.size
        )
        for m in members
    ]
    stride = max(config.stride for config in configs)
    place = Path(folder)
    plan = {  # two sweeps with equal plans are the same sweep
        "kind": asked.kind,
        "members": [asdict(member) for member in members],
        "seconds": round(seconds, 3),
        "size": asked.size,
        "noise": str(noise),
        "seed": asked.seed,
        "data": data.sha256,
    }
    _open(place, plan)
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
                seed=asked.seed,
                device=asked.device,
            )
            for progress in training.run():
                done = number + progress.fraction
                share, left = done / len(members), seconds * (len(members) - done)
                yield SweepProgress(member.name, share, left)
            figures = _measured(training.model, member, data, asked)
            training.model.save(place / f"{member.name}{_MODEL}", overwrite=True)
            _write(place / f"{member.name}{_RESULT}", json.dumps(asdict(figures), indent=1))
        found.append(figures)
    result = Sweep(asked.kind, tuple(found), data.words, round(seconds, 1))
    _write_results(place, result)
    return result


def _data(images: Images, asked: SweepOptions) -> tuple[HeldOutSplit, NoiseModel | str]:
    """The images to train and to measure on, and their noise, which all members share."""
    simulate = asked.simulate
    known = parse_noise(simulate) if isinstance(simulate, str) else simulate
    references = asked.references
    items = items_of(images if references is None else Pairs(images, references))
    noisy, *clean = zip(*load(items, asked.axes), strict=True)
    data = hold_out(noisy, clean[0] if clean else None, known, asked.seed)
    if len({image.axes for image in data.training}) > 1:
        raise InputError("expected images that are all grey or all colours, got both")
    if known is not None:
        return data, known
    first = data.training[0]
    if len(data.training) == 1 and first.axes == "TCYX" and first.data.shape[1] == 1:
        return data, resolve_noise(asked.noise, first.data[:, 0])
    return data, asked.noise


def _measured(
    model: Model, member: Member, data: HeldOutSplit, asked: SweepOptions
) -> MemberFigures:
    """Figures of a trained member on the held-out images."""
    found = evaluate(
        replace(model, name=member.name),
        [image.data for image in data.images],
        None if data.references is None else [image.data for image in data.references],
        axes=data.images[0].axes,
        n_samples=0,
        seed=asked.seed,
        device=asked.device,
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
    """Make the folder, or check that it holds this very sweep."""
    path, text = folder / _PLAN, json.dumps(plan, indent=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        begun = json.loads(path.read_bytes()) if path.exists() else None
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot use the folder {folder}: {shortened(error)}: choose another"
        ) from error
    if {*folder.iterdir()} <= {path}:  # nothing was trained yet
        _write(path, text)
    elif not isinstance(begun, dict):
        raise InputError(f"the folder {folder} holds something else: choose a new one")
    elif differing := [name for name in plan if begun.get(name) != plan[name]]:
        raise InputError(
            f"the folder {folder} holds a sweep of other {', '.join(differing)}: choose "
            "another folder, or the same images and options to go on with it"
        )


def _finished(folder: Path, member: Member) -> MemberFigures | None:
    """Figures of a member that was trained before."""
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
        _write(folder / f"{name}.svg", plot.svg("file"))
    _write(folder / REPORT, sweep_page(result))
    chosen = folder / f"{result.recommended.member.name}{_MODEL}"
    with atomic_write(folder / RECOMMENDED) as temporary:
        shutil.copyfile(chosen, temporary)


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
