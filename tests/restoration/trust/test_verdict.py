"""One verdict: silent where noise alone was removed, and where it was not, it says where."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy.ndimage import gaussian_filter
from skimage import data

from napari_vae_restore import GaussianNoise, PoissonGaussianNoise, denoise
from napari_vae_restore.restoration.blocks.tally import Tally
from napari_vae_restore.restoration.trust.evidence import Evidence, evidence
from napari_vae_restore.restoration.trust.verdict import check_noise, judged

NOISES = [
    GaussianNoise(3.0),
    GaussianNoise(20.0, (0.6, 0.3)),
    PoissonGaussianNoise(1.0, 9.0),
    PoissonGaussianNoise(30.0, 0.0),
    PoissonGaussianNoise(5.0, -100.0),
]


@pytest.fixture(scope="module")
def clean():
    return data.camera()[100:340, 100:340].astype(float)


@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("is_whole", [False, True])
def test_noise_alone_is_nothing_to_speak_of(clean, noise, is_whole):
    for seed in range(5):
        noisy = noise.sample(clean, np.random.default_rng(seed))
        if is_whole:
            noisy = noisy.round().astype(np.int32)
        found = evidence(noisy[None], clean[None], [noise])
        assert judged(found).grade == "keep"
        assert judged(found).text == ""
        assert found.n_marked == 0


@pytest.mark.parametrize("noise", NOISES[:3], ids=str)
def test_structure_that_went_is_found_where_it_was(clean, noise):
    noisy = noise.sample(clean, np.random.default_rng(0))
    spoiled = clean.copy()
    spoiled[60:120, 90:150] = gaussian_filter(clean, 4)[60:120, 90:150]
    verdict = judged(evidence(noisy[None], spoiled[None], [noise]))
    assert verdict.grade == "look"
    for region in verdict.regions:
        assert (region.top, region.left) < (120, 150)
        assert (region.bottom, region.right) > (60, 90)
    assert "Look there" in verdict.text
    everywhere = judged(evidence(noisy[None], gaussian_filter(clean, 8)[None], [noise]))
    assert everywhere.grade == "do not measure"


def test_lines_of_one_pixel_that_went_are_found(clean):
    noise = GaussianNoise(5.0)
    flat = np.full((96, 96), 50.0)
    line = flat.copy()
    line[48, 20:76] += 20.0
    noisy = noise.sample(line, np.random.default_rng(0))
    verdict = judged(evidence(noisy[None], flat[None], [noise]))
    assert verdict.grade == "look"
    assert all(region.top <= 48 < region.bottom for region in verdict.regions)


@pytest.mark.parametrize(("stated", "word"), [(40.0, "only 0.5"), (10.0, "2.0 ×")])
def test_noise_that_was_stated_wrong_is_told(clean, stated, word):
    """What it advises helps: the result of the noise that is measured is better."""
    noisy = GaussianNoise(20.0).sample(clean, np.random.default_rng(0)).astype(np.float32)
    wrong = denoise(noisy, noise=f"gaussian:{stated}")
    assert wrong.diagnostics.verdict.grade == "look"
    assert word in wrong.diagnostics.verdict.text
    assert "Let the noise be measured" in wrong.diagnostics.verdict.text
    advised = denoise(noisy)
    assert advised.diagnostics.verdict.grade == "keep"
    before, after = (np.square(out.mean - clean).mean() for out in (wrong, advised))
    assert after < 0.8 * before


def test_neighbours_that_were_stated_as_independent(clean):
    noise = GaussianNoise(20.0, (0.6, 0.6))
    noisy = noise.sample(clean, np.random.default_rng(0)).astype(np.float32)
    assert "Neighbours" in denoise(noisy, noise="gaussian:20").diagnostics.verdict.text
    assert denoise(noisy).diagnostics.verdict.grade == "keep"


def test_parts_of_a_plane_say_what_the_plane_says(clean):
    noise = GaussianNoise(10.0)
    noisy = noise.sample(clean, np.random.default_rng(0))
    spoiled = clean.copy()
    spoiled[:80, 160:] = 0
    whole = evidence(noisy[None], spoiled[None], [noise])
    parts = Evidence.total(
        evidence(
            noisy[None, top : top + 80, left : left + 80],
            spoiled[None, top : top + 80, left : left + 80],
            [noise],
            origin=(top, left),
        )
        for top in (0, 80, 160)
        for left in (0, 80, 160)
    )
    # A mean of 3 x 3 does not look over the border of a part.
    assert parts.n_blocks == whole.n_blocks
    assert parts.n_marked == pytest.approx(whole.n_marked, abs=2)
    assert parts.regions[0].top == whole.regions[0].top == 0
    assert parts.regions[0].left == whole.regions[0].left == 160


def test_saturated_and_missing_pixels_are_left_out(clean):
    noise = GaussianNoise(5.0)
    noisy = noise.sample(clean, np.random.default_rng(0)).clip(0, 255).round()
    burnt = np.where(clean > 150, 255, noisy).astype(np.uint8)
    assert judged(evidence(burnt[None], clean[None], [noise])).grade == "keep"
    seen = np.ones(clean.shape, bool)
    seen[20:90, 20:90] = False
    noisy[20:90, 20:90] = 1e4
    few = np.random.default_rng(0).poisson(0.3, clean.shape).clip(0, 1).astype(np.uint8)
    photons = PoissonGaussianNoise(1.0, 0.0)
    assert (
        judged(evidence(few[None], np.full((1, *clean.shape), 0.3), [photons])).grade == "keep"
    )
    assert judged(evidence(noisy[None], clean[None], [noise], seen[None])).grade == "keep"


def test_no_image_is_too_small_and_none_has_no_verdict():
    noise = GaussianNoise(5.0)
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (1, 40), (2, 3), (17, 15)):
        image = rng.normal(100, 5, shape)
        assert (
            judged(evidence(image[None], np.full((1, *shape), 100.0), [noise])).grade == "keep"
        )
    tiny = rng.normal(100, 5, (1, 1, 8, 8))
    found = check_noise(tiny, None, [noise])
    assert found is None or (found.level, found.alike) == (1.0, 0.0)  # it contradicts nobody


def test_what_a_store_keeps_of_a_block_is_read_back(clean):
    noise = GaussianNoise(5.0)
    found = evidence(clean[None], clean[None] + 50, [noise])
    tally = Tally(removed=2.0, n_observed=5, evidence=found)
    text = json.dumps(asdict(tally))
    assert TypeAdapter(Tally).validate_python(json.loads(text)) == tally
