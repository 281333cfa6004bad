"""The mean path of denoising as a TorchScript that any tool can run.

Raw intensities in, denoised intensities out: what :mod:`napari_vae_restore.restoration`
does with arrays around the network, from the noise's level to the mirrored border, is
done here by torch. The noise is taken as white and Gaussian where its model is not known,
and everything is measured in each input by itself, so tiles that a tool cuts are not
aware of each other.
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

_RADIUS: Final = 4
"""Of the smoothing in pixels: four standard deviations, as scipy cuts it."""
_BLOCK: Final = 8
"""Pixels a side of the blocks that are looked at for noise."""
_FLAT_SHARE: Final = 0.2
"""Of the blocks, the flattest."""

_TABLE_SIZE: Final = 4096
"""Of the inverse Anscombe transform; beyond it, the inverse is asymptotic."""


class NoiseLevel(nn.Module):
    """The standard deviation of white Gaussian noise, measured in each image.

    The response of a mask that sees no planes and no edges along the axes (Immerkaer
    1996), in the blocks that are flattest by their coarse means. White noise makes
    the two independent, so that the choice does not bias the measurement.

    References
    ----------
    J. Immerkaer, "Fast noise variance estimation", CVIU 64(2), 1996.
    doi:10.1006/cviu.1996.0060
    """

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        second = torch.tensor([1.0, -2.0, 1.0])
        # Divided by its norm: white noise keeps its standard deviation.
        self.register_buffer("mask", (torch.outer(second, second) / 6)[None, None])
        self.block: int = _BLOCK
        self.share: float = _FLAT_SHARE

    def forward(self, y: Tensor) -> Tensor:
        """(N, C, H, W) intensities to (N, C, 1, 1), 0 for an image without noise."""
        n, c, h, w = y.shape
        # About zero: squares of raw intensities would drown the noise in rounding.
        planes = (y - y.mean(dim=(2, 3), keepdim=True)).reshape(n * c, 1, h, w)
        padded = F.pad(planes, [1, 1, 1, 1], mode="reflect")
        energy = F.avg_pool2d(F.conv2d(padded, self.mask).square(), self.block).flatten(1)
        quarters = F.avg_pool2d(planes, self.block // 2)
        quarters = quarters[:, :, : h // self.block * 2, : w // self.block * 2]
        means = F.avg_pool2d(quarters, 2)
        spread = F.avg_pool2d(
            (quarters - F.interpolate(means, scale_factor=2.0, mode="nearest")).square(), 2
        ).flatten(1)
        n_flat = max(1, int(self.share * spread.shape[1]))
        limit = spread.kthvalue(n_flat, dim=1, keepdim=True).values
        flat = (spread <= limit).to(y.dtype)
        variance = (energy * flat).sum(dim=1) / flat.sum(dim=1)
        return variance.sqrt().reshape(n, c, 1, 1)


class Frame(nn.Module):
    """The mirrored border that the network wants around an image."""

    def __init__(self, margin: int, stride: int) -> None:
        super().__init__()
        self.margin = margin
        self.stride = stride

    def forward(self, y: Tensor) -> Tensor:
        """(N, C, H, W) to sides that are multiples of the stride."""
        rows, columns = self.indices(y.shape[2], y.device), self.indices(y.shape[3], y.device)
        return y.index_select(2, rows).index_select(3, columns)

    @torch.jit.export
    def crop(self, framed: Tensor, like: Tensor) -> Tensor:
        """Take the border off again."""
        m = self.margin
        return framed[:, :, m : m + like.shape[2], m : m + like.shape[3]]

    @torch.jit.export
    def indices(self, length: int, device: torch.device) -> Tensor:
        """Which pixel stands at each place of a framed row of this length."""
        n_strides = (length + 2 * self.margin + self.stride - 1) // self.stride
        place = torch.arange(n_strides * self.stride, device=device) - self.margin
        place = torch.remainder(place, 2 * length)
        return torch.where(place < length, place, 2 * length - 1 - place)


class BlindDenoiser(nn.Module):
    """The model of every task, told the noise that is measured in the input.

    Parameters
    ----------
    network : RestorationVAE
        Of which the mean head is used.
    """

    kernel: Tensor

    def __init__(self, network: RestorationVAE) -> None:
        super().__init__()
        stride = network.config.stride
        self.frame = Frame(stride, stride)
        self.noise_level = NoiseLevel()
        self.network = _traced(
            _MeanHead(network),
            torch.zeros(1, 1, 3 * stride, 3 * stride),
            torch.ones(1, 1, 1, 1),
        )
        place = torch.arange(-_RADIUS, _RADIUS + 1)
        kernel = torch.exp(-0.5 * (place / SMOOTHING) ** 2)
        self.register_buffer("kernel", (kernel / kernel.sum())[None, None, None])
        self.radius: int = _RADIUS
        self.black: float = BLACK_WHITE[0] / 100
        self.white: float = BLACK_WHITE[1] / 100
        self.max_sigma: float = MAX_SIGMA
        self.least_range: float = LEAST_RANGE

    def forward(self, y: Tensor) -> Tensor:
        """(N, 1, H, W) float32 intensities to denoised ones."""
        return self.denoise(y, self.noise_level(y))

    @torch.jit.export
    def denoise(self, y: Tensor, sigma: Tensor) -> Tensor:
        """Denoise, given the noise's standard deviation (N, 1, 1, 1)."""
        smooth = self.smoothed(y).flatten(2)
        black = self.quantile(smooth, self.black)
        white = self.quantile(smooth, self.white)
        largest = torch.maximum(black.abs(), white.abs())
        least = self.least_range * torch.where(largest > 0, largest, 1.0)
        scale = white - black
        scale = torch.maximum(torch.maximum(scale, sigma / self.max_sigma), least)
        mean = self.network(self.frame((y - black) / scale), sigma / scale)
        return self.frame.crop(mean, y) * scale + black

    @torch.jit.export
    def smoothed(self, y: Tensor) -> Tensor:
        """Take most of the noise out, so that it does not widen the range."""
        r = self.radius
        rows = F.conv2d(F.pad(y, [r, r, 0, 0], mode="reflect"), self.kernel)
        kernel = self.kernel.transpose(2, 3)
        return F.conv2d(F.pad(rows, [0, 0, r, r], mode="reflect"), kernel)

    @torch.jit.export
    def quantile(self, values: Tensor, share: float) -> Tensor:
        """Along the last axis of (N, C, n), to (N, C, 1, 1); torch's own has a limit of n."""
        place = share * (values.shape[2] - 1)
        below = int(place)
        low = values.kthvalue(below + 1, dim=2).values
        high = values.kthvalue(min(below + 2, values.shape[2]), dim=2).values
        return (low + (place - below) * (high - low))[:, :, None, None]


