"""Compressed files: what comes back, on any thread, and what is refused."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.generation.compression import container, wavelet
from napari_vae_restore.generation.compression.coder import Coder, code_plane
from napari_vae_restore.generation.compression.exact import Exactly, exact_copy, on_grid
from napari_vae_restore.images.image_metadata import ImageFile
from napari_vae_restore.models.bundled import find_model
from napari_vae_restore.models.model import build_network

sides = st.integers(1, 70)


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return data.camera()[150:246, 100:190]


@pytest.fixture(scope="module")
def file(picture: NDArray[np.uint8]) -> bytes:
    """With latents and with the mean head."""
    return vr.compress(picture, quality=30, levels=2)


def psnr(a: NDArray, b: NDArray) -> float:
    return float(10 * np.log10(255**2 / np.square(a.astype(float) - b).mean()))


@settings(max_examples=25, deadline=None)
@given(height=sides, width=sides, seed=st.integers(0, 99))
def test_the_wavelet_transform_returns(height: int, width: int, seed: int) -> None:
    plane = np.random.default_rng(seed).integers(-(2**20), 2**20, (height, width))
    bands = wavelet.forward(plane)
    assert [band.shape for band in bands] == wavelet.band_shapes((height, width))
    np.testing.assert_array_equal(wavelet.inverse(bands, (height, width)), plane)


def test_norms_are_those_of_impulses() -> None:
    shape = (512, 512)
    for index, norm in enumerate(wavelet.norms(shape)):
        bands = [np.zeros(each, np.int64) for each in wavelet.band_shapes(shape)]
        height, width = bands[index].shape
        bands[index][height // 2, width // 2] = 2**20
        drawn = np.sqrt(np.square(wavelet.inverse(bands, shape) / 2**20).sum())
        assert norm == pytest.approx(drawn, rel=0.01)


@settings(max_examples=25, deadline=None)
@given(
    height=sides,
    width=sides,
    scale=st.sampled_from([0, 0.3, 5, 300, 1e5, 1e9]),
    predicted=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_coder_returns_any_integers(
    height: int, width: int, scale: float, predicted: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    plane = np.rint(rng.laplace(0, scale or 1e-9, (height, width))).astype(np.int64)
    aside = rng.integers(0, 40, plane.shape)
    writer = Coder()
    for _ in range(2):  # one after another in the same data
        code_plane(writer, plane, plane.shape, aside, predicted=predicted)
    reader = Coder(writer.to_bytes())
    for _ in range(2):
        found = code_plane(reader, None, plane.shape, aside, predicted=predicted)
        np.testing.assert_array_equal(found, plane)


def test_the_coder_is_near_the_entropy() -> None:
    rng = np.random.default_rng(0)
    plane = (rng.geometric(0.4, (128, 128)) - 1) * rng.choice([-1, 1], (128, 128))
    _, counts = np.unique(plane, return_counts=True)
    share = counts / plane.size
    entropy = -(share * np.log2(share)).sum()
    writer = Coder()
    code_plane(writer, plane, plane.shape)
    assert 8 * len(writer.to_bytes()) / plane.size < 1.02 * entropy


def test_exact_networks_are_exact_and_close() -> None:
    network = find_model("default").network
    exact = exact_copy(network)
    x = torch.rand(1, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    found = {}
    with torch.inference_mode():
        near = network.decode(network.encode(x), None).signal
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            for layout in (torch.contiguous_format, torch.channels_last):
                placed = on_grid(x).contiguous(memory_format=layout)
                with Exactly():
                    signal = exact.decode(exact.encode(placed), None).signal
                found[n_threads, layout] = signal
    torch.set_num_threads(1)
    first = found[1, torch.contiguous_format]
    assert all(torch.equal(first, other) for other in found.values())
    assert torch.equal(torch.round(first.double() * 4096), first.double() * 4096)
    assert float((first - near).abs().max()) < 0.005


def test_quality_buys_fidelity(picture: NDArray[np.uint8]) -> None:
    sizes, fidelity = [], []
    for quality in (10, 40, 70):
        data_ = vr.compress(picture, quality=quality)
        sizes.append(len(data_))
        fidelity.append(psnr(picture, vr.decompress(data_).data))
    assert sizes == sorted(sizes)
    assert fidelity == sorted(fidelity)
    assert fidelity[0] > 25
    assert fidelity[-1] > 42


def test_ahead_of_jpeg_on_a_micrograph() -> None:
    picture = data.cell()[200:360, 150:310]
    data_ = vr.compress(picture, quality=35)
    ours = psnr(picture, vr.decompress(data_).data)
    best = 0.0
    for quality in range(2, 96, 2):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality, optimize=True)
        if len(buffer.getvalue()) <= len(data_):
            best = max(best, psnr(picture, np.asarray(Image.open(buffer))))
    assert 8 * len(data_) / picture.size < 0.5
    assert ours > best


@pytest.mark.parametrize("levels", [None, 0, 4])
def test_lossless_returns_every_bit(picture: NDArray[np.uint8], levels: int | None) -> None:
    data_ = vr.compress(picture, lossless=True, levels=levels)
    np.testing.assert_array_equal(vr.decompress(data_).data, picture)
    assert len(data_) < picture.nbytes


@pytest.mark.parametrize(
    ("axes", "shape", "dtype"),
    [
        ("ZYX", (2, 20, 33), ">u2"),
        ("YXS", (20, 33, 3), "u1"),
        ("CYX", (2, 20, 33), "i4"),
        ("YX", (20, 33), "f4"),
        ("YX", (20, 33), "f8"),
    ],
)
def test_axes_dtypes_and_metadata_return(axes: str, shape: tuple[int, ...], dtype: str) -> None:
    values = np.random.default_rng(0).normal(size=shape).cumsum(0).cumsum(1)
    values = (values - values.min()) / np.ptp(values) * 250
    image = values.astype(dtype)
    scale = tuple(0.25 if axis in "YX" else 1.0 for axis in axes)
    units = tuple("micrometer" if axis in "YX" else "pixel" for axis in axes)
    names = ("a", "b") if "C" in axes else ()
    given_ = ImageFile(image, axes, scale, units, "tiff", names)
    back = vr.decompress(vr.compress(given_, quality=60))
    assert (back.axes, back.scale, back.units, back.channel_names) == (
        axes,
        scale,
        units,
        names,
    )
    assert back.data.shape == shape
    assert back.data.dtype == np.dtype(dtype).newbyteorder("<")
    assert psnr(image, back.data) > 35
    if image.dtype.kind in "iu":
        exact = vr.decompress(vr.compress(given_, lossless=True))
        np.testing.assert_array_equal(exact.data, image)
    else:
        with pytest.raises(vr.InputError, match="lossless"):
            vr.compress(given_, lossless=True)


def test_another_process_with_other_threads_reads_the_same(file: bytes, tmp_path) -> None:
    path = tmp_path / "a.vaec"
    path.write_bytes(file)
    program = (
        "import sys, torch, hashlib, pathlib, napari_vae_restore as vr;"
        "torch.set_num_threads(int(sys.argv[2]));"
        "image = vr.decompress(pathlib.Path(sys.argv[1]).read_bytes());"
        "print(hashlib.sha256(image.data.tobytes()).hexdigest())"
    )
    header, _ = container.unpacked(file)
    assert header.planes[0].levels == 2
    assert header.planes[0].sigma > 0
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), "2"], capture_output=True, text=True
    )
    assert done.stdout.strip() == header.image_sha256, done.stderr


def test_the_same_image_gives_the_same_file(picture: NDArray[np.uint8], file: bytes) -> None:
    assert vr.compress(picture, quality=30, levels=2) == file


@settings(max_examples=40, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_changed_byte_is_noticed(file: bytes, place: float, change: int) -> None:
    damaged = bytearray(file)
    damaged[int(place * len(file))] ^= change
    with pytest.raises(vr.ImageFileError):
        container.unpacked(bytes(damaged))


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_torn_file_is_noticed(file: bytes, share: float) -> None:
    with pytest.raises(vr.ImageFileError):
        container.unpacked(file[: int(share * len(file))])


def forged(file: bytes, **changes: object) -> bytes:
    """The file with other claims in its header, and checksums that fit them."""
    size = struct.calcsize("<8sHII")
    _, version, length, _ = struct.unpack_from("<8sHII", file)
    values = json.loads(zlib.decompress(file[size : size + length]))
    for name, value in changes.items():
        (values["planes"][0] if name in values["planes"][0] else values)[name] = value
    text = zlib.compress(json.dumps(values).encode())
    head = struct.pack("<8sHII", container.MAGIC, version, len(text), zlib.crc32(text))
    return head + text + file[size + length :]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [2**20, 2**20]}, "more than 268435456 pixels"),
        ({"shape": [2**14, 2**14]}, "more pixels than its data can hold"),
        ({"shape": [-96, 90]}, "empty"),
        ({"shape": [1025, 1024]}, "latents of more"),
        ({"dtype": "O"}, "dtype"),
        ({"dtype": "no"}, "not valid"),
        ({"axes": "YY"}, "not valid"),
        ({"length": 7}, "other lengths"),
        ({"step": 0}, "steps"),
        ({"white": -1}, "steps"),
        ({"sigma": 2**20}, "steps"),
        ({"levels": 7}, "more levels"),
        ({"shape": [90, 96]}, "damaged|otherwise"),
        ({"step": 5000}, "otherwise"),
        ({"image_sha256": "0" * 64}, "otherwise"),
        ({"secret": 1}, "not valid"),
        ({"shape": "many"}, "not valid"),
    ],
)
def test_made_up_headers_are_refused(file: bytes, changes: dict, message: str) -> None:
    with pytest.raises(vr.ImageFileError, match=message):
        vr.decompress(forged(file, **changes))


def test_foreign_versions_and_models_are_refused(
    file: bytes, picture: NDArray[np.uint8]
) -> None:
    network = build_network(vr.HVAEConfig(levels=2, width=4, latent=2))
    model = vr.Model(network, None, None, name="other")
    with pytest.raises(vr.ImageFileError, match=r"no \.vaec file"):
        vr.decompress(b"\x89PNG\r\n\x1a\n" + bytes(50))
    newer = file[:8] + struct.pack("<H", 9) + file[10:]
    with pytest.raises(vr.ImageFileError, match="version 9"):
        vr.decompress(newer)
    with pytest.raises(vr.InputError, match="with model 'default'"):
        vr.decompress(file, model)
    with pytest.raises(vr.InputError, match="every task"):
        vr.compress(picture, model)


def test_a_header_that_swells_is_refused(file: bytes) -> None:
    text = zlib.compress(b"[" * 50_000_000)
    head = struct.pack("<8sHII", container.MAGIC, 1, len(text), zlib.crc32(text))
    with pytest.raises(vr.ImageFileError, match="not valid"):
        container.unpacked(head + text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 101}, "quality"),
        ({"quality": float("nan")}, "quality"),
        ({"levels": 5}, "levels"),
        ({"axes": "ZYX"}, "axes"),
    ],
)
def test_what_cannot_be_compressed(picture: NDArray, options: dict, message: str) -> None:
    with pytest.raises(vr.InputError, match=message):
        vr.compress(picture, **options)


def test_latents_of_large_planes_are_refused_before_anything_is_computed() -> None:
    image = np.zeros((1025, 1024), np.uint8)
    image[0, 0] = 1
    with pytest.raises(vr.InputError, match="at most 1048576 pixels"):
        vr.compress(image, levels=1)


def test_alpha_is_refused() -> None:
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 4)).astype(np.uint8)
    with pytest.raises(vr.InputError, match="alpha"):
        vr.compress(image)
