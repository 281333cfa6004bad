"""The sample images: there, small, with pixel size and licence."""

import pytest

from napari_vae_restore import InputError
from napari_vae_restore._napari.layers import sample_data
from napari_vae_restore.samples import SAMPLES, sample_path


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_small_pictures_with_labels(name):
    assert sample_path(name).stat().st_size < 600_000
    ((data, attributes, kind),) = getattr(sample_data, name)()
    assert kind == "image"
    assert data.ndim == 2
    assert attributes["axis_labels"] == ("y", "x")
    assert "CC BY 4.0" in attributes["metadata"]["licence"]


def test_cells_have_a_pixel_size():
    attributes = sample_data.cells()[0][1]
    assert attributes["scale"] == (0.229674, 0.229674)
    assert attributes["units"] == ("micrometer", "micrometer")


def test_every_sample_has_its_source_stated():
    text = sample_path("cells").with_name("SOURCES.md").read_text(encoding="utf-8")
    assert all(f"`{name}.tif`" in text for name in SAMPLES)


def test_an_unknown_sample_is_refused():
    with pytest.raises(InputError, match="cells"):
        sample_path("dogs")
