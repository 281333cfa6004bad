"""What *Train & Adapt* says before a training and after it; no Qt and no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_vae_restore._napari.training.runs import ADAPT, CLEAN, PAIRS, SCRATCH, SHOTS

if TYPE_CHECKING:
    from napari_vae_restore._napari.messages import TrainingEnded

_READY = {
    ADAPT: "Start adapts the bundled model to “{}”; no clean images are needed.",
    SCRATCH: "Start trains a VAE on “{}” alone, from nothing.",
    SHOTS: "Start learns each shot of “{}” from the other one.",
    PAIRS: "Start learns to make of “{}” what the clean images are.",
    CLEAN: "Start simulates noise, holes and down-sampling on “{}”, and learns to undo them.",
}


def ready(way: str, images: str) -> str:
    """What Start will do with images of a name."""
    return _READY[way].format(images)


def ending(ended: TrainingEnded) -> str:
    """How a training ended."""
    if ended.is_complete:
        return f"Trained for {ended.run.request.budget}."
    return "Stopped." if ended.was_stopped else "It was broken off; Resume goes on."