class GaussianDenoiser(nn.Module):
    """A model that was trained on noisy images, where the noise is Gaussian or unknown.

    Parameters
    ----------
    network : VAEModule
        Any but that of every task.
    normalisation : Normalisation
        The model's.
    sigma : float or None
        Of the noise in intensity units; None to measure it in each input.
    """

    known_sigma: Tensor

    def __init__(
        self, network: VAEModule, normalisation: Normalisation, sigma: float | None
    ) -> None:
        super().__init__()
        self.frame, self.network = _framed_network(network)
        self.noise_level = NoiseLevel()
        self.is_known = sigma is not None
        self.register_buffer("known_sigma", torch.tensor(sigma or 1.0).reshape(1, 1, 1, 1))
        self.offset = normalisation.offset
        self.scale = normalisation.scale

    def forward(self, y: Tensor) -> Tensor:
        """(N, C, H, W) float32 intensities to denoised ones."""
        return self.denoise(y, self.known_sigma if self.is_known else self.noise_level(y))

    @torch.jit.export
    def denoise(self, y: Tensor, sigma: Tensor) -> Tensor:
        """Denoise, given the noise's standard deviation (N, C, 1, 1)."""
        # An image without noise stays as it is where the division would not be finite.
        stabilised = y / sigma.clamp(min=1e-20)
        units = self.frame((stabilised - self.offset) / self.scale)
        signal = self.frame.crop(self.network(units), y)
        return torch.where(sigma > 1e-20, (signal * self.scale + self.offset) * sigma, y)


