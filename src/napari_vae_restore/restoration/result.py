"""What a restoration returns: the picture, how sure it is, and how it was made."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.models.error_calibration import ErrorCalibration
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.trust import intervals
from napari_vae_restore.restoration.trust.invented import invented
from napari_vae_restore.restoration.trust.verdict import KEEP, Verdict

# Share of the answer, or of the measurement, that is not worth a word.
_NEXT_TO_NOTHING: Final = 0.02


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that is needed to repeat a restoration on the same image.

    Attributes
    ----------
    tasks : tuple of dict
        The JSON form of each task.
    noise : tuple of str
        The noise model used for each channel, as :func:`~.noise.parse_noise` reads it.
    model, model_sha256 : str
        The model's name and hash.
    axes : str
        Axes of the image.
    n_samples, tile, seed : int
        As given to :func:`~.restore.restore`.
    package_version : str
        Version of this package.
    image_sha256 : str
        Hash of the file that the image came from; empty for an array.
    """

    tasks: tuple[dict[str, Any], ...]
    noise: tuple[str, ...]
    model: str
    model_sha256: str
    axes: str
    n_samples: int
    tile: int
    seed: int
    package_version: str
    image_sha256: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict())


@dataclass(frozen=True, slots=True)
class Decision:
    """How much of the network's answer was taken, as the data decided."""

    # Mean share of the network's answer over the measured pixels, 0 to 1; the rest of each
    # pixel is the measurement.
    share: float
    # Expected gain over the measurement in dB, by Stein's unbiased risk estimate, over the
    # pixels for which a decision was needed; None where none was.
    gain: float | None

    @property
    def text(self) -> str:
        """In words."""
        if self.share < _NEXT_TO_NOTHING:
            return "Too little noise to remove without harm: the image was left as it is."
        expected = "" if self.gain is None else f" Expected gain: {self.gain:.1f} dB."
        if self.share > 1 - _NEXT_TO_NOTHING:
            return f"The network's answer was taken whole.{expected}"
        return f"Little noise: {self.share:.0%} of the network's change was taken.{expected}"


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """Pixels that nothing measured, and that keep what they hold."""

    share: float  # of all pixels, 0 to 1
    # What they hold, the most frequent first, NaN included; empty for stores.
    values: tuple[float, ...] = ()

    @property
    def text(self) -> str:
        """In words."""
        percent = "less than 0.1 %" if self.share < 0.001 else f"{100 * self.share:.2g} %"
        is_one = len(self.values) == 1
        held = f"exactly {self.values[0]:g}" if is_one else "one repeated value"
        return f"{percent} of the pixels hold {held} and were left as they are."


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What to look at before a result is believed.

    Attributes
    ----------
    residual_std : float or None
        Root mean square of (image - A mean) over that of the noise expected. Near 1
        when exactly the noise was removed and structure is rare; below 1 where structure
        is as fine as noise, or the data decided to keep it. What it means, `verdict` says.
        None for an image that was taken as noise-free.
    noise : tuple of NoiseModel
        What each channel's noise was found, or said, to be, its spatial correlation
        included; empty for an image that was taken as noise-free.
    n_hot_pixels : int
        Single pixels far above all of their neighbours, which no optics can draw: the
        median of their surroundings stood in for them.
    n_tiles : int
        Tiles computed.
    halo : int
        Surroundings of each tile in pixels; 0 where a plane fitted into one tile.
    seconds : float
        Wall time.
    device : str
        Where it ran.
    notes : tuple of str
        Measures against lack of memory, in words; none as a rule.
    warnings : tuple of str
        What should make one careful, in words, with what to do; empty as a rule. Of lazy
        arrays nothing is looked at for them, of stores, whose noise is removed, a spot.
    ood_score : float or None
        Out-of-distribution score: distance of the image from those that the model was
        trained on, relative to the limit that these keep: above 1 it is of another kind.
        None where more than noise was to be undone, of lazy arrays, and by a model that does
        not know what it was trained on; of stores, that of a spot.
    decision : Decision or None
        How much of the network's answer was taken; None where no noise was to be removed,
        of blur, whose inference weighs the measurement itself, and of lazy arrays.
    unmeasured : Unmeasured or None
        Pixels that nothing measured; None where there are none, and of lazy arrays.
    verdict : Verdict
        Whether the result may be kept, by what was removed: "keep" where nothing speaks
        against it, where no noise was to be removed, and of lazy arrays.
    """

    residual_std: float | None
    noise: tuple[NoiseModel, ...]
    n_hot_pixels: int
    n_tiles: int
    halo: int
    seconds: float
    device: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    ood_score: float | None = None
    decision: Decision | None = None
    unmeasured: Unmeasured | None = None
    verdict: Verdict = KEEP

    @property
    def unlikeness(self) -> float | None:
        """Deprecated name of `ood_score`."""
        _deprecated("unlikeness", "ood_score")
        return self.ood_score

    @property
    def findings(self) -> tuple[str, ...]:
        """What was left as it is, in sentences; empty if nothing was."""
        found = []
        if self.decision is not None and self.decision.share <= 1 - _NEXT_TO_NOTHING:
            found.append(self.decision.text)
        if self.unmeasured is not None:
            found.append(self.unmeasured.text)
        return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class NoisyHoles:
    """The holes of a noisy image, whose uncertainty is calibrated apart."""

    mask: NDArray[Any]  # bool, the shape of `std`: True where a pixel was filled
    # What the model's calibration says of `std` there; None for a model that was calibrated
    # without such mixtures.
    error_calibration: ErrorCalibration | None


@dataclass(frozen=True, slots=True)
class Restoration:
    """A restored image.

    Attributes
    ----------
    mean : ndarray
        Least-squares estimate, in the image's axes, dtype and intensity range.
    std : ndarray or None
        Standard deviation of the samples per pixel (float32, intensity units); None for
        fewer than two samples. Alpha has none: for RGBA it has three samples.
    samples : ndarray or None
        (n_samples, \\*image.shape) in the image's dtype, where they were asked for.
    recipe : Recipe
        How to repeat it.
    diagnostics : Diagnostics
        How well it went.
    error_calibration : ErrorCalibration or None
        What the model's calibration says of `std`; None for a model without one.
    filled : NoisyHoles or None
        The holes of a noisy image; None where there are none, and without samples.
    """

    mean: NDArray[Any]
    std: NDArray[Any] | None
    samples: NDArray[Any] | None
    recipe: Recipe
    diagnostics: Diagnostics
    error_calibration: ErrorCalibration | None = None
    filled: NoisyHoles | None = None

    @property
    def spread(self) -> ErrorCalibration | None:
        """Deprecated name of `error_calibration`."""
        _deprecated("spread", "error_calibration")
        return self.error_calibration

    def expected_error(self) -> NDArray[np.float32]:
        """How far the mean is from the truth, as a rule, pixel by pixel.

        Returns
        -------
        numpy.ndarray
            Root mean square error to be expected, float32, intensity units, the shape of
            `std`: that which pictures with known truth had where samples deviated as much.
            The standard deviation itself for a model without calibration.

        Raises
        ------
        InputError
            If there were fewer than two samples.
        """
        return intervals.expected_error(self)

    def interval(self, level: float = 0.9) -> tuple[NDArray[Any], NDArray[Any]]:
        """Bounds between which the truth is expected to lie.

        Parameters
        ----------
        level : float
            Share of pixels whose truth they contain, on average over pictures like those
            of the calibration; above 0, at most 0.99.

        Returns
        -------
        tuple of numpy.ndarray
            Lower and upper bound, float32, intensity units, the shape of `std`. Those of a
            Gaussian with that deviation for a model without calibration.

        Raises
        ------
        InputError
            If there were fewer than two samples, or for another level.

        References
        ----------
        A. N. Angelopoulos and S. Bates, "A gentle introduction to conformal prediction",
        2021, arXiv:2107.07511; here with one quantile for each task.
        """
        return intervals.interval(self, level)

    def invented(self) -> NDArray[np.float32]:
        """How much of each pixel the prior supplies, where the data leave it open.

        Returns
        -------
        numpy.ndarray
            Posterior over prior variance, float32 in [0, 1], the shape of `std`: 0 where the
            measurement determines the pixel, 1 where it is drawn as freely as a picture
            like this one allows; 1 minus it is the share of variance that the data explain.
            The posterior variance is the square of :meth:`expected_error`. The prior variance
            is that of the plane's values under the posterior, its mean included (the law of
            total variance); of an enlarged picture that of the component which the coarser
            pixels do not see, (1 - A⁺ A) x.

        Raises
        ------
        InputError
            If there were fewer than two samples.
        """
        return invented(self)


def _deprecated(old: str, new: str) -> None:
    warnings.warn(f"{old} is now {new}", DeprecationWarning, stacklevel=3)
