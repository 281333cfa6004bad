"""Trainings in words: rows of a label and its text, alike wherever they are shown.

It imports neither torch nor numpy where it is read, so that ``--help`` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from napari_vae_restore.models.model import TrainingRecord

Rows: TypeAlias = list[tuple[str, str]]  # a label and its text for each line

NOT_RECORDED: Final = "not recorded"
# The figure that a training records where it judged by the risk.
EXPECTED_GAIN: Final = "Expected gain, dB"
_MAX_SOURCES: Final = 6


def describe_training(record: TrainingRecord) -> Rows:
    """What a training did and what it reached."""
    rows = [*describe_course(record), *describe_bound(record)]
    if record.kl:
        levels = " · ".join(f"{value:.4f}" for value in record.kl)
        rows.append(("KL", f"{levels} nats per pixel, finest level first"))
    return [*rows, *describe_gain(record)]


def describe_course(record: TrainingRecord) -> Rows:
    """What a training did and what it saw, as far as that was recorded."""
    done = f"{record.n_steps} steps in {record.seconds:.0f} s on {describe_data(record)}"
    is_known = record.n_steps or record.n_planes
    rows = [("Trained", done if is_known else NOT_RECORDED)]
    if record.sources:
        rows.append(("Data", _listed(record.sources)))
    if record.supervision:
        rows.append(("From", record.supervision))
    if record.start:
        rows.append(("Started as", record.start))
    return rows


def describe_bound(record: TrainingRecord) -> Rows:
    """The ELBO and what it was measured on; nothing where it was not."""
    if record.elbo is None:
        return []
    return [("ELBO", f"{record.elbo:.4f} nats per pixel, on {_judges(record)}")]


def describe_gain(record: TrainingRecord) -> Rows:
    """How much better than what it started from; nothing for a model from nothing."""
    if record.held_out is None or record.held_out_first is None:
        return []
    where = _judges(record)
    if record.n_steps == 0:
        return [("Gain", f"training did not improve the model on {where}: it is as it was")]
    return [("Gain", f"better by {written_gain(record)}, on {where}")]


def written_gain(record: TrainingRecord) -> str:
    """What held-out data say that a training gained, with its unit."""
    expected = dict(record.figures).get(EXPECTED_GAIN)
    if isinstance(expected, float):
        return f"{expected:.2f} dB"
    gain = (record.held_out or 0.0) - (record.held_out_first or 0.0)
    return f"{gain:.4f} nats per pixel"


def describe_data(record: TrainingRecord) -> str:
    """How much a training saw.

    Examples
    --------
    >>> from napari_vae_restore.models.model import TrainingRecord
    >>> describe_data(TrainingRecord(n_planes=1, n_pixels=4096))
    '1 plane, 4096 pixels'
    """
    planes = "plane" if record.n_planes == 1 else "planes"
    return f"{record.n_planes} {planes}, {rounded(record.n_pixels)} pixels"


def rounded(number: int) -> str:
    """A number that nobody counts: with three digits from a million on.

    Examples
    --------
    >>> rounded(3_912_345), rounded(81_234)
    ('3.91 million', '81234')
    """
    return str(number) if number < 10**6 else f"{number / 10**6:.3g} million"


def _judges(record: TrainingRecord) -> str:
    return "held-out pixels" if record.is_held_out else "pixels it was trained on"


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _MAX_SOURCES
    return ", ".join(names[:_MAX_SOURCES]) + (f" and {more} more" if more > 0 else "")
