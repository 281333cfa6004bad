"""What is summed over the blocks of a restoration, for its diagnostics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.restoration.inference.blend import TileDecision
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.restoration.result import Decision, Unmeasured
from napari_vae_restore.restoration.trust.evidence import NO_EVIDENCE, Evidence, evidence


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over pixels."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    # Sums of squares: of what was removed, and of the noise that is to be removed.
    removed: float = 0.0
    expected: float = 0.0
    # Hot pixels, pixels that nothing measured, and those that something did.
    n_hot: int = 0
    n_unmeasured: int = 0
    n_observed: int = 0
    taken: float = 0.0  # shares of the network's answer, over the observed pixels
    # Estimated squared errors of the measurement and of the result, in units of the noise's
    # variance, where a decision was made.
    before: float = 0.0
    after: float = 0.0
    evidence: Evidence = NO_EVIDENCE  # what the residual says

    @classmethod
    def total(cls, parts: Sequence[Tally]) -> Tally:
        """The sum, rounded once: in whatever order blocks are done, it is the same."""
        sums: dict[str, Any] = {}
        for field in fields(cls):
            if field.name == "evidence":
                continue
            total = math.fsum(getattr(part, field.name) for part in parts)
            sums[field.name] = int(total) if field.name.startswith("n_") else total
        return cls(**sums, evidence=Evidence.total(part.evidence for part in parts))

    @property
    def residual_std(self) -> float | None:
        """RMS of what was removed over that of the noise that was expected.

        The quotient of the sums, not the mean of quotients: where a signal-dependent
        model expects next to no noise, single dark pixels would outweigh the picture.
        """
        return math.sqrt(self.removed / self.expected) if self.expected else None

    @property
    def decision(self) -> Decision | None:
        """How much of the network's answer was taken; None if nothing was observed."""
        if not self.n_observed:
            return None
        known = self.before > 0 and self.after > 0
        gain = 10 * math.log10(self.before / self.after) if known else None
        return Decision(self.taken / self.n_observed, gain)

    def unmeasured(self, values: Sequence[float] = ()) -> Unmeasured | None:
        """Pixels that nothing measured, and what they hold."""
        if not self.n_unmeasured:
            return None
        share = self.n_unmeasured / (self.n_unmeasured + self.n_observed)
        return Unmeasured(share, tuple(values))


def tally(
    measurement: Measurement,
    predicted: NDArray[np.float64],
    core: tuple[slice, ...],
    decided: TileDecision | None,
    is_hot: NDArray[np.bool_] | None,
    *,
    plane: int = 0,
    origin: tuple[int, int] = (0, 0),
) -> Tally:
    """Sums of one block, whose result gives A x = `predicted` (C, h, w) in its core.

    The core is a part of the measurement's window as `decided` is; `origin` is its first pixel
    in the plane, in pixels of the input.
    """
    if not measurement.noise:
        return Tally()
    seen = measurement.seen[core]
    taken = np.ones(predicted.shape) if decided is None else decided.taken
    removed = expected = 0.0
    for channel, model in enumerate(measurement.noise):
        residual = measurement.intensities[core][channel].astype(np.float64)
        residual -= predicted[channel]
        noise = model.variance(predicted[channel]) * np.square(taken[channel])
        removed += float(np.square(residual).sum(where=seen[channel]))
        expected += float(noise.sum(where=seen[channel]))
    unmeasured = measurement.unmeasured
    measured = measurement.intensities[core]
    cool = seen if is_hot is None else seen & ~is_hot[core]
    places: dict[str, Any] = {"plane": plane, "origin": origin}
    return Tally(
        removed=removed,
        expected=expected,
        n_hot=0 if is_hot is None else int(is_hot[core].sum()),
        n_unmeasured=0 if unmeasured is None else int(unmeasured[core].sum()),
        n_observed=int(seen.sum()),
        taken=float(taken.sum(where=seen)),
        before=0.0 if decided is None else float(decided.before.sum()),
        after=0.0 if decided is None else float(decided.after.sum()),
        evidence=evidence(measured, predicted, measurement.noise, cool, **places),
    )
