"""``vae-restore train`` and ``vae-restore adapt``: from a user's images to a model file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vae_restore.cli import options, reports, runs, sources, terminal
from napari_vae_restore.cli.json_lines import JsonLines
from napari_vae_restore.cli.sources import check_model_path, files_of, source_of
from napari_vae_restore.errors import InputError, TrainingError, VAERestoreError

if TYPE_CHECKING:
    from napari_vae_restore.models.config import ModelConfig
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.training.engine import Training
    from napari_vae_restore.training.sources import Source

TRAIN_BUDGET, ADAPT_BUDGET = "5min", "2min"
SEED = 0

Steps = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Steps in place of a time: the same seed then gives the same model."
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="N", help="Of weights, patches and noise.", show_default=str(SEED)
    ),
]
Devices = Annotated[
    int,
    typer.Option(min=1, metavar="N", help="Graphics cards, or processes, that share batches."),
]
Lines = Annotated[
    bool,
    typer.Option(
        "--json-lines",
        hidden=True,
        help="Report in lines of JSON on stdout, and end at a line 'stop' on stdin.",
    ),
]
StartModel = Annotated[
    str, typer.Option(metavar="default|FILE", help="The model to start from.")
]
AdaptBudget = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Such as 90s, 2min, 1h.", show_default=ADAPT_BUDGET),
]
Start = Annotated[
    str | None,
    typer.Option(
        metavar="default|FILE",
        help="Model to go on from. Noisy images alone otherwise train one of their own; "
        "all else starts from the bundled one.",
    ),
]
TrainBudget = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Such as 90s, 5min, 1h.", show_default=TRAIN_BUDGET),
]
Kind = Annotated[
    str | None,
    typer.Option(
        metavar="hvae|flat",
        help="Network of fresh weights for noisy images alone; flat is that of the textbooks.",
        show_default="hvae",
    ),
]
Latent = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Its latent channels at every level, or the length of its vector.",
        show_default="16; flat: 32",
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        min=4,
        metavar="PIXELS",
        help="Side of what a flat one sees, a multiple of 4.",
        show_default="that of small images, or 32",
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        metavar="CHECKPOINT",
        help="Go on with a training that was stopped, from the file it saved, with the "
        "same images.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """A training as the options ask for it; None stands for the default."""

    source: Source
    start: str | None
    budget: str | None
    steps: int | None
    noise: str | None
    axes: str | None
    seed: int | None
    device: str
    devices: int
    skip_unreadable: bool
    kind: str | None = None
    latent: int | None = None
    size: int | None = None
    resume: Path | None = None
    default_budget: str = TRAIN_BUDGET

    def check(self) -> None:
        """Raise InputError for options that exclude each other."""
        if self.budget is not None and self.steps is not None:
            raise InputError("Expected --budget or --steps, but both came: leave one out.")
        if self.resume is None:
            return
        for name in ("budget", "steps", "seed", "kind", "latent", "size"):
            if getattr(self, name) is not None:
                raise InputError(
                    f"--resume goes on with the settings of its checkpoint: leave --{name} out."
                )

    def prepare(self, images: Path) -> Training:
        """Read the images and measure their noise."""
        from napari_vae_restore.training.engine import Training

        common: dict[str, Any] = {
            "start": self.start,
            "axes": self.axes,
            "device": self.device,
            "devices": self.devices,
            "skip_unreadable": self.skip_unreadable,
        }
        if self.resume is not None:
            return Training.resume(self.resume, self.source, noise=self.noise, **common)
        return Training(
            self.source,
            config=self._config(images),
            noise=self.noise or "auto",
            budget=self.budget or self.default_budget,
            steps=self.steps,
            seed=SEED if self.seed is None else self.seed,
            **common,
        )

    def _config(self, images: Path) -> ModelConfig | None:
        """The network of fresh weights, where one is asked for."""
        if self.kind is None and self.latent is None and self.size is None:
            return None
        from napari_vae_restore.training.networks import network_config
        from napari_vae_restore.training.sources import listed, load_images

        first = load_images([listed(images)[0].given], self.axes, may_have_nan=True)
        return network_config(self.kind or "hvae", first, latent=self.latent, size=self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFiles:
    """Files that a training reads and writes."""

    images: Path
    inputs: list[Path]  # the files that `images` stands for
    output: Path
    overwrite: bool


def adapt(
    images: sources.Images,
    output: sources.Output,
    model: StartModel = "default",
    budget: AdaptBudget = None,
    steps: Steps = None,
    noise: sources.Noise = None,
    axes: options.Axes = None,
    seed: Seed = None,
    device: options.Device = "auto",
    devices: Devices = 1,
    skip_unreadable: sources.SkipUnreadable = False,
    overwrite: options.Overwrite = False,
    json_lines: Lines = False,
) -> None:
    """Adapt the bundled model to noisy images; no clean ones are needed.

    Held-out pixels decide what is kept: on them, the result is never worse than before.
    Ctrl-C stops it and saves the best model so far.
    """
    files = _checked_files(images, output, overwrite=overwrite)
    request = TrainingRequest(
        source=images,
        start=model,
        budget=budget,
        default_budget=ADAPT_BUDGET,
        steps=steps,
        noise=noise,
        axes=axes,
        seed=seed,
        device=device,
        devices=devices,
        skip_unreadable=skip_unreadable,
    )
    _run_command(request, files, JsonLines() if json_lines else None, {"start": model})


def train(
    images: sources.Images,
    output: sources.Output,
    second: sources.Second = None,
    clean: sources.CleanImages = None,
    simulate: sources.Simulated = None,
    start: Start = None,
    budget: TrainBudget = None,
    steps: Steps = None,
    noise: sources.Noise = None,
    axes: options.Axes = None,
    kind: Kind = None,
    latent: Latent = None,
    size: Size = None,
    seed: Seed = None,
    device: options.Device = "auto",
    devices: Devices = 1,
    resume: Resume = None,
    skip_unreadable: sources.SkipUnreadable = False,
    overwrite: options.Overwrite = False,
    json_lines: Lines = False,
) -> None:
    """Train a model on noisy images alone, or with all that there is besides.

    Ctrl-C stops it and saves the best model so far, from which --resume goes on.
    """
    files = _checked_files(images, output, overwrite=overwrite)
    request = TrainingRequest(
        source=source_of(images, second, clean, simulate),
        start=start,
        budget=budget,
        steps=steps,
        noise=noise,
        axes=axes,
        seed=seed,
        device=device,
        devices=devices,
        skip_unreadable=skip_unreadable,
        kind=kind,
        latent=latent,
        size=size,
        resume=resume,
    )
    given = {"second": second, "clean": clean, "simulate": simulate, "start": start}
    _run_command(request, files, JsonLines() if json_lines else None, given)


def _checked_files(images: Path, output: Path, *, overwrite: bool) -> TrainingFiles:
    inputs = files_of(images)
    check_model_path(output, inputs, overwrite=overwrite)
    return TrainingFiles(images=images, inputs=inputs, output=output, overwrite=overwrite)


def _run_command(
    request: TrainingRequest,
    files: TrainingFiles,
    lines: JsonLines | None,
    given: dict[str, Any],
) -> None:
    """Run a training to its end or to Ctrl-C, save what it learned, and report it.

    `given` are the options that the command to resume it repeats.
    """
    request.check()
    try:
        training, stopped = _run(request, files, lines)
    except Exception as error:
        if lines is not None:
            lines.failed(error)
        raise
    if not training.is_main:
        return
    if stopped and not training.step:
        terminal.note("no step was finished, so nothing is saved")
    elif lines is not None:
        lines.saved(files.output, complete=not stopped)
    else:
        _report(training, files, stopped=stopped)
        if stopped:
            given = given | {"noise": request.noise, "axes": request.axes}
            terminal.report([("Go on with", _resume_command(files, given))])
    if stopped:
        raise typer.Exit(terminal.INTERRUPTED)


def _resume_command(files: TrainingFiles, given: dict[str, Any]) -> str:
    """The command that goes on from what is saved."""
    output = files.output
    words = ["train", files.images, "-o", output, "--resume", output, "--overwrite"]
    for name, value in given.items():
        words += [f"--{name}", value] if value is not None else []
    return reports.as_typed("vae-restore", *words)


def _run(
    request: TrainingRequest, files: TrainingFiles, lines: JsonLines | None
) -> tuple[Training, bool]:
    """Train and save; a checkpoint where it was stopped or failed. Whether it was stopped."""
    output = files.output
    with terminal.working("Reading the images and measuring their noise"):
        training = request.prepare(files.images)
    if not training.is_main:
        for _ in training.run():
            pass
        return training, False
    if lines is not None:
        lines.started(training)
    try:
        stopped = runs.run_training(training, output, lines)
    except TrainingError as error:
        if not _save_unfinished(training, output):
            raise
        if lines is not None:
            lines.saved(output, complete=False)
        raise TrainingError(f"{error}; the best model so far is saved in {output}") from error
    if stopped:
        _save_unfinished(training, output)
    else:
        # It may replace a file: its own checkpoints, or what --overwrite was said of.
        training.model.save(output, overwrite=True)
    return training, stopped


def _report(training: Training, files: TrainingFiles, *, stopped: bool) -> None:
    """Report what was trained and saved, and what to type next."""
    from napari_vae_restore.images.array_files import is_array_file
    from napari_vae_restore.noise.words import describe_noise

    output, first = files.output, files.inputs[0]
    terminal.report(
        [
            ("Noise", describe_noise(training.data_noise)),
            *reports.describe_training(training.model.record),
            ("Saved", f"{output}{' (the best model so far)' if stopped else ''}"),
            *_write_report(training.model, output, overwrite=files.overwrite),
        ]
    )
    if stopped or is_array_file(first):
        return  # the other commands read no arrays
    words = ["denoise", first, "-o", f"{first.stem}_denoised.tif", "--model", output]
    terminal.report([("Next", reports.as_typed("vae-restore", *words))])


def _write_report(model: Model, output: Path, *, overwrite: bool) -> reports.Rows:
    """Save the model's report beside it, or warn that another page is in the way."""
    from napari_vae_restore.reports.model_page import write_report_beside

    try:
        return [("Report", str(write_report_beside(model, output, overwrite=overwrite)))]
    except VAERestoreError as error:
        terminal.complain("warning", str(error))
        return []


def _save_unfinished(training: Training, output: Path) -> bool:
    """Save a checkpoint, which is a model file too, if any step was done."""
    if not training.step:
        return False
    training.save_checkpoint(output)
    return True