class PhotonDenoiser(nn.Module):
    """A model that was trained on noisy images with Poisson-Gaussian noise.

    Parameters
    ----------
    network : VAEModule
        Any but that of every task.
    normalisation : Normalisation
        The model's.
    noise : PoissonGaussianNoise
        Its transform is computed, and the exact unbiased inverse tabulated: what it adds
        to the algebraic one is smooth, and constant beyond the table.
    """

    excess: Tensor

    def __init__(
        self, network: VAEModule, normalisation: Normalisation, noise: PoissonGaussianNoise
    ) -> None:
        super().__init__()
        self.frame, self.network = _framed_network(network)
        self.offset = normalisation.offset
        self.scale = normalisation.scale
        self.gain, self.dark = noise.a, max(-noise.b / noise.a, 0.0)
        self.read = max(noise.b / noise.a**2, 0.0)
        self.start, self.root = tangent(self.read)
        self.three_eighths = OFFSET
        first = float(inverse_table(self.read)[0][0])
        last = float(noise.stabilise(self.dark + TABLE_PHOTONS * noise.a))
        grid = np.linspace(first, last, _TABLE_SIZE)
        excess = noise.unstabilise(grid) / noise.a - grid**2 / 4
        self.register_buffer("excess", torch.tensor(excess, dtype=torch.float32))
        self.first = first
        self.step = (last - first) / (_TABLE_SIZE - 1)

    def forward(self, y: Tensor) -> Tensor:
        """(N, C, H, W) float32 intensities to denoised ones."""
        photons = (y - self.dark) / self.gain  # see noise.anscombe
        curved = 2 * (photons.clamp(min=self.start) + self.read + self.three_eighths).sqrt()
        stabilised = curved + (photons - self.start).clamp(max=0.0) / self.root
        units = self.frame((stabilised - self.offset) / self.scale)
        signal = self.frame.crop(self.network(units), y)
        return self.unstabilise(signal * self.scale + self.offset)

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
    """The mean path of a model's denoising, raw intensities in and out, on the CPU.

    Parameters
    ----------
    model : Model
        Any; it is copied.

    Returns
    -------
    torch.nn.Module
        (N, C, H, W) float32 to the same shape, C the model's channels.

    Raises
    ------
    InputError
        If the model has no normalisation although it was trained on noisy images, or a
        noise model that the script does not know.
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
    if noise is not None and not isinstance(noise, GaussianNoise):
        raise InputError(
            f"model {model.name}: expected Gaussian or Poisson-Gaussian noise, and it has "
            f"{noise.kind}: such a model cannot be exported"
        )
    sigma = None if noise is None else noise.sigma
    return GaussianDenoiser(network, model.normalisation, sigma).eval()


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
    """What the mean of every latent decodes to."""

    def __init__(self, network: VAEModule) -> None:
        super().__init__()
        self.network = network

    def forward(self, y: Tensor) -> Tensor:
        signal: Tensor = self.network.decode(self.network.encode(y), None).signal
        return signal


def _framed_network(network: VAEModule) -> tuple[Frame, torch.jit.ScriptModule]:
    config = network.config
    margin = 0 if config.fixed_size is not None else config.stride
    side = config.fixed_size or 3 * config.stride
    example = torch.zeros(1, config.channels, side, side)
    return Frame(margin, config.stride), _traced(_MeanLatents(network), example)


def _traced(module: nn.Module, *example: Tensor) -> torch.jit.ScriptModule:
    """The graph of a module without branches: it holds for any number and size of images."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*")
        traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
            module.eval(), example, check_trace=False
        )
        return traced
