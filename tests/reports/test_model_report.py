"""A model's report: its words, its page, and what the page replaces."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

import napari_vae_restore as vr
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.model import Normalisation, TrainingRecord, build_network
from napari_vae_restore.reports.model_page import page, report_path, write_report
from napari_vae_restore.reports.model_report import report_of, sheet

RECORD = TrainingRecord(
    n_steps=7,
    seconds=1.5,
    seed=3,
    elbo=-0.25,
    kl=(0.1, 0.2),
    is_held_out=False,
    n_planes=2,
    n_pixels=8192,
    package_version="0.1.0",
    sources=("a.tif", "b.tif"),
    supervision="noisy images",
    start="default",
    figures=(("PSNR", 31.25), ("peer", "median 29")),
)
CONFIGS = [
    vr.HVAEConfig(levels=2, width=8, latent=4),
    vr.HVAEConfig(levels=2, width=8, latent=4, channels=3),
    vr.HVAEConfig(levels=7, width=4, latent=2),
    vr.FlatVAEConfig(size=16, width=8, z_dim=4),
    RestorationConfig(widths=(8, 8), depths=(1, 1), width=8, latent=4),
]


def make(config=CONFIGS[0], name="mine", noise=None, record=RECORD):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(config).eval()
    return vr.Model(network, Normalisation(1.5, 2.25), noise, record, name=name)


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_every_kind_of_model_has_a_report(config):
    before = torch.random.get_rng_state()
    report = report_of(make(config))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert report.samples.shape[:2] == (16, config.channels)
    assert np.array_equal(report.samples, report_of(make(config)).samples)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["sha256"] == report.sha256
    assert ("inpaint" in report.tasks) == isinstance(config, RestorationConfig)
    assert sheet(report.samples).ndim == (3 if config.channels == 3 else 2)
    assert "<svg" in page(report)


def test_the_words_tell_what_was_recorded():
    rows = dict(report_of(make(noise=vr.GaussianNoise(12.5))).rows())
    assert rows["Noise"] == "Gaussian, standard deviation 12.5"
    assert rows["Trained"] == "7 steps in 2 s on 2 planes, 8192 pixels"
    assert rows["Data"] == "a.tif, b.tif"
    assert rows["From"] == "noisy images"
    assert rows["Started as"] == "default"
    assert rows["ELBO"] == "-0.2500 nats per pixel, on pixels it was trained on"
    assert report_of(make()).kl_rows() == [("every 2 px", 0.1), ("every 4 px", 0.2)]
    assert report_of(make()).figure_rows() == [("PSNR", "31.25"), ("peer", "median 29")]


def test_what_was_not_recorded_is_said():
    report = report_of(make(record=TrainingRecord()))
    rows = dict(report.rows())
    assert rows["Trained"] == rows["ELBO"] == "not recorded"
    assert "Not recorded." in page(report)
    many = replace(RECORD, sources=tuple(f"{n}.tif" for n in range(20)))
    assert dict(report_of(make(record=many)).rows())["Data"].endswith("5.tif and 14 more")


def test_the_bundled_model_has_a_report():
    from napari_vae_restore.models.bundled import find_model

    report = report_of(find_model("default"))
    assert report.file.name == "default.safetensors"
    assert len(report.kl_rows()) == 4
    assert np.ptp(report.samples) > 0.5


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attributes):
        self.found.add(tag)
        assert not [
            value for name, value in attributes if name in ("src", "href") and "//" in value[:9]
        ]


def test_strings_are_escaped_and_nothing_is_loaded_from_elsewhere():
    evil = "<script>alert(1)</script>"
    record = replace(RECORD, sources=(evil,), start=evil, figures=((evil, evil),))
    html = page(report_of(make(name=evil, record=record)))
    tags = Tags()
    tags.feed(html)
    assert "script" not in tags.found
    assert "&lt;script&gt;" in html
    assert {"table", "svg", "img"} <= tags.found


def test_a_report_replaces_that_of_the_same_weights_only(tmp_path):
    path = report_path(tmp_path / "mine.safetensors")
    report = report_of(make())
    assert write_report(report, path) == path
    write_report(replace(report, name="renamed"), path)
    assert "renamed" in path.read_text(encoding="utf-8")
    other = report_of(make(noise=vr.GaussianNoise(3)))
    with pytest.raises(vr.InputError, match="not a report of this model"):
        write_report(other, path)
    write_report(other, path, overwrite=True)
    assert other.sha256 in path.read_text(encoding="utf-8")
    notes = tmp_path / "notes.html"
    notes.write_text("mine")
    with pytest.raises(vr.InputError, match="was not replaced"):
        write_report(report, notes)
    with pytest.raises(vr.InputError, match=r"\.html"):
        write_report(report, tmp_path / "mine.txt")
    with pytest.raises(vr.ModelFileError, match="cannot write"):
        write_report(report, tmp_path / "none" / "mine.html")


def test_the_record_goes_through_a_file_and_older_files_are_read(tmp_path):
    path = tmp_path / "mine.safetensors"
    make().save(path)
    assert vr.load(path).record == RECORD
    from pydantic import TypeAdapter

    old = {"n_steps": 3, "kl": [0.5], "package_version": "0.1.0"}
    found = TypeAdapter(TrainingRecord).validate_python(old)
    assert found == TrainingRecord(n_steps=3, kl=(0.5,), package_version="0.1.0")


def test_an_adapted_model_tells_its_gain(model):
    record = replace(model.record, elbo=None, kl=(), held_out=-0.25, held_out_first=-0.3)
    rows = dict(report_of(replace(model, record=record)).rows())
    assert rows["Gain"] == "better by 0.0500 nats per pixel, on held-out pixels"
    assert "ELBO" not in rows
