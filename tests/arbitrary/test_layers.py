"""What takes napari's layers, on layers of arbitrary images and drawings; no window."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels, Shapes

import napari_vae_restore as vr
from napari_vae_restore._napari.layers.placement import RECIPE_KEY
from strategies import Picture, answer, cases, pictures

PLACES = st.fixed_dictionaries(
    {},
    optional={
        "scale": st.tuples(*[st.sampled_from((0.25, 1.0, 3.0))] * 2),
        "translate": st.tuples(*[st.floats(-50, 50)] * 2),
        "rotate": st.floats(-180, 180),
        "shear": st.sampled_from(([0.0], [0.3])),
    },
)
SHAPES = ("polygon", "rectangle", "ellipse", "line", "path")
CORNERS = {"line": 2, "rectangle": 4, "ellipse": 4}
POINTS = st.lists(st.tuples(*[st.floats(-40, 120)] * 2), min_size=3, max_size=6, unique=True)


@st.composite
def drawings(draw: st.DrawFn) -> Shapes | Labels:
    """Of two dimensions: labels, or up to three shapes anywhere."""
    place = draw(PLACES)
    if draw(st.booleans()):
        seed, sides = draw(st.integers(0, 9)), draw(st.tuples(*[st.integers(1, 60)] * 2))
        return Labels(np.random.default_rng(seed).integers(0, 3, sides), **place)
    kinds = draw(st.lists(st.sampled_from(SHAPES), max_size=3))
    points = [np.array(draw(POINTS)) for _ in kinds]
    corners = [
        np.resize(each, (CORNERS.get(kind, len(each)), 2))
        for kind, each in zip(kinds, points, strict=True)
    ]
    return _of_napari(lambda: Shapes(corners or None, shape_type=kinds, ndim=2, **place))


def _of_napari(make: Any) -> Any:
    """A layer, unless napari has none for such values."""
    with warnings.catch_warnings(action="ignore"):
        try:
            return make()
        except Exception:  # of any type
            assume(False)


def _image(p: Picture) -> Image:
    return _of_napari(lambda: Image(p.array, rgb=p.letters.endswith("S")))


@cases()
@given(pictures(), drawings(), st.sampled_from((None, True, False)))
def test_a_mask_or_words(p: Picture, drawn: Shapes | Labels, everywhere: bool | None) -> None:
    image = _image(p)
    sides = tuple(p.array.shape[p.letters.index(axis)] for axis in "YX")

    def mask_of(p: Picture) -> Any:
        mask = vr.mask_of(drawn, image, axes=p.axes, all_planes=everywhere)
        assert mask.dtype == bool
        assert mask.shape in (sides, p.array.shape, p.array.shape[:-1])
        return mask

    answer(mask_of, p, least=1)


@cases(25)
@given(pictures(), drawings())
def test_a_filling_beside_its_image_or_words(
    every_task: vr.Model, p: Picture, drawn: Shapes | Labels
) -> None:
    image = _image(p)

    def fill(p: Picture) -> Any:
        out = vr.inpaint(image, drawn, every_task, axes=p.axes, n_samples=2)
        layers = vr.add_to_viewer(ViewerModel(), out, like=image)
        assert layers[0].data.shape == p.array.shape
        assert layers[0].metadata[RECIPE_KEY]
        return layers

    answer(fill, p, least=1000)
