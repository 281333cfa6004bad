"""The examples of the README and the docs run, with seconds for minutes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from numpy.typing import NDArray

from napari_vae_restore import GaussianNoise, Model
from napari_vae_restore.cli import main
from napari_vae_restore.images.image_files import read_image, write_image
from napari_vae_restore.samples import SAMPLES, sample_path
from napari_vae_restore.training import engine

NOISE = GaussianNoise(20.0)
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
GUIDES = [
    *(DOCS / f"{name}.md" for name in ("index", "quick-start", "judging", "which-supervision")),
    *sorted(DOCS.glob("tutorial-*.md")),
]
"""Pages whose commands run, too, one after another."""


def examples(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.S | re.M)


def viewer_with(noisy: NDArray[np.float32]) -> ViewerModel:
    """What a reader has open: cells, a stack, and scratches drawn on the cells."""
    viewer = ViewerModel()
    viewer.add_image(noisy, name="cells", scale=(0.5, 0.5), units="um", axis_labels=("y", "x"))
    viewer.add_image(np.stack([noisy, noisy]), name="stack", visible=False)
    scratch = np.array([[10.0, 10.0], [60.0, 50.0]])
    viewer.add_shapes([scratch], shape_type="line", edge_width=2, name="scratches")
    return viewer


@pytest.mark.parametrize("page", [p for p in PAGES if examples(p)], ids=lambda p: p.name)
def test_examples_run(
    page: Path,
    clean: NDArray[np.float32],
    noisy: NDArray[np.float32],
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "parse_budget", lambda budget: 0.5)
    if ".save(" not in page.read_text():
        model.save("mine.safetensors")
    mask = noisy > np.percentile(noisy, 99)
    names: dict[str, object] = {"noisy": noisy, "image": noisy, "mask": mask, "clean": clean}
    names["viewer"] = viewer_with(noisy)
    names["noisy_again"] = NOISE.sample(clean, np.random.default_rng(1))
    for example in examples(page):
        exec(compile(example, page.name, "exec"), names)


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(), flags=re.S | re.M)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("vae-restore ")]


def write_images(folder: Path, clean: NDArray[np.float32]) -> None:
    """What the guides' commands name: files, a mask, and folders whose files match."""
    for name in SAMPLES:
        write_image(folder / f"{name}.tif", read_image(sample_path(name)).data[:96, :96], "YX")
    write_image(folder / "other.tif", clean[:64, :64], "YX")
    write_image(folder / "dust.png", np.eye(96, dtype=np.uint8), "YX")
    rng = np.random.default_rng(0)
    for kind in ("noisy", "first", "again", "clean"):
        (folder / kind).mkdir()
        for i in range(2):
            part = clean[:96, 64 * i : 64 * i + 96]
            shot = part if kind == "clean" else NOISE.sample(part, rng)
            write_image(folder / kind / f"{i}.tif", shot.astype(np.float32), "YX")


@pytest.mark.parametrize("page", GUIDES, ids=lambda p: p.name)
def test_commands_run(
    page: Path,
    clean: NDArray[np.float32],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "parse_budget", lambda budget: 0.5)
    write_images(tmp_path, clean)
    for command in commands(page):
        assert main(shlex.split(command)[1:]) == 0, f"{command}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
