"""The manifest: valid, linked at the root, and all that it names is there."""

from importlib import metadata, resources
from pathlib import Path
from xml.etree import ElementTree

import pytest
from npe2 import PluginManifest

ROOT = Path(__file__).parents[2]
WIDGETS = [
    "Denoise",
    "Inpaint",
    "Super-resolve",
    "Train & Adapt",
    "Check & Compare",
    "Batch",
    "Enhance",
    "Explore",
]


@pytest.fixture(scope="module")
def manifest():
    """The manifest as an installed package gives it."""
    return PluginManifest.from_distribution("napari-vae-restore")


def test_the_manifest_is_valid_and_its_commands_can_be_imported(manifest):
    manifest.validate_imports()
    assert manifest.display_name == "VAE Restore"
    assert [each.display_name for each in manifest.contributions.widgets] == WIDGETS


def test_the_manifest_at_the_root_is_the_one_of_the_package():
    package = ROOT / "src" / "napari_vae_restore" / "napari.yaml"
    assert (ROOT / "napari.yaml").resolve() == package.resolve()


def test_samples_of_the_manifest_are_those_of_the_package(manifest):
    from napari_vae_restore.samples import SAMPLES

    found = {each.key: each.display_name for each in manifest.contributions.sample_data}
    assert found.pop("scratched")
    assert found == dict(SAMPLES)


def test_the_hub_finds_what_it_shows(manifest):
    """Summary, classifier and README from the package, icon and category from the manifest."""
    package, _, name = manifest.icon.partition(":")
    with resources.as_file(resources.files(package) / name) as icon:
        assert ElementTree.parse(icon).getroot().get("viewBox") == "0 0 64 64"
    assert [str(each) for each in manifest.categories] == ["Image Processing"]
    assert manifest.visibility == "public"
    about = metadata.metadata("napari-vae-restore")
    assert "Framework :: napari" in about.get_all("Classifier")
    assert 40 < len(about["Summary"]) < 200
    assert about["Description-Content-Type"] == "text/markdown"


@pytest.mark.gui
@pytest.mark.parametrize(
    "name", ["Denoise", "Inpaint", "Super-resolve", "Train & Adapt", "Batch"]
)
def test_widgets_open_through_the_plugin_engine(open_widget, name):
    assert open_widget(name).status
