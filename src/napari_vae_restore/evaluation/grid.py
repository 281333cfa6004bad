"""The members of a sweep: their settings, their figures, and the one to prefer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, ClassVar, Final

import numpy as np

from napari_vae_restore.errors import InputError
from napari_vae_restore.reports.plot import Curve, Plot

HVAE_GRID: Final[dict[str, tuple[float, ...]]] = {"latent": (4, 16), "levels": (3, 4)}
FLAT_GRID: Final[dict[str, tuple[float, ...]]] = {"latent": (2, 8, 32)}

# A smaller model that is behind the best by less is preferred.
NEAR_PSNR: Final = 0.1  # dB
NEAR_ELBO: Final = 0.01  # nats per pixel


@dataclass(frozen=True, slots=True)
class Member:
    """One combination of settings."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    latent: int  # channels of every level, or length of the textbook VAE's vector
    beta: float  # weight of the KL in training
    levels: int | None  # of the hierarchical VAE

    @property
    def name(self) -> str:
        """Name of the member's files."""
        levels = "" if self.levels is None else f"-levels{self.levels}"
        return f"latent{self.latent}-beta{self.beta:g}{levels}"


@dataclass(frozen=True, slots=True)
class MemberFigures:
    """Figures of one member on the images that all members are measured on."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    member: Member
    n_parameters: int  # of the network
    n_steps: int  # of training
    seconds: float  # of training
    elbo: float  # nats per pixel and channel, beta 1
    kl: float  # nats per pixel and channel
    bits_per_dimension: float
    active: int  # latent channels in use, of all levels
    n_units: int  # latent channels of all levels
    reconstruction_psnr: float  # dB, of the decoded means of the latents to the noisy images
    noisy_psnr: float | None  # dB, of the noisy images to the references
    denoising_psnr: float | None  # dB, of the restored images to the references


@dataclass(frozen=True, slots=True)
class Sweep:
    """The result of a sweep.

    Attributes
    ----------
    kind : str
        "hvae" or "flat".
    members : tuple of MemberFigures
        In the order of the grid.
    held_out : str
        The images that they were measured on, in words.
    seconds : float
        Training time of each.
    """

    kind: str
    members: tuple[MemberFigures, ...]
    held_out: str
    seconds: float

    @property
    def is_restored(self) -> bool:
        """Whether denoising could be measured."""
        return all(each.denoising_psnr is not None for each in self.members)

    @property
    def rule(self) -> str:
        """The rule of the recommendation."""
        if self.is_restored:
            return (
                f"the smallest network whose denoising PSNR is within {NEAR_PSNR:g} dB of the "
                "best"
            )
        return f"the smallest network whose ELBO is within {NEAR_ELBO:g} nats of the best"

    @property
    def recommended(self) -> MemberFigures:
        """The member that the rule chooses; of equal sizes the better."""
        near = NEAR_PSNR if self.is_restored else NEAR_ELBO
        best = max(self._score(each) for each in self.members)
        good = [each for each in self.members if self._score(each) >= best - near]
        return min(good, key=lambda each: (each.n_parameters, -self._score(each)))

    def table(self) -> list[list[str]]:
        """A heading and a row for each member."""
        heading = ["Member", "Parameters", "Steps", "ELBO", "KL", "bits/dim", "active"]
        heading += ["rebuilt/dB"]
        rows = [heading + (["noisy/dB", "denoised/dB"] if self.is_restored else [])]
        for each in self.members:
            row = [each.member.name, str(each.n_parameters), str(each.n_steps)]
            row += [f"{each.elbo:.4f}", f"{each.kl:.4f}", f"{each.bits_per_dimension:.3f}"]
            row += [f"{each.active} of {each.n_units}", f"{each.reconstruction_psnr:.2f}"]
            if each.denoising_psnr is not None and each.noisy_psnr is not None:
                row += [f"{each.noisy_psnr:.2f}", f"{each.denoising_psnr:.2f}"]
            rows.append(row)
        return rows

    def plots(self) -> dict[str, Plot]:
        """Plots by name: the ELBO, and the denoising PSNR where it is known, by latent size."""
        across = "length of the latent vector" if self.kind == "flat" else "latent channels"
        plots = {"elbo": self._plot("elbo", across, "ELBO, nats per pixel")}
        if self.is_restored:
            plots["denoising"] = self._plot("denoising_psnr", across, "denoised: PSNR, dB")
        return plots

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"rule": self.rule, "recommended": self.recommended.member.name}

    def _score(self, each: MemberFigures) -> float:
        found = each.denoising_psnr if self.is_restored else each.elbo
        return -np.inf if found is None else found

    def _plot(self, figure: str, x: str, y: str) -> Plot:
        groups: dict[str, list[MemberFigures]] = {}
        for each in self.members:
            levels = "" if each.member.levels is None else f", {each.member.levels} levels"
            groups.setdefault(f"β {each.member.beta:g}{levels}", []).append(each)
        curves = []
        for name, members in groups.items():
            ordered = sorted(members, key=lambda each: each.member.latent)
            across = tuple(float(each.member.latent) for each in ordered)
            curves.append(Curve(name, across, tuple(getattr(e, figure) for e in ordered)))
        return Plot(tuple(curves), x, y, is_log=True)


def members_of(
    kind: str,
    latent: Sequence[int] | None,
    beta: Sequence[float],
    levels: Sequence[int] | None,
) -> tuple[Member, ...]:
    """Every combination, once; InputError for an empty list or levels of the textbook VAE."""
    is_flat = kind == "flat"
    if is_flat and levels is not None:
        raise InputError("levels: the textbook VAE has one latent vector: leave them out")
    sizes = (FLAT_GRID if is_flat else HVAE_GRID)["latent"] if latent is None else latent
    depths = (None,) if is_flat else HVAE_GRID["levels"] if levels is None else levels
    if not (len(sizes) and len(beta) and len(depths)):
        raise InputError("latent, beta, levels: expected at least one number of each")
    chosen = (
        Member(int(size), float(weight), None if depth is None else int(depth))
        for depth, weight, size in product(depths, beta, sizes)
    )
    return tuple(dict.fromkeys(chosen))
