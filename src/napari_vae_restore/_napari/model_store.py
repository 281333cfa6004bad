"""The models of this session: trained here or opened from a file, shared by all widgets."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model


class ModelStore(QObject):  # type: ignore[misc, unused-ignore]
    """Models by name, in the order in which they came; one of them is selected.

    The signal ``changed`` says that models came or that the selection moved.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._models: dict[str, Model] = {}
        self._selected = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all models."""
        return tuple(self._models)

    @property
    def selected_name(self) -> str:
        """Name of the selected model, empty if there is none."""
        return self._selected

    @property
    def selected(self) -> Model | None:
        """The selected model."""
        return self._models.get(self._selected)

    def add(self, model: Model, name: str, *, replaces: str = "") -> str:
        """Take a model in and select it.

        Parameters
        ----------
        model : Model
            What to take in.
        name : str
            What to call it, in menus and in recipes; numbered if the name is taken.
        replaces : str
            Name of a model whose place it takes, as a training that goes on.

        Returns
        -------
        str
            The name that it has.
        """
        name = replaces if replaces in self._models else _unused(name, self._models)
        self._models[name] = replace(model, name=name)
        self._selected = name
        self.changed.emit()
        return name

    def select(self, name: str) -> None:
        """Select a model; an unknown name changes nothing."""
        if name in self._models and name != self._selected:
            self._selected = name
            self.changed.emit()

    def clear(self) -> None:
        """Forget all models."""
        self._models.clear()
        self._selected = ""
        self.changed.emit()


def _unused(name: str, taken: dict[str, Model]) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name} {number}" in taken:
        number += 1
    return f"{name} {number}"


@lru_cache(maxsize=1)
def model_store() -> ModelStore:
    """The one store of this session."""
    return ModelStore()
