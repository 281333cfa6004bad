"""What the window remembers: preferences, the values used last, models opened lately.

Preferences are a page of napari's own (0.9 and later; before, their defaults hold). What was
used last and which models were opened is a small file of the user's data. No Qt here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_vae_restore._napari.training import runs as training_runs
from napari_vae_restore.images.atomic import atomic_write
from napari_vae_restore.images.tiling import TILE

_log = logging.getLogger(__name__)

PLUGIN: Final = "napari-vae-restore"
RECENT_MODELS: Final = 6
"""Model files that are offered again."""

_MODELS = "recent models"
_VALUES = "last used"


@dataclass(frozen=True, slots=True)
class Preferences:
    """What napari's preferences page holds."""

    device: str = "auto"
    tile: int = TILE
    remember: bool = True


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
    if not preferences().remember:
        return {}
    values = _read().get(_VALUES, {}).get(widget, {})
    return values if isinstance(values, dict) else {}


def remember(widget: str, values: Mapping[str, Any]) -> None:
    """Keep the values of a widget's fields for the next session."""
    kept = _read()
    kept[_VALUES] = {**kept.get(_VALUES, {}), widget: dict(values)}
    _write(kept)


def recent_models() -> list[Path]:
    """Model files that were opened or saved lately and still exist, the newest first."""
    listed = _read().get(_MODELS, [])
    return [Path(path) for path in listed if isinstance(path, str) and Path(path).is_file()]


def remember_model(path: Path) -> None:
    """Put a model file at the head of the recent ones."""
    kept, newest = _read(), str(path.absolute())
    others = [str(each) for each in recent_models() if str(each) != newest]
    kept[_MODELS] = [newest, *others][:RECENT_MODELS]
    _write(kept)


def _path() -> Path:
    return training_runs.runs_folder().parent / "window.json"


def _read() -> dict[str, Any]:
    try:
        kept = json.loads(_path().read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(kept: Mapping[str, Any]) -> None:
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(kept, indent=1), "utf-8")
    except OSError as error:  # a full disk must not stop a restoration
        _log.warning("cannot remember what was used: %s", error)
