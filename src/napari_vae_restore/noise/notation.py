"""Noise models as text and as JSON: how users, recipes and model files write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, TypeAlias

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.correlation import WHITE, parse_correlation
from napari_vae_restore.noise.mixture import MixtureNoise
from napari_vae_restore.noise.models import GaussianNoise, NoiseModel, PoissonGaussianNoise

_Known: TypeAlias = type[GaussianNoise] | type[PoissonGaussianNoise] | type[MixtureNoise]
_MODELS: Final[dict[str, _Known]] = {
    model.kind: model for model in (GaussianNoise, PoissonGaussianNoise, MixtureNoise)
}
_FORMS: Final = (
    "'gaussian:SIGMA' or 'poisson-gaussian:A,B', for example 'gaussian:12.5', with "
    "'@Y,X', '@row:A' or '@column:A' behind it where the noise is correlated, for example "
    "'gaussian:12.5@0.6,0.6' or 'gaussian:12.5@row:0.8'"
)


def noise_from_dict(form: Mapping[str, Any]) -> NoiseModel:
    """Build a noise model from its JSON form; raises InputError if that is none."""
    if not isinstance(form, Mapping):
        raise InputError(f"A noise model's JSON form is an object, not {form!r}.")
    model = _MODELS.get(str(form.get("kind")))
    if model is None:
        raise InputError(
            f"Unknown noise kind {form.get('kind')!r}; use one of {sorted(_MODELS)}."
        )
    names = _numbers_of(model)
    parameters = {key: value for key, value in form.items() if key != "kind"}
    if set(parameters) - {"correlation"} != set(names):
        raise InputError(
            f"Noise of kind {model.kind!r} takes exactly the keys {names} and may have "
            f"'correlation'; these are {sorted(map(str, parameters))}."
        )
    return model(**parameters)


def parse_noise(text: str) -> NoiseModel:
    """Read a noise model from the form that its ``str`` gives.

    Parameters
    ----------
    text : str
        ``"gaussian:SIGMA"`` or ``"poisson-gaussian:A,B"``, in intensity units. Correlated
        noise has its lag-1 autocorrelation along Y and X behind it, ``"@Y,X"``, or an
        autoregression: ``"@row:A"``, ``"@column:A"``, ``"@plane:A,..."``. A mixture is
        ``"mixture:"`` and the JSON of its tables.

    Returns
    -------
    NoiseModel
        The model.

    Raises
    ------
    InputError
        If the text has another form or its numbers are unusable.

    Examples
    --------
    >>> parse_noise("poisson-gaussian:0.8,4@0.6,0.5")
    PoissonGaussianNoise(a=0.8, b=4.0, correlation=(0.6, 0.5))
    """
    kind, _, values = text.strip().partition(":")
    model = _MODELS.get(kind.strip().lower())
    values, at, suffix = values.partition("@")
    try:
        parameters = _parameters(model, values) if model else {}
        correlation = parse_correlation(suffix) if at else WHITE
    except InputError as error:
        raise InputError(f"Cannot read the noise {text!r}: {error} Write {_FORMS}.") from error
    if model is None or set(parameters) != set(_numbers_of(model)):
        raise InputError(f"Cannot read the noise {text!r}; write {_FORMS}.")
    return model(**parameters, correlation=correlation)


def _parameters(model: _Known, text: str) -> dict[str, Any]:
    """Read what stands between a model's kind and its correlation."""
    try:
        if model is MixtureNoise:
            form = json.loads(text)
            return form if isinstance(form, dict) else {}
        numbers = [float(value) for value in text.split(",")]
    except ValueError:
        return {}
    names = _numbers_of(model)
    return dict(zip(names, numbers, strict=True)) if len(names) == len(numbers) else {}


def _numbers_of(model: _Known) -> list[str]:
    return [field.name for field in fields(model) if field.name != "correlation"]
