"""What becomes of outputs that exist, and how many samples an uncertainty takes.

Command line, Python and window share these choices; the module is light to import.
"""

from typing import Final

from napari_vae_restore.errors import InputError

# Results that this run would make again are kept; any other is an error at the start.
NEVER: Final = "never"
MISSING: Final = "missing"  # images whose results exist are left out
ALWAYS: Final = "always"  # all results are made anew
POLICIES: Final = (NEVER, MISSING, ALWAYS)

SAMPLES: Final = 16  # for an uncertainty, where their number is not given
_FEWEST: Final = 2  # that a standard deviation needs


def n_drawn(kept: int | None, *, has_uncertainty: bool, usual: int = SAMPLES) -> int:
    """How many samples to draw: those that are kept, or that an uncertainty needs.

    `kept` is None where nothing was said; `usual` is what an uncertainty takes then.
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
