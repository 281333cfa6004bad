"""``vr.evaluate``: the figures of models of each kind, in words, as JSON and as a page."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from numpy.typing import NDArray

import napari_vae_restore as vr
from napari_vae_restore.evaluation import metrics
from napari_vae_restore.evaluation.page import page
from napari_vae_restore.reports.plot import Curve, Plot

Image = NDArray[np.float32]


@pytest.fixture(scope="module")
def found(model: vr.Model, noisy: Image, clean: Image) -> vr.Evaluation:
    return vr.evaluate(model, noisy, clean, n_samples=4)


def test_a_model_of_noisy_images(
    found: vr.Evaluation, model: vr.Model, noisy: Image, clean: Image
) -> None:
    assert found.kind == "hvae"
    assert found.measured_on == "images"
    assert found.elbo == pytest.approx(found.log_likelihood - found.kl)
    assert model.record.elbo is not None
    # Of the picture that it was trained on, as its record has it of held-out patches.
    assert found.elbo == pytest.approx(model.record.elbo, abs=0.2)
    assert [level.stride for level in found.levels] == [2, 4, 8]
    assert sum(level.active or 0 for level in found.levels) > 0
    assert found.before is not None
    assert found.restoration is not None
    assert found.before.psnr == pytest.approx(metrics.psnr(noisy, clean))
    restored = vr.denoise(noisy, model, n_samples=4).mean
    assert found.restoration.psnr == pytest.approx(metrics.psnr(restored, clean))
    assert found.restoration.psnr > found.before.psnr + 3
    rebuilt = vr.decode(vr.encode(noisy, model), model)
    assert found.reconstruction.mse == pytest.approx(metrics.rmse(rebuilt, noisy) ** 2)


def test_coverage_is_counted_over_pixels(
    found: vr.Evaluation, model: vr.Model, noisy: Image, clean: Image
) -> None:
    assert found.calibration is not None
    low, high = vr.denoise(noisy, model, n_samples=4).interval(0.9)
    share = float(np.mean((low <= clean) & (clean <= high)))
    place = found.calibration.levels.index(0.9)
    assert found.calibration.coverage[place] == pytest.approx(share)
    assert all(np.diff(found.calibration.coverage) >= 0)
    assert all(np.diff(found.calibration.expected_error) >= 0)


def test_the_bundled_model_is_measured_on_clean_images(clean: Image, noisy: Image) -> None:
    alone = vr.evaluate("default", clean)
    beside = vr.evaluate("default", noisy, clean, n_samples=0)
    assert alone.elbo == beside.elbo
    assert (alone.measured_on, beside.measured_on) == ("images", "references")
    assert alone.elbo > vr.evaluate("default", noisy).elbo + 1
    assert beside.calibration is None
    assert alone.reconstruction.psnr > 30


def test_a_flat_model_takes_images_of_other_sizes() -> None:
    images = np.random.default_rng(0).normal(100, 20, (12, 25, 25))
    model = vr.train(
        images, steps=3, noise="gaussian:20", config=vr.FlatVAEConfig(size=28, z_dim=2)
    )
    found = vr.evaluate(model, images)
    assert found.kind == "flat"
    assert found.n_planes == 12
    assert found.n_values == 12 * 28 * 28
    assert vr.decode(vr.encode(images, model), model).shape == images.shape


def test_json_and_page(found: vr.Evaluation) -> None:
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["elbo"] == found.elbo
    assert values["levels"][0]["kl"] == found.levels[0].kl
    assert values["images"][0]["restoration"]["psnr"] == found.images[0].restoration.psnr
    text = page(found)
    assert f"{found.elbo:.4f} nats" in text
    assert text.count("data:image/png") == 4
    assert "http" not in text


def test_as_many_references_as_images(model: vr.Model, noisy: Image, clean: Image) -> None:
    with pytest.raises(vr.InputError, match="as many images"):
        vr.evaluate(model, [noisy, noisy], [clean])


@pytest.mark.parametrize("is_log", [False, True])
@pytest.mark.parametrize("values", [(2.0,), (2.0, 8.0), (-3.0, -1.5)])
def test_plots_are_svg(values: tuple[float, ...], is_log: bool) -> None:
    curve = Curve("a < b", tuple(abs(value) for value in values), values)
    root = ET.fromstring(Plot((curve,), "x", "y & z", is_log=is_log).svg("file"))
    dots = [node for node in root.iter() if node.get("r") == "3.5"]
    assert len(dots) == len(values)
    width = float(root.get("width"))
    assert all(0 < float(dot.get("cx")) < width for dot in dots)
