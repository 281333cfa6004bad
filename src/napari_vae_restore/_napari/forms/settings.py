"""What the window remembers: preferences, the values used last, models opened lately.

Preferences are a page of napari's own (0.9 and later; before, their defaults hold). What was
used last and which models were opened is a small file of the user's data.
No Qt here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, Field, ValidationError

from napari_vae_restore._napari.training import runs as training_runs
from napari_vae_restore.images.atomic import atomic_write
from napari_vae_restore.images.tiling import TILE

_log = logging.getLogger(__name__)

PLUGIN: Final = "napari-vae-restore"
RECENT_MODELS: Final = 6  # model files that are offered again


@dataclass(frozen=True, slots=True)
class Preferences:
    """What napari's preferences page holds."""

    device: str = "auto"
    tile: int = TILE
    remember: bool = True


class _Kept(BaseModel):
    models: list[str] = Field([], alias="recent models")
    values: dict[str, dict[str, Any]] = Field({}, alias="last used")


def preferences() -> Preferences:
    """Read the preferences; where napari keeps none, they are the defaults."""
    try:
        page = preferences_page()
        if page is None:
            return Preferences()
        return Preferences(str(page.device), int(page.tile), bool(page.remember))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        _log.warning("the preferences cannot be read: %s", error)
        return Preferences()


def preferences_page() -> Any:
    """The page among napari's preferences, whose values are saved; None before napari 0.9."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return None
    return get_plugin_settings(PLUGIN).computing


def last_used(widget: str) -> dict[str, Any]:
    """The values that a widget's fields had at its last run; none at first."""
    return _read().values.get(widget, {}) if preferences().remember else {}


def remember(widget: str, values: Mapping[str, Any]) -> None:
    """Keep the values of a widget's fields for the next session."""
    kept = _read()
    kept.values[widget] = dict(values)
    _write(kept)


def recent_models() -> list[Path]:
    """Model files that were opened or saved lately and still exist, the newest first."""
    return [Path(path) for path in _read().models if Path(path).is_file()]


def remember_model(path: Path) -> None:
    """Put a model file at the head of the recent ones."""
    kept, newest = _read(), path.absolute()
    listed = [newest, *(each for each in recent_models() if each != newest)]
    kept.models = [str(each) for each in listed[:RECENT_MODELS]]
    _write(kept)


def kept_file() -> Path:
    """The file, among the user's data on this machine."""
    return training_runs.runs_folder().parent / "window.json"


def _read() -> _Kept:
    try:
        return _Kept.model_validate_json(kept_file().read_bytes())
    except (OSError, ValidationError):
        return _Kept.model_validate({})


def _write(kept: _Kept) -> None:
    path = kept_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_text(kept.model_dump_json(by_alias=True, indent=1), "utf-8")
    except OSError as error:  # a full disk must not stop a restoration
        _log.warning("cannot remember what was used: %s", error)
