"""The noise report: what is found, on which evidence, how it is overridden and drawn."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.noise.correlation import WHITE, lag_one

ROW = vr.Autoregression("row", (0.8,))
COLUMN = vr.Autoregression("column", (0.8,))


GEOMETRIC = vr.Autoregression("plane", (0.6, -0.36, 0.6, 0.0))


def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def noisy_with(clean, correlation=WHITE, sigma=25.0) -> np.ndarray:
    return vr.GaussianNoise(sigma, correlation).sample(clean, rng()).astype(np.float32)


def report(image, **options) -> vr.NoiseReport:
    return vr.estimate_noise(image, device="cpu", **options)


@pytest.mark.parametrize(
    ("correlation", "expected"),
    [
        (WHITE, (0.0, 0.0)),
        (ROW, (0.0, 0.8)),
        (COLUMN, (0.8, 0.0)),
        ((0.6, 0.6), (0.6, 0.6)),
        (GEOMETRIC, (0.6, 0.6)),
    ],
    ids=str,
)
def test_level_and_neighbours_are_found(clean, correlation, expected):
    # Texture hides how geometric noise differs from blurred noise: a calmer picture shows it.
    calm = data.camera()[100:356, 50:306].astype(np.float32)
    scene = calm if correlation is GEOMETRIC else clean
    (channel,) = report(noisy_with(scene, correlation)).channels
    assert channel.noise.sigma == pytest.approx(25, rel=0.12)
    assert lag_one(channel.noise.correlation) == pytest.approx(expected, abs=0.12)
    assert channel.lag_one == pytest.approx(expected, abs=0.17)
    assert channel.level == pytest.approx(1, abs=0.2)
    assert channel.doubt == ""
    if isinstance(correlation, vr.Autoregression):
        assert channel.noise.correlation.direction == correlation.direction


def test_signal_dependence_is_found_and_used(clean, noisy):
    found = report(noisy)
    (channel,) = found.channels
    assert channel.noise.kind == "poisson-gaussian"
    curve = channel.curve
    truth = 4.0 * curve.signal + 4.0
    bulk = curve.count > 0.02 * noisy.size
    np.testing.assert_allclose(curve.variance[bulk], truth[bulk], rtol=0.4)
    restored = vr.denoise(noisy, noise=found.noise, device="cpu").mean
    assert np.mean((restored - clean) ** 2) < 0.2 * np.mean((noisy - clean) ** 2)


def test_a_mixture_is_bootstrapped_from_the_pilot(clean, noisy):
    found = report(noisy, kind="mixture")
    (noise,) = found.noise
    levels = np.percentile(clean, [20, 50, 80])
    np.testing.assert_allclose(np.sqrt(noise.variance(levels) / (4 * levels + 4)), 1, atol=0.25)
    restored = vr.denoise(noisy, noise=noise, device="cpu")
    assert np.mean((restored.mean - clean) ** 2) < 0.2 * np.mean((noisy - clean) ** 2)
    assert vr.parse_noise(restored.recipe.noise[0]) == noise


def test_frames_of_a_static_scene_need_no_pilot(clean):
    scene = clean[:96, :96]
    frames = np.stack(
        [
            vr.PoissonGaussianNoise(4.0, 4.0, ROW).sample(scene, np.random.default_rng(seed))
            for seed in range(8)
        ]
    )
    found = vr.estimate_noise(frames, axes="TYX", frames="T", model="no such file")
    (channel,) = found.channels
    assert found.source == "frames"
    levels = np.percentile(scene, [10, 50, 90])
    ratio = np.sqrt(channel.noise.variance(levels) / (4 * levels + 4))
    np.testing.assert_allclose(ratio, 1, atol=0.1)
    assert lag_one(channel.noise.correlation) == pytest.approx((0, 0.8), abs=0.05)
    mixture = vr.estimate_noise(frames, axes="TYX", frames="T", kind="mixture")
    assert mixture.noise[0].kind == "mixture"


def test_frames_of_few_photons_ask_for_a_mixture(clean):
    scene = clean[:96, :96] / 4
    draw = rng()
    frames = np.stack([draw.poisson(scene / 8) * 8 for _ in range(8)]).astype(np.uint16)
    found = vr.estimate_noise(frames, axes="TYX", frames="T")
    assert found.noise[0].kind == "mixture"


def test_hot_pixels_saturation_and_dark_counts_give_sensible_noise(clean, noisy):
    hot = np.where(rng().random(noisy.shape) < 0.001, 60000, noisy).astype(np.float32)
    for kind in ("auto", "mixture"):
        (found,) = report(hot, kind=kind).noise
        # Where the picture has most of its pixels: a mixture knows nothing of others.
        assert np.sqrt(found.variance(170.0)) == pytest.approx(np.sqrt(684), rel=0.25)
    saturated = noisy.clip(0, 170).round().astype(np.uint8)
    assert np.isfinite(report(saturated, kind="mixture").noise[0].variance([0, 170])).all()
    dark = vr.PoissonGaussianNoise(1.0, 0.5).sample(clean / 60, rng()).round().clip(0, 255)
    (found,) = report(dark.astype(np.uint8), kind="mixture").noise
    assert 0.5 < np.sqrt(found.variance(2.0)) < 3


def test_what_is_known_overrides_what_is_measured(clean):
    image = noisy_with(clean, ROW)
    (white,) = report(image, correlation="white").channels
    assert white.noise.correlation == WHITE
    assert "contradicts" in white.doubt
    assert "along X" in str(white)
    (column,) = report(image, correlation="column").channels
    assert column.noise.correlation.direction == "column"
    assert report(image, kind="gaussian").noise[0].kind == "gaussian"


def test_channels_have_noise_of_their_own(clean):
    image = np.stack([noisy_with(clean, sigma=10), noisy_with(clean, ROW, 30)])
    found = report(image, axes="CYX")
    assert [round(each.sigma, -1) for each in found.noise] == [10, 30]
    assert str(found).startswith("channel 1: ")
    assert len(str(found).splitlines()) == 2


def test_pure_noise_is_flat(clean):
    for correlation in (ROW, (0.6, 0.6)):
        image = noisy_with(np.full((192, 192), 100.0), correlation)
        out = vr.denoise(image, device="cpu")
        assert out.mean.std() < 0.25 * 25
        assert out.mean.mean() == pytest.approx(image.mean(), abs=2)


def test_lines_are_removed_where_a_white_model_leaves_them(clean):
    image = noisy_with(clean, ROW)
    told = vr.denoise(image, noise="auto", device="cpu").mean
    white = vr.denoise(image, noise="gaussian:25", device="cpu").mean
    gain = 10 * np.log10(np.mean((white - clean) ** 2) / np.mean((told - clean) ** 2))
    assert gain > 2  # of a textured picture; benchmarks/correlated_noise.py has micrographs


def test_report_as_json_and_picture(clean, tmp_path):
    found = report(noisy_with(clean, ROW))
    form = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    (channel,) = form["channels"]
    assert channel["type"] == "gaussian"
    assert vr.parse_noise(channel["noise"]) == found.noise[0]
    assert len(channel["residual"]["autocorrelation"]) == 13
    assert channel["variance"]["signal"] == sorted(channel["variance"]["signal"])
    text = found.plot(tmp_path / "noise.svg")
    assert (tmp_path / "noise.svg").read_text(encoding="utf-8") == text
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg")
    assert root.find(".//{*}svg") is None  # which Qt and others would not show
    with pytest.raises(vr.InputError, match=r"\.svg"):
        found.plot(tmp_path / "noise.png")


@pytest.mark.parametrize(
    "options",
    [{"kind": "speckle"}, {"correlation": "diagonal"}, {"frames": "T"}, {"frames": "Y"}],
    ids=str,
)
def test_unusable_options_are_refused(noisy, options):
    with pytest.raises(vr.InputError):
        report(noisy, **options)


def test_too_few_or_equal_frames_are_refused(clean):
    with pytest.raises(vr.InputError, match="at least 4 frames"):
        vr.estimate_noise(np.stack([clean] * 2), axes="TYX", frames="T")
    with pytest.raises(vr.InputError, match="do not differ"):
        vr.estimate_noise(np.stack([clean] * 5), axes="TYX", frames="T")
