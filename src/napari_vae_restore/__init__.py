"""Restore microscopy and medical images with variational autoencoders.

>>> import napari_vae_restore as vr
>>> vr.parse_budget("2 min")
120.0

The public names are imported when they are first used, so that importing the package
brings in neither torch nor napari.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

__version__ = version("napari-vae-restore")

_HOMES = {
    "Autoregression": ".noise.autoregression",
    "Clean": ".training.sources",
    "Deblur": ".restoration.tasks",
    "Denoise": ".restoration.tasks",
    "Diagnostics": ".restoration.result",
    "Enhancement": ".generation.enhancement",
    "Evaluation": ".evaluation.figures",
    "FlatVAEConfig": ".models.config",
    "GaussianNoise": ".noise.models",
    "HVAEConfig": ".models.config",
    "ImageFileError": ".errors",
    "Inpaint": ".restoration.tasks",
    "InputError": ".errors",
    "Latents": ".generation.latents",
    "MixtureNoise": ".noise.mixture",
    "Model": ".models.model",
    "ModelFileError": ".errors",
    "NoiseModel": ".noise.models",
    "NoiseReport": ".reports.noise_report",
    "Pairs": ".training.sources",
    "PoissonGaussianNoise": ".noise.models",
    "Progress": ".training.checkpoint",
    "Recipe": ".restoration.result",
    "ResidualCheck": ".reports.residual_check",
    "Restoration": ".restoration.result",
    "RestorationError": ".errors",
    "Shots": ".training.sources",
    "StoredRestoration": ".stores.restore",
    "SuperResolve": ".restoration.tasks",
    "Sweep": ".evaluation.grid",
    "Tones": ".generation.tones",
    "Training": ".training.engine",
    "TrainingError": ".errors",
    "TrainingSettings": ".training.settings",
    "VAERestoreError": ".errors",
    "adapt": ".training.train",
    "add_to_viewer": "._napari.console",
    "calibrate": ".training.error_calibration",
    "check_residual": ".reports.residual_check",
    "compress": ".generation.compression.compress",
    "decode": ".generation.latents",
    "decompress": ".generation.compression.compress",
    "denoise": ".restoration.restore",
    "encode": ".generation.latents",
    "enhance": ".generation.enhancement",
    "estimate_noise": ".reports.noise_report",
    "evaluate": ".evaluation.evaluate",
    "feathered": ".restoration.blocks.feathering",
    "features": ".generation.features",
    "inpaint": "._napari.console",
    "interpolate": ".generation.sampling",
    "iter_restore": ".restoration.restore",
    "iter_restore_files": ".batch.run",
    "iter_restore_store": ".stores.restore",
    "load": ".models.files",
    "mask_of": "._napari.console",
    "parse_budget": ".training.settings",
    "parse_noise": ".noise.notation",
    "read_image": ".images.image_files",
    "restore": ".restoration.restore",
    "restore_files": ".batch.run",
    "restore_store": ".stores.restore",
    "sample": ".generation.sampling",
    "super_resolve": ".restoration.restore",
    "sweep": ".evaluation.sweep",
    "train": ".training.train",
    "vary": ".generation.sampling",
}

_RENAMED = {"Stored": "StoredRestoration"}  # kept for one release

__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from napari_vae_restore._napari.console import add_to_viewer as add_to_viewer
    from napari_vae_restore._napari.console import inpaint as inpaint
    from napari_vae_restore._napari.console import mask_of as mask_of
    from napari_vae_restore.batch.run import iter_restore_files as iter_restore_files
    from napari_vae_restore.batch.run import restore_files as restore_files
    from napari_vae_restore.errors import ImageFileError as ImageFileError
    from napari_vae_restore.errors import InputError as InputError
    from napari_vae_restore.errors import ModelFileError as ModelFileError
    from napari_vae_restore.errors import RestorationError as RestorationError
    from napari_vae_restore.errors import TrainingError as TrainingError
    from napari_vae_restore.errors import VAERestoreError as VAERestoreError
    from napari_vae_restore.evaluation.evaluate import evaluate as evaluate
    from napari_vae_restore.evaluation.figures import Evaluation as Evaluation
    from napari_vae_restore.evaluation.grid import Sweep as Sweep
    from napari_vae_restore.evaluation.sweep import sweep as sweep
    from napari_vae_restore.generation.compression.compress import compress as compress
    from napari_vae_restore.generation.compression.compress import decompress as decompress
    from napari_vae_restore.generation.enhancement import Enhancement as Enhancement
    from napari_vae_restore.generation.enhancement import enhance as enhance
    from napari_vae_restore.generation.features import features as features
    from napari_vae_restore.generation.latents import Latents as Latents
    from napari_vae_restore.generation.latents import decode as decode
    from napari_vae_restore.generation.latents import encode as encode
    from napari_vae_restore.generation.sampling import interpolate as interpolate
    from napari_vae_restore.generation.sampling import sample as sample
    from napari_vae_restore.generation.sampling import vary as vary
    from napari_vae_restore.generation.tones import Tones as Tones
    from napari_vae_restore.images.image_files import read_image as read_image
    from napari_vae_restore.models.config import FlatVAEConfig as FlatVAEConfig
    from napari_vae_restore.models.config import HVAEConfig as HVAEConfig
    from napari_vae_restore.models.files import load as load
    from napari_vae_restore.models.model import Model as Model
    from napari_vae_restore.noise.autoregression import Autoregression as Autoregression
    from napari_vae_restore.noise.mixture import MixtureNoise as MixtureNoise
    from napari_vae_restore.noise.models import GaussianNoise as GaussianNoise
    from napari_vae_restore.noise.models import NoiseModel as NoiseModel
    from napari_vae_restore.noise.models import PoissonGaussianNoise as PoissonGaussianNoise
    from napari_vae_restore.noise.notation import parse_noise as parse_noise
    from napari_vae_restore.reports.noise_report import NoiseReport as NoiseReport
    from napari_vae_restore.reports.noise_report import estimate_noise as estimate_noise
    from napari_vae_restore.reports.residual_check import ResidualCheck as ResidualCheck
    from napari_vae_restore.reports.residual_check import check_residual as check_residual
    from napari_vae_restore.restoration.blocks.feathering import feathered as feathered
    from napari_vae_restore.restoration.restore import denoise as denoise
    from napari_vae_restore.restoration.restore import iter_restore as iter_restore
    from napari_vae_restore.restoration.restore import restore as restore
    from napari_vae_restore.restoration.restore import super_resolve as super_resolve
    from napari_vae_restore.restoration.result import Diagnostics as Diagnostics
    from napari_vae_restore.restoration.result import Recipe as Recipe
    from napari_vae_restore.restoration.result import Restoration as Restoration
    from napari_vae_restore.restoration.tasks import Deblur as Deblur
    from napari_vae_restore.restoration.tasks import Denoise as Denoise
    from napari_vae_restore.restoration.tasks import Inpaint as Inpaint
    from napari_vae_restore.restoration.tasks import SuperResolve as SuperResolve
    from napari_vae_restore.stores.restore import StoredRestoration as StoredRestoration
    from napari_vae_restore.stores.restore import iter_restore_store as iter_restore_store
    from napari_vae_restore.stores.restore import restore_store as restore_store
    from napari_vae_restore.training.checkpoint import Progress as Progress
    from napari_vae_restore.training.engine import Training as Training
    from napari_vae_restore.training.error_calibration import calibrate as calibrate
    from napari_vae_restore.training.settings import TrainingSettings as TrainingSettings
    from napari_vae_restore.training.settings import parse_budget as parse_budget
    from napari_vae_restore.training.sources import Clean as Clean
    from napari_vae_restore.training.sources import Pairs as Pairs
    from napari_vae_restore.training.sources import Shots as Shots
    from napari_vae_restore.training.train import adapt as adapt
    from napari_vae_restore.training.train import train as train


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        new = _RENAMED[name]
        message = f"{name} is now called {new}; the old name goes with the next release."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return getattr(import_module(__name__), new)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
