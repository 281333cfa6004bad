"""One plane: latents, wavelet coefficients, the mean head, and the lossless remainder.

x_0 = D(z), the decoded latents, or nothing; x_1 = x_0 + the quantised transform of x - x_0;
x_2 = E[x | x_1], by the model's mean head, which takes the loss for noise. All of it is
computed exactly (`exact`), so that reader and writer have the same x_2 to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from napari_vae_restore.errors import ImageFileError, shortened
from napari_vae_restore.generation.compression.coder import Coder, Integers, code_plane
from napari_vae_restore.generation.compression.container import PlaneHeader
from napari_vae_restore.generation.compression.exact import GRID, Exactly, on_grid
from napari_vae_restore.generation.compression.latent_layer import code_latents
from napari_vae_restore.generation.compression.subbands import code_subbands
from napari_vae_restore.generation.network_inputs import padded_to
from napari_vae_restore.images.tiling import tiles
from napari_vae_restore.models.condition import condition_tensor
from napari_vae_restore.models.restorer import RestorationVAE

FRACTION: Final = 16  # the transform's unit is a sixteenth of an integer
# Shares of the loss to try as the mean head's noise; the best is kept, or none.
_SHARES: Final = (0.3, 0.5, 0.8)
_TILE, _HALO = 448, 64  # pixels, of the mean head
# Squared error, in squared steps, that a bit is worth where step and rate are in balance.
_LAMBDA: Final = 0.15


class Networks(NamedTuple):
    """The network of the model of every task, as it is and computed exactly."""

    fast: RestorationVAE
    exact: RestorationVAE


def encoded_plane(
    integers: Integers,
    plane: PlaneHeader,
    networks: Networks,
    levels: Sequence[int],
    *,
    lossless: bool,
) -> tuple[bytes, PlaneHeader, Integers]:
    """Encode (H, W) integers with the best number of levels of those to try.

    Returns the data, the header with the choices made, and the plane as it will be read.
    """
    candidates = []
    for n_levels in levels:
        writer, header = Coder(), replace(plane, levels=n_levels)
        found = _coded(writer, integers, integers.shape, header, networks.exact)
        error = float(np.square(found / FRACTION - integers).sum())
        price = _LAMBDA * (plane.step / FRACTION) ** 2
        cost = error + price * 8 * len(writer.to_bytes())
        candidates.append((cost, writer, header, found))
    _, writer, header, found = min(candidates, key=lambda candidate: candidate[0])
    header = replace(header, sigma=_best_sigma(found, integers, header, networks.fast))
    decoded = _finished(found, header, networks.exact)
    if lossless:
        code_plane(writer, integers - decoded, integers.shape)
        decoded = integers
    data = writer.to_bytes()
    return data, replace(header, length=len(data)), decoded


def decoded_plane(
    data: bytes,
    shape: tuple[int, int],
    plane: PlaneHeader,
    network: RestorationVAE,
    *,
    lossless: bool,
) -> Integers:
    """Read a plane; raises ImageFileError for impossible data."""
    if plane.levels > len(network.config.strides):
        raise ImageFileError("the file claims more levels than the model has: it is damaged")
    try:
        reader = Coder(data)
        found = _coded(reader, None, shape, plane, network)
        decoded = _finished(found, plane, network)
        return decoded + code_plane(reader, None, shape) if lossless else decoded
    except (ValueError, AssertionError, IndexError, OverflowError) as error:
        raise ImageFileError(f"the compressed data are damaged ({shortened(error)})") from error


def _coded(
    coder: Coder,
    integers: Integers | None,
    shape: tuple[int, int],
    plane: PlaneHeader,
    network: RestorationVAE,
) -> Integers:
    """x_1 in sixteenths of an integer."""
    base = np.full(shape, plane.black * FRACTION, np.int64)
    if plane.levels:
        given = None
        if integers is not None:
            stride = network.config.stride
            given = _to_network(padded_to(integers * FRACTION, stride), plane)
        with torch.inference_mode(), Exactly():
            signal = code_latents(coder, network, given, shape, plane.levels, plane.latent_step)
        base = _from_network(signal[0, 0, : shape[0], : shape[1]], plane)
    rest = None if integers is None else integers * FRACTION - base
    return base + code_subbands(coder, rest, shape, plane.step)


def _best_sigma(
    found: Integers, integers: Integers, plane: PlaneHeader, network: RestorationVAE
) -> int:
    """The standard deviation that makes the mean head help most; 0 where it does not."""
    error = float(np.square(found / FRACTION - integers).mean())
    scale = plane.white - plane.black
    sigmas = [round(share * error**0.5 / scale * GRID) for share in _SHARES]
    best, best_error = 0, error
    for sigma in sorted(set(sigmas) - {0}):
        restored = _finished(found, replace(plane, sigma=sigma), network, exactly=False)
        new = float(np.square(restored - integers).mean())
        if new < best_error:
            best, best_error = sigma, new
    return best


def _finished(
    found: Integers, plane: PlaneHeader, network: RestorationVAE, *, exactly: bool = True
) -> Integers:
    """x_2, integers; x_1 rounded where the mean head is left out."""
    if plane.sigma == 0:
        return _rounded(found)
    values = _to_network(found, plane).numpy()[0]
    result = np.empty(found.shape, np.int64)
    stride = network.config.stride
    slow = (plane.sigma / GRID, 0.0, 0.0, 0.0)
    for tile in tiles(*found.shape, size=_TILE, halo=_HALO, stride=stride, margin=stride):
        image = tile.read(values)[None].astype(np.float32)
        condition = condition_tensor(image, np.ones(image.shape, bool), slow)
        with torch.inference_mode(), Exactly() if exactly else nullcontext():
            mean = network.infer(condition.double() if exactly else condition).mean
        result[tile.core] = _rounded(_from_network(mean[0, 0], plane)[tile.inner])
    return result


def _to_network(sixteenths: NDArray[np.int64], plane: PlaneHeader) -> torch.Tensor:
    """(1, 1, H, W) float64 on the grid."""
    scale = (plane.white - plane.black) * FRACTION
    values = (sixteenths - plane.black * FRACTION) / scale
    return on_grid(torch.from_numpy(values))[None, None]


def _from_network(signal: torch.Tensor, plane: PlaneHeader) -> Integers:
    """Network units to sixteenths of an integer."""
    grid = np.rint(signal.double().numpy() * GRID).astype(np.int64)
    scale = (plane.white - plane.black) * FRACTION
    return plane.black * FRACTION + (grid * scale + round(GRID) // 2) // round(GRID)


def _rounded(sixteenths: Integers) -> Integers:
    return (sixteenths + FRACTION // 2) // FRACTION
