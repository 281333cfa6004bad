"""The choice of a model: the bundled one, those of this session, or a file."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtWidgets import QFileDialog

from napari_vae_restore._napari.forms.fields import Choice, small_button
from napari_vae_restore._napari.forms.form import Row
from napari_vae_restore._napari.forms.model_store import BUNDLED, model_store
from napari_vae_restore._napari.forms.settings import recent_models
from napari_vae_restore._napari.messages import Update

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.noise.models import NoiseModel

FILE_FILTER = "Models (*.safetensors)"

_ABOUT_WIDTH = 24  # pixels, of its button
_ABOUT_BUNDLED = (
    "Comes with the plugin and works at once, offline, on images that it has not seen.\n"
    "It removes noise, fills holes and enlarges"
)


class ModelChoice(Row):
    """Models to choose from, a button that opens a file, and one that describes the model.

    The selection is shared by all widgets; one that offers no models that only denoise
    shows the bundled one while such a model is selected elsewhere.
    """

    file_chosen = Signal(str)
    about_asked = Signal()

    def __init__(self, *, denoising_only: bool = True) -> None:
        self.takes_denoising_only = denoising_only
        self._store = model_store()
        self.names = Choice(self._entries)
        about = "About this model: what it saw, what it reached, samples"
        self.about = small_button("i", about, self.about_asked.emit)
        self.about.setAccessibleName("About this model")
        self.about.setFixedWidth(_ABOUT_WIDTH)
        opening = small_button("Open…", "Open a model file (.safetensors)", self._on_open)
        super().__init__(self.names, buttons=(opening, self.about), label="Model")
        self.names.changed.connect(self._on_chosen)
        self.reset_choices()

    @property
    def model(self) -> Model | str:
        """The chosen model, as :func:`~napari_vae_restore.restore` takes it."""
        return self._store.get(self._shown)

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the cells of the chosen model's levels, finest first."""
        from napari_vae_restore.models.config import RestorationConfig

        model = self.model
        config = RestorationConfig() if isinstance(model, str) else model.network.config
        return config.strides

    def reset_choices(self, *_: Any) -> None:
        """Offer the models of this session, and those opened lately; show the selected one."""
        with self.names.changed.blocked():
            self.names.reset_choices()
            self.names.value = self._shown
        self.names.tooltip = _description(self.model)

    @property
    def _shown(self) -> str:
        return self._store.selected_name if self._offers(self._store.selected_name) else BUNDLED

    def _offers(self, name: str) -> bool:
        return self.takes_denoising_only or not removes_noise_only(self._store.get(name))

    def _entries(self, choice: Choice) -> list[tuple[str, str | Path]]:
        names = [name for name in self._store.names if self._offers(name)]
        recent = {path.stem: path for path in reversed(recent_models())}
        files = [recent[stem] for stem in reversed(recent) if stem not in self._store.names]
        return [
            *((name, name) for name in names),
            *((f"{path.stem} (recent file)", path) for path in files),
        ]

    def _on_chosen(self, value: str | Path) -> None:
        if isinstance(value, str):
            self._store.select(value)
            return
        # Until it has been opened, what was chosen stays chosen.
        self.reset_choices()
        self.file_chosen.emit(str(value))

    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self.native, "Open a model", "", FILE_FILTER)
        if path:
            self.file_chosen.emit(path)


def load_steps(path: Path) -> Generator[Update, None, Model]:
    yield Update(f"Opening {path.name}…")
    from napari_vae_restore.models.files import load

    return load(path)


def removes_noise_only(model: Model | str) -> bool:
    """Whether a model was trained on noisy images and can neither fill nor enlarge."""
    return not isinstance(model, str) and model.normalisation is not None


def trained_noise(model: Model | str) -> NoiseModel | None:
    """The noise that a model was trained on; the bundled one has none of its own."""
    return None if isinstance(model, str) else model.noise


def joins_channels(model: Model | str) -> bool:
    """Whether a model takes all channels at once; the bundled one takes them one by one."""
    return not isinstance(model, str) and model.network.config.channels > 1


def _description(model: Model | str) -> str:
    if isinstance(model, str):
        return _ABOUT_BUNDLED
    record = model.record
    text = f"{model.name}\n{record.n_steps} training steps in {record.seconds:.0f} s"
    if record.elbo is not None:
        text += f"\nheld-out ELBO {record.elbo:.3f} nats per pixel"
    return text + f"\nnoise: {model.noise or 'measured in each image'}"
