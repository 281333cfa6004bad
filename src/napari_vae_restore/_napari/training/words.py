"""Texts of *Train & Adapt* before and after a training; no Qt and no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_vae_restore._napari.training.runs import ADAPT, CLEAN, PAIRS, SCRATCH, SHOTS

if TYPE_CHECKING:
    from napari_vae_restore._napari.training.steps import TrainingEnded

_READY = {
    ADAPT: "Start adapts the bundled model to “{}”; no clean images are needed.",
    SCRATCH: "Start trains a VAE on “{}” alone, from nothing.",
    SHOTS: "Start learns each shot of “{}” from the other one.",
    PAIRS: "Start learns to make of “{}” what the clean images are.",
    CLEAN: "Start simulates noise, holes and down-sampling on “{}”, and learns to undo them.",
}


def ready(way: str, images: str) -> str:
    """Text before a training: what Start does with the named images."""
    return _READY[way].format(images)


def ending(ended: TrainingEnded) -> str:
    """Text after a training."""
    if ended.is_complete:
        return f"Trained for {ended.run.request.budget}."
    return "Stopped." if ended.was_stopped else "It was broken off; Resume goes on."
