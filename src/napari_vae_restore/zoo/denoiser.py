"""The mean path of denoising as a TorchScript that any tool can run.

Raw intensities in, denoised intensities out. What :mod:`napari_vae_restore.restoration` does
around the network, torch does here, since a script calls no other library. Unknown noise is
taken as white and Gaussian, and everything is measured in each input.
"""

# No annotations from __future__: TorchScript reads them, and knows no strings.
import copy
import warnings
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_vae_restore.errors import InputError
from napari_vae_restore.models.condition import CONDITION_CHANNELS
from napari_vae_restore.models.model import Model, Normalisation
from napari_vae_restore.models.protocol import VAEModule
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.noise.anscombe import OFFSET, TABLE_PHOTONS, inverse_table, tangent
from napari_vae_restore.noise.models import GaussianNoise, NoiseModel, PoissonGaussianNoise
from napari_vae_restore.restoration.inference.units import (
    BLACK_WHITE,
    LEAST_RANGE,
    MAX_SIGMA,
    SMOOTHING,
)

_TABLE_SIZE: Final = 4096  # of the inverse Anscombe transform; beyond it is asymptotic


# TorchScript reads no global numbers: constants are defaults of parameters.
def noise_level(y: Tensor, block: int = 8, flat_share: float = 0.2) -> Tensor:
    """Standard deviation of white Gaussian noise: (N, C, H, W) intensities to (N, C, 1, 1).

    Response of a mask that sees no planes and no edges along the axes (Immerkaer 1996,
    doi:10.1006/cviu.1996.0060), in the fifth of the blocks whose coarse means are flattest.
    White noise makes mask and means independent, so the choice does not bias the result.
    """
    n, c, h, w = y.shape
    second = torch.tensor([1.0, -2.0, 1.0], dtype=y.dtype, device=y.device)
    # Divided by its norm: white noise keeps its standard deviation.
    mask = (torch.outer(second, second) / 6)[None, None]
    # About zero: squares of raw intensities would drown the noise in rounding.
    planes = (y - y.mean(dim=(2, 3), keepdim=True)).reshape(n * c, 1, h, w)
    padded = F.pad(planes, [1, 1, 1, 1], mode="reflect")
    energy = F.avg_pool2d(F.conv2d(padded, mask).square(), block).flatten(1)
    quarters = F.avg_pool2d(planes, block // 2)[:, :, : h // block * 2, : w // block * 2]
    means = F.interpolate(F.avg_pool2d(quarters, 2), scale_factor=2.0, mode="nearest")
    spread = F.avg_pool2d((quarters - means).square(), 2).flatten(1)
    n_flat = max(1, int(flat_share * spread.shape[1]))
    limit = spread.kthvalue(n_flat, dim=1, keepdim=True).values
    flat = (spread <= limit).to(y.dtype)
    variance = (energy * flat).sum(dim=1) / flat.sum(dim=1)
    return variance.sqrt().reshape(n, c, 1, 1)


def framed(y: Tensor, margin: int, stride: int) -> Tensor:
    """(N, C, H, W) with a mirrored border, to sides that are multiples of the stride."""
    rows = mirrored(y.shape[2], margin, stride, y.device)
    columns = mirrored(y.shape[3], margin, stride, y.device)
    return y.index_select(2, rows).index_select(3, columns)


def mirrored(length: int, margin: int, stride: int, device: torch.device) -> Tensor:
    """Which pixel stands at each place of a framed row of this length."""
    n_strides = (length + 2 * margin + stride - 1) // stride
    place = torch.arange(n_strides * stride, device=device) - margin
    place = torch.remainder(place, 2 * length)
    return torch.where(place < length, place, 2 * length - 1 - place)


def cropped(frame: Tensor, margin: int, like: Tensor) -> Tensor:
    """Take the border off again."""
    return frame[:, :, margin : margin + like.shape[2], margin : margin + like.shape[3]]


def smoothed(y: Tensor, std: float, radius: int = 4) -> Tensor:
    """(N, 1, H, W) with less noise; cut at four standard deviations, as scipy does."""
    place = torch.arange(-radius, radius + 1, device=y.device)
    kernel = torch.exp(-0.5 * (place / std) ** 2)
    kernel = (kernel / kernel.sum())[None, None, None]
    rows = F.conv2d(F.pad(y, [radius, radius, 0, 0], mode="reflect"), kernel)
    padded = F.pad(rows, [0, 0, radius, radius], mode="reflect")
    return F.conv2d(padded, kernel.transpose(2, 3))


def quantile(values: Tensor, share: float) -> Tensor:
    """Along the last axis of (N, C, n), to (N, C, 1, 1); torch's own limits n."""
    place = share * (values.shape[2] - 1)
    below = int(place)
    low = values.kthvalue(below + 1, dim=2).values
    high = values.kthvalue(min(below + 2, values.shape[2]), dim=2).values
    return (low + (place - below) * (high - low))[:, :, None, None]


class BlindDenoiser(nn.Module):
    """The model of every task, with its mean head; the noise is measured in each input."""

    def __init__(self, network: RestorationVAE) -> None:
        super().__init__()
        self.stride = network.config.stride
        self.network = _traced(
            _MeanHead(network),
            torch.zeros(1, 1, 3 * self.stride, 3 * self.stride),
            torch.ones(1, 1, 1, 1),
        )
        self.black, self.white = (percentile / 100 for percentile in BLACK_WHITE)
        self.smoothing = SMOOTHING
        self.max_sigma = MAX_SIGMA
        self.least_range = LEAST_RANGE

    def forward(self, y: Tensor) -> Tensor:
        """(N, 1, H, W) float32 intensities to denoised ones."""
        return self.denoise(y, noise_level(y))

    @torch.jit.export
    def denoise(self, y: Tensor, sigma: Tensor) -> Tensor:
        """Denoise, given the noise's standard deviation (N, 1, 1, 1)."""
        smooth = smoothed(y, self.smoothing).flatten(2)
        black, white = quantile(smooth, self.black), quantile(smooth, self.white)
        largest = torch.maximum(black.abs(), white.abs())
        least = self.least_range * torch.where(largest > 0, largest, 1.0)
        scale = torch.maximum(torch.maximum(white - black, sigma / self.max_sigma), least)
        units = framed((y - black) / scale, self.stride, self.stride)
        return cropped(self.network(units, sigma / scale), self.stride, y) * scale + black


class _TrainedDenoiser(nn.Module):
    """A model that was trained on noisy images: any but that of every task."""

    def __init__(self, network: VAEModule, normalisation: Normalisation) -> None:
        super().__init__()
        config = network.config
        side = config.fixed_size or 3 * config.stride
        self.stride = config.stride
        self.margin = 0 if config.fixed_size is not None else config.stride
        self.network = _traced(
            _MeanLatents(network), torch.zeros(1, config.channels, side, side)
        )
        self.offset = normalisation.offset
        self.scale = normalisation.scale

    @torch.jit.export
    def signal(self, stabilised: Tensor) -> Tensor:
        """(N, C, H, W) stabilised intensities to their signal, stabilised as well."""
        units = framed((stabilised - self.offset) / self.scale, self.margin, self.stride)
        found = cropped(self.network(units), self.margin, stabilised)
        return found * self.scale + self.offset


class GaussianDenoiser(_TrainedDenoiser):
    """For noise that is Gaussian of a known sigma in intensities, or unknown: None."""

    def __init__(
        self, network: VAEModule, normalisation: Normalisation, sigma: float | None
    ) -> None:
        super().__init__(network, normalisation)
        self.is_known = sigma is not None
        self.sigma: float = sigma or 1.0

    def forward(self, y: Tensor) -> Tensor:
        """(N, C, H, W) float32 intensities to denoised ones."""
        sigma = y.new_full([1, 1, 1, 1], self.sigma) if self.is_known else noise_level(y)
        # An image without noise stays as it is where the division would not be finite.
        signal = self.signal(y / sigma.clamp(min=1e-20))
        return torch.where(sigma > 1e-20, signal * sigma, y)


class PhotonDenoiser(_TrainedDenoiser):
    """For Poisson-Gaussian noise; see :mod:`napari_vae_restore.noise.anscombe`.

    What the exact unbiased inverse adds to the algebraic one is smooth, and tabulated.
    """

    excess: Tensor

    def __init__(
        self, network: VAEModule, normalisation: Normalisation, noise: PoissonGaussianNoise
    ) -> None:
        super().__init__(network, normalisation)
        self.gain, self.dark = noise.a, max(-noise.b / noise.a, 0.0)
        self.read = max(noise.b / noise.a**2, 0.0)
        self.start, self.root = tangent(self.read)
        self.three_eighths = OFFSET
        self.first = float(inverse_table(self.read)[0][0])
        last = float(noise.stabilise(self.dark + TABLE_PHOTONS * noise.a))
        grid = np.linspace(self.first, last, _TABLE_SIZE)
        excess = noise.unstabilise(grid) / noise.a - grid**2 / 4
        self.register_buffer("excess", torch.tensor(excess, dtype=torch.float32))
        self.step = (last - self.first) / (_TABLE_SIZE - 1)

    def forward(self, y: Tensor) -> Tensor:
        """(N, C, H, W) float32 intensities to denoised ones."""
        photons = (y - self.dark) / self.gain
        curved = 2 * (photons.clamp(min=self.start) + self.read + self.three_eighths).sqrt()
        stabilised = curved + (photons - self.start).clamp(max=0.0) / self.root
        return self.unstabilise(self.signal(stabilised))

    @torch.jit.export
    def unstabilise(self, t: Tensor) -> Tensor:
        """Map means of stabilised values back to intensities, any shape."""
        dark = (t - self.first).clamp(max=0.0) * self.root
        t = t.clamp(min=self.first)
        place = ((t - self.first) / self.step).clamp(max=self.excess.shape[0] - 1.0)
        below = place.floor().clamp(max=self.excess.shape[0] - 2.0)
        low = self.excess[below.long()]
        high = self.excess[below.long() + 1]
        return self.gain * (t.square() / 4 + low + (place - below) * (high - low) + dark)


def denoiser(model: Model) -> nn.Module:
    """The mean path of a model's denoising, copied to the CPU in float32.

    It takes raw intensities (N, C, H, W), C the model's channels, to denoised ones.
    """
    network = copy.deepcopy(model.network).cpu().float().eval().requires_grad_(False)
    network = network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if isinstance(network, RestorationVAE):
        return BlindDenoiser(network).eval()
    if model.normalisation is None:
        raise InputError(f"model {model.name}: it has no normalisation: train it anew")
    noise: NoiseModel | None = model.noise
    if isinstance(noise, PoissonGaussianNoise):
        return PhotonDenoiser(network, model.normalisation, noise).eval()
    if noise is None or isinstance(noise, GaussianNoise):
        sigma = None if noise is None else noise.sigma
        return GaussianDenoiser(network, model.normalisation, sigma).eval()
    raise InputError(
        f"model {model.name}: expected Gaussian or Poisson-Gaussian noise, and it has "
        f"{noise.kind}: such a model cannot be exported"
    )


def scripted(module: nn.Module) -> torch.jit.ScriptModule:
    """A denoiser as TorchScript, which is what the tools of the model zoo run."""
    with warnings.catch_warnings():
        # torch recommends torch.export, which those tools do not run.
        warnings.filterwarnings("ignore", message=".*torch.jit.*")
        script: torch.jit.ScriptModule = torch.jit.script(module)
        return script


class _MeanHead(nn.Module):
    """E[x | c] of a noisy image that is complete, with white noise."""

    def __init__(self, network: RestorationVAE) -> None:
        super().__init__()
        self.condition = network.condition

    def forward(self, image: Tensor, sigma: Tensor) -> Tensor:
        ones = torch.ones_like(image)
        # Of the condition, correlation and log2 of the factor are 0.
        nothing = torch.zeros_like(image).expand(-1, CONDITION_CHANNELS - 3, -1, -1)
        condition = torch.cat([image, ones, sigma * ones, nothing], dim=1)
        mean: Tensor = self.condition(condition)[1]
        return mean


class _MeanLatents(nn.Module):
    """Decoded means of all latents."""

    def __init__(self, network: VAEModule) -> None:
        super().__init__()
        self.network = network

    def forward(self, y: Tensor) -> Tensor:
        signal: Tensor = self.network.decode(self.network.encode(y), None).signal
        return signal


def _traced(module: nn.Module, *example: Tensor) -> torch.jit.ScriptModule:
    """The graph of a module without branches: it holds for any number and size of images."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*")
        traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
            module.eval(), example, check_trace=False
        )
        return traced
