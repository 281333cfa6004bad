"""Choices that command line, Python and window share; light to import, for their help.

What becomes of outputs that exist, and how many samples an uncertainty takes.
"""

from typing import Final

from napari_vae_restore.errors import InputError

NEVER: Final = "never"
"""What this very run would make again is kept; anything else is an error at the start."""

MISSING: Final = "missing"
"""An image whose result exists is left out."""

ALWAYS: Final = "always"
"""All are made anew."""

POLICIES: Final = (NEVER, MISSING, ALWAYS)

SAMPLES: Final = 16
"""Samples that an uncertainty is computed from where their number is not given."""

_FEWEST: Final = 2
"""Samples that have a spread."""


def n_drawn(kept: int | None, *, has_uncertainty: bool, usual: int = SAMPLES) -> int:
    """How many samples to draw: none that nobody would see.

    Parameters
    ----------
    kept : int or None
        Samples that are written; None where nothing was said.
    has_uncertainty : bool
        Whether their standard deviation is.
    usual : int
        How many an uncertainty takes where nothing was said.

    Returns
    -------
    int
        At least two with an uncertainty.

    Raises
    ------
    InputError
        If fewer are asked for.
    """
    if not has_uncertainty:
        return kept or 0
    n_samples = max(usual, _FEWEST) if kept is None else kept
    if n_samples < _FEWEST:
        raise InputError(
            f"Expected at least {_FEWEST} samples for an uncertainty, but {n_samples} came: "
            "raise their number (--samples) or leave it out."
        )
    return n_samples
