"""What of a restored picture was measured and what a model supplied: a map, and words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.images.layout import Layout
from napari_vae_restore.operators import Downsampling
from napari_vae_restore.restoration.tasks import KINDS, SuperResolve

if TYPE_CHECKING:
    from napari_vae_restore.restoration.result import Restoration

_SAMPLE: Final = (
    "One of many pictures that agree with the measurement, drawn at random by a model: for "
    "judging how sure the restoration is, not for measuring."
)
_DRAWN: Final = (
    "What was missing was filled in with one of many plausible pictures, drawn at random by a "
    "model: that is no measurement."
)
# What every picture that shows nothing real says.
GENERATED: Final = "Drawn by a model: nothing in this picture was measured."


def invented(result: Restoration) -> NDArray[np.float32]:
    """See :meth:`~.result.Restoration.invented`."""
    posterior = np.square(result.expected_error().astype(np.float64))
    axes = result.recipe.axes
    mean = Layout.of(np.asarray(result.mean), axes).without_alpha(np.asarray(result.mean))
    layout = Layout.of(posterior, axes)
    open_to_it = layout.to_planes(mean).astype(np.float64)
    for task in result.recipe.tasks:
        if task["kind"] == SuperResolve.kind:
            coarser = Downsampling(int(task["factor"]), str(task["kernel"]))
            open_to_it = open_to_it - coarser.pseudo_inverse(coarser.apply(open_to_it))
    remaining = layout.to_planes(posterior)
    # The law of total variance: that of the means and the mean of the variances.
    prior = open_to_it.var(axis=(2, 3), keepdims=True)
    prior = prior + remaining.mean(axis=(2, 3), keepdims=True)
    share = remaining / np.maximum(prior, np.finfo(np.float64).tiny)
    return layout.from_planes(share.clip(0, 1).astype(np.float32))


def note_on(tasks: Iterable[Mapping[str, Any]], kind: str = "mean") -> str:
    """What is to be known of a result's pixels before they are measured on."""
    tasks = tuple(tasks)
    if kind.startswith("sample"):
        return _SAMPLE
    if any(task.get("fill") == "sample" for task in tasks) and kind == "mean":
        return _DRAWN
    kinds = [KINDS[task["kind"]] for task in tasks if task["kind"] in KINDS]
    done = [kind.supplied for kind in kinds if kind.supplied]
    if not done or kind != "mean":
        return ""
    text = f"{' and '.join(done)} by a model: that is no measurement."
    return text[0].upper() + text[1:]
