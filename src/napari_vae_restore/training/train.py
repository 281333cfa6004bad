"""A whole training in one call."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from napari_vae_restore.models.bundled import DEFAULT
from napari_vae_restore.models.model import Model
from napari_vae_restore.training.engine import Training
from napari_vae_restore.training.sources import Images, Source

_log = logging.getLogger(__name__)


def train(source: Source, **options: Any) -> Model:
    """Train a model on a user's images and return the best.

    Parameters
    ----------
    source : images, Shots, Pairs or Clean
        As for :class:`Training`.
    **options
        The keyword parameters of :class:`Training`: `start`, `noise`, `budget`, `steps`,
        `axes`, `config`, `settings`, `seed`, `device`, `skip_unreadable`.

    Returns
    -------
    Model
        The best by held-out data.

    Raises
    ------
    InputError, ImageFileError, ModelFileError, TrainingError
        As :class:`Training` and its :meth:`~Training.run`.
    """
    training = Training(source, **options)
    for _ in training.run():
        pass
    return training.model


def adapt(
    images: Images,
    model: Model | str | Path = DEFAULT,
    budget: str | float = "2 min",
    **options: Any,
) -> Model:
    """Adapt a model to noisy images, without any clean one.

    Parameters
    ----------
    images : array, layer, path, or sequence of them
        Noisy images of the kind to be restored.
    model : Model, str or Path
        The starting model; "default" for the bundled one.
    budget : str or float
        Wall time, "2 min" or seconds.
    **options
        Further keyword parameters of :class:`Training`, such as `noise` or `axes`.

    Returns
    -------
    Model
        Better than `model` by the unbiased risk of held-out pixels, beyond its error (with
        an error probability of 5 %). Otherwise it has the same weights, as
        ``record.n_steps == 0`` shows, and a warning is logged.

    Raises
    ------
    InputError, ImageFileError, ModelFileError, TrainingError
        As :class:`Training` and its :meth:`~Training.run`.

    References
    ----------
    T. Pang et al., "Recorrupted-to-Recorrupted: unsupervised deep learning for image
    denoising", CVPR 2021. The kept weights lie between start and end, mostly half way: M.
    Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, arXiv:2109.01903.
    The unbiased risk is that of C. M. Stein, "Estimation of the mean of a multivariate normal
    distribution", 1981, doi:10.1214/aos/1176345632.
    """
    adapted = train(images, start=model, budget=budget, **options)
    if adapted.record.n_steps == 0:
        _log.warning(
            "training did not improve the model on held-out pixels: it is as at the start"
        )
    return adapted
