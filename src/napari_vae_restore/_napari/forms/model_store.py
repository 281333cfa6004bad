"""The models of this session: trained here or opened from a file, shared by all widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_vae_restore.errors import InputError
from napari_vae_restore.models.bundled import DEFAULT

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model

BUNDLED = "Bundled model"  # what the window calls the model that comes with the package


class ModelStore(QObject):  # type: ignore[misc, unused-ignore]
    """Models by name, in the order in which they came; one of them is selected.

    The first is the bundled one, by its name in the core: its weights are read where they
    are used. ``changed`` says that models came or that the selection moved.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._models)

    @property
    def selected(self) -> Model | str:
        """The selected model, as :func:`~napari_vae_restore.restore` takes it."""
        return self._models[self.selected_name]

    def get(self, name: str) -> Model | str:
        return self._models[name]

    def add(self, model: Model, name: str, *, replaces: str = "") -> str:
        """Take a model in and select it."""
        name = replaces if replaces in self._models else _unused(name, self._models)
        self._models[name] = replace(model, name=name)
        self.selected_name = name
        self.changed.emit()
        return name

    def select(self, name: str) -> None:
        """Select a model; an unknown name changes nothing."""
        if name in self._models and name != self.selected_name:
            self.selected_name = name
            self.changed.emit()

    def clear(self) -> None:
        """Forget all models but the bundled one."""
        self._models: dict[str, Model | str] = {BUNDLED: DEFAULT}
        self.selected_name = BUNDLED
        self.changed.emit()


def _unused(name: str, taken: Mapping[str, object]) -> str:
    numbered = (f"{name} {number}" for number in count(2))
    return next(each for each in chain([name], numbered) if each not in taken)


@lru_cache(maxsize=1)
def model_store() -> ModelStore:
    return ModelStore()


def model_of(recipe: Mapping[str, Any]) -> Model | str:
    """The model that a recipe names, out of those that are open."""
    name, store = str(recipe["model"]), model_store()
    if name in (DEFAULT, BUNDLED):
        return DEFAULT
    if name in store.names:
        return store.get(name)
    raise InputError(
        f"The result was made with the model “{name}”, which is not open: open its file in "
        "Denoise, then try again."
    )
