"""Latents: shapes, places and units; tables of regions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr


@settings(max_examples=6, deadline=None)
@given(height=st.integers(17, 70), width=st.integers(17, 70))
def test_any_size_comes_back(height: int, width: int) -> None:
    image = data.camera()[:height, 100 : 100 + width]
    latents = vr.encode(image)
    assert latents.strides == (16, 8, 4, 2)
    for stride, shape in zip(latents.strides, latents.shapes, strict=True):
        frame = [-(-side // 16) * 16 // stride for side in (height, width)]
        assert list(shape[2:]) == frame
    assert vr.decode(latents).shape == image.shape


def test_reconstruction_is_close_on_a_held_out_picture() -> None:
    image = data.camera()[:256, :256]
    decoded = vr.decode(vr.encode(image))
    assert decoded.dtype == image.dtype
    error = np.sqrt(np.square(decoded.astype(float) - image).mean())
    assert error < 0.1 * image.std()


@pytest.mark.parametrize(
    ("axes", "shape"), [("ZYX", (2, 24, 40)), ("CYX", (2, 24, 40)), ("YXS", (24, 40, 3))]
)
def test_axes_and_units_come_back(axes: str, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape).cumsum(1).cumsum(2)
    image = (1000 + 50 * values).astype(np.float32)
    latents = vr.encode(image, axes=axes)
    assert len(latents.levels[0].mean) == image.size // (24 * 40)
    decoded = vr.decode(latents)
    assert decoded.shape == image.shape
    correlation = np.corrcoef(decoded.ravel(), image.ravel())[0, 1]
    assert correlation > 0.85
    assert abs(decoded.mean() - image.mean()) < 0.2 * image.std()


def test_a_model_of_noisy_images_encodes_them(
    model: vr.Model, noisy: NDArray[np.float32], clean: NDArray[np.float32]
) -> None:
    decoded = vr.decode(vr.encode(noisy, model), model)
    error = [np.square(each - clean).mean() for each in (decoded, noisy)]
    assert error[0] < error[1]


def test_maps_lie_on_the_image() -> None:
    image = np.zeros((64, 64), np.float32)
    image[32:, :] = 1.0
    latents = vr.encode(image)
    for level, found in zip(latents.levels, latents.maps(), strict=True):
        assert found.data.shape == level.mean.shape[1:]
        # The last cell's far edge is the frame's.
        last = found.translate[-1] + found.scale[-1] * (found.data.shape[-1] - 1)
        assert last + found.scale[-1] / 2 == pytest.approx(63.5)
        assert level.enlarged((64, 64)).shape == (1, level.mean.shape[1], 64, 64)
    assert np.isfinite(latents.levels[0].std).all()


def test_changed_means_change_the_picture_there_only() -> None:
    latents = vr.encode(data.camera()[:128, :128])
    before = vr.decode(latents).astype(int)
    means = [level.mean.copy() for level in latents.levels]
    means[-1][..., 8:10, 8:10] += 2.0
    after = vr.decode(latents.with_means(means)).astype(int)
    changed = np.argwhere(before != after)
    assert len(changed)
    assert changed.max() < 64
    with pytest.raises(vr.InputError, match="shapes"):
        latents.with_means(means[1:])
    means[0][:] = np.nan
    with pytest.raises(vr.InputError, match="finite"):
        latents.with_means(means)


def test_latents_belong_to_their_model(model: vr.Model) -> None:
    latents = vr.encode(data.camera()[:32, :32])
    with pytest.raises(vr.InputError, match="another one"):
        vr.decode(latents, model)


def test_features_are_means_over_the_pixels_of_a_region() -> None:
    image = data.camera()[:48, :64]
    latents = vr.encode(image)
    labels = np.zeros(image.shape, int)
    labels[2:10, 4:20] = 3
    labels[20:40, 30:60] = 7
    table = vr.features(latents, labels)
    assert table["label"].tolist() == [3, 7]
    assert table["area"].tolist() == [8 * 16, 20 * 30]
    np.testing.assert_allclose(table["y"], [5.5, 29.5])
    np.testing.assert_allclose(table["x"], [11.5, 44.5])
    finest = latents.levels[-1].enlarged(image.shape)[0, 5]
    for row, label in enumerate((3, 7)):
        within = finest[labels == label]
        np.testing.assert_allclose(table["z2_05_mean"][row], within.mean(), atol=1e-5)
        np.testing.assert_allclose(table["z2_05_std"][row], within.std(), atol=1e-5)
    assert len(table) == 5 + 2 * 4 * 16


def test_features_of_stacks_channels_and_squares() -> None:
    image = np.stack([data.camera()[:70, :130], data.camera()[70:140, :130]])
    table = vr.features(vr.encode(image, axes="ZYX"))
    assert table["plane"].tolist() == [0] * 6 + [1] * 6
    assert table["area"].sum() == image.size
    colours = vr.features(vr.encode(image, axes="CYX"), np.ones((70, 130), np.uint8))
    assert {name.split("_")[0] for name in colours if "_z" in name} == {"c0", "c1"}
    with pytest.raises(vr.InputError, match="integer labels"):
        vr.features(vr.encode(image, axes="ZYX"), np.ones((70, 130)))
    with pytest.raises(vr.InputError, match="regions: expected the shape"):
        vr.features(vr.encode(image, axes="ZYX"), np.ones((3, 70, 130), int))
    with pytest.raises(vr.InputError, match="above 0"):
        vr.features(vr.encode(image, axes="ZYX"), np.zeros((70, 130), int))


def test_features_tell_textures_apart() -> None:
    """The point of the table: two textures fall into two groups along the first axis."""
    image = np.hstack([data.grass()[:256, :256], data.brick()[:256, :256]])
    table = vr.features(vr.encode(image))
    names = [name for name in table if name.endswith("_std")]
    values = np.stack([table[name] for name in names], axis=1)
    values = (values - values.mean(0)) / (values.std(0) + 1e-9)
    first = np.linalg.svd(values - values.mean(0), full_matrices=False)[0][:, 0]
    is_brick = table["x"] > 256
    assert max(
        first[is_brick].max() < first[~is_brick].min(),
        first[is_brick].min() > first[~is_brick].max(),
    )
