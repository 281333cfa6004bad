"""``vae-restore train`` and ``adapt``: from a user's images to a model file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import napari_vae_restore as vr
from napari_vae_restore.cli import options, reports, runs, terminal
from napari_vae_restore.errors import InputError, TrainingError, VAERestoreError

if TYPE_CHECKING:
    from napari_vae_restore.cli.calibrate import CalibrateCommand
    from napari_vae_restore.models.config import ModelConfig
    from napari_vae_restore.training.sources import Source

TRAIN_BUDGET, ADAPT_BUDGET = "5min", "2min"
SEED = 0
_COMMON = ("axes", "device", "devices", "skip_unreadable")

Noise = Annotated[
    str | None,
    typer.Option(metavar="NOISE", help=f"{options.NOISE_FORMS}.", show_default="auto"),
]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Pass over files that cannot be used.")
]
Second = Annotated[
    Path | None,
    typer.Option(
        metavar="IN2",
        help="A second noisy shot of each image, under the same name: each is learned "
        "from the other.",
    ),
]
CleanImages = Annotated[
    Path | None,
    typer.Option(
        metavar="CLEAN",
        help="A clean image for each one, under the same name; or one 2, 3 or 4 times as "
        "high and wide.",
    ),
]
Simulated = Annotated[
    str | None,
    typer.Option(
        metavar="TASKS",
        help="Take IN as clean, and learn to undo what is simulated on it: denoise, "
        "inpaint, super-resolve, or several with commas.",
    ),
]


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Options of commands that train, behind those of their own."""

    images: options.TrainingImages
    output: options.ModelOutput
    _: KW_ONLY
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Steps in place of a time: the same seed then gives the same model.",
        ),
    ] = None
    noise: Noise = None
    axes: options.Axes = None
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Of weights, patches and noise.", show_default=str(SEED)
        ),
    ] = None
    device: options.Device = "auto"
    devices: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Graphics cards, or processes, that share batches."
        ),
    ] = 1
    skip_unreadable: SkipUnreadable = False
    overwrite: options.Overwrite = False
    json_lines: Annotated[
        bool,
        typer.Option(
            "--json-lines",
            hidden=True,
            help="Report in lines of JSON on stdout, and end at a line 'stop' on stdin.",
        ),
    ] = False

    def common(self) -> dict[str, Any]:
        """Settings of a training from its first step and of a resumed one."""
        return {name: getattr(self, name) for name in _COMMON}

    def prepare(self, source: Source, budget: str, **more: Any) -> vr.Training:
        """Read the images and measure their noise."""
        return vr.Training(
            source,
            noise=self.noise or "auto",
            budget=budget,
            steps=self.steps,
            seed=SEED if self.seed is None else self.seed,
            **self.common(),
            **more,
        )

    def check_time(self, budget: str | None) -> None:
        """Raise InputError for a time beside a number of steps."""
        if budget is not None and self.steps is not None:
            raise InputError("Expected --budget or --steps, but both came: leave one out.")


@dataclass(frozen=True, slots=True)
class AdaptCommand(TrainingOptions):
    """Adapt the bundled model to noisy images; no clean ones are needed.

    Held-out pixels decide what is kept: on them, the result is never worse than before.
    Ctrl-C stops it and saves the best model so far.
    """

    model: Annotated[
        str, typer.Option(metavar="default|FILE", help="The model to start from.")
    ] = "default"
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Such as 90s, 2min, 1h.", show_default=ADAPT_BUDGET),
    ] = None

    def run(self) -> None:
        inputs = checked_files(self)
        self.check_time(self.budget)

        def prepare() -> vr.Training:
            return self.prepare(self.images, self.budget or ADAPT_BUDGET, start=self.model)

        _train(self, inputs, prepare, {"start": self.model})


@dataclass(frozen=True, slots=True)
class TrainCommand(TrainingOptions):
    """Train a model on noisy images alone, or with all that there is besides.

    Ctrl-C stops it and saves the best model so far, from which --resume goes on.
    """

    second: Second = None
    clean: CleanImages = None
    simulate: Simulated = None
    start: Annotated[
        str | None,
        typer.Option(
            metavar="default|FILE",
            help="Model to go on from. Noisy images alone otherwise train one of their own; "
            "all else starts from the bundled one.",
        ),
    ] = None
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="hvae|flat",
            help="Network of fresh weights for noisy images alone; flat is that of the "
            "textbooks.",
            show_default="hvae",
        ),
    ] = None
    latent: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Its latent channels at every level, or the length of its vector.",
            show_default="16; flat: 32",
        ),
    ] = None
    size: Annotated[
        int | None,
        typer.Option(
            min=4,
            metavar="PIXELS",
            help="Side of what a flat one sees, a multiple of 4.",
            show_default="that of small images, or 32",
        ),
    ] = None
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Go on with a training that was stopped, from the file it saved, with the "
            "same images.",
        ),
    ] = None
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Such as 90s, 5min, 1h.", show_default=TRAIN_BUDGET),
    ] = None

    def run(self) -> None:
        inputs = checked_files(self)
        source = source_of(self)
        self.check_time(self.budget)
        for name in ("budget", "steps", "seed", "kind", "latent", "size"):
            if self.resume is not None and getattr(self, name) is not None:
                raise InputError(
                    f"--resume goes on with the settings of its checkpoint: leave --{name} out."
                )

        def prepare() -> vr.Training:
            if self.resume is not None:
                more = {"start": self.start, "noise": self.noise} | self.common()
                return vr.Training.resume(self.resume, source, **more)
            budget = self.budget or TRAIN_BUDGET
            return self.prepare(source, budget, start=self.start, config=self._config())

        given = {name: getattr(self, name) for name in ("second", "clean", "simulate", "start")}
        _train(self, inputs, prepare, given)

    def _config(self) -> ModelConfig | None:
        """The network of fresh weights, where one is asked for."""
        if self.kind is None and self.latent is None and self.size is None:
            return None
        from napari_vae_restore.training.networks import network_config
        from napari_vae_restore.training.sources import listed, load_images

        first = load_images([listed(self.images)[0].given], self.axes, may_have_nan=True)
        return network_config(self.kind or "hvae", first, latent=self.latent, size=self.size)


def checked_files(given: TrainingOptions | CalibrateCommand) -> list[Path]:
    """The files that the images stand for; InputError unless a model can be written."""
    from napari_vae_restore.batch import outputs
    from napari_vae_restore.models.files import SUFFIX
    from napari_vae_restore.training.sources import listed

    inputs = [Path(item.given) for item in listed(given.images)]
    outputs.check_path(given.output, [SUFFIX], inputs, overwrite=given.overwrite)
    if given.output.suffix != SUFFIX:
        raise InputError(
            f"Expected the ending {SUFFIX} in small letters, but {given.output.name} came."
        )
    return inputs


def source_of(given: TrainCommand | CalibrateCommand) -> Source:
    """The training source that the options name; at most one of them may be given."""
    ways = {"--second": given.second, "--clean": given.clean, "--simulate": given.simulate}
    if len(named := [name for name, value in ways.items() if value is not None]) > 1:
        raise InputError(f"Expected one of {' and '.join(named)}: leave the others out.")
    if given.second is not None:
        return vr.Shots(given.images, given.second)
    if given.clean is not None:
        return vr.Pairs(given.images, given.clean)
    if given.simulate is not None:
        return vr.Clean(given.images, tuple(map(str.strip, given.simulate.split(","))))
    return given.images


def _train(
    given: TrainingOptions,
    inputs: list[Path],
    prepare: Callable[[], vr.Training],
    repeated: dict[str, Any],
) -> None:
    """Run a training to its end or to Ctrl-C, save what it learned, and report it.

    `inputs` are the files of the images, `repeated` the options that the command to resume
    it repeats.
    """
    lines = runs.JsonLines() if given.json_lines else None
    try:
        training, stopped = _trained(prepare, given.output, lines)
    except Exception as error:
        if lines is not None:
            lines.failed(error)
        raise
    if not training.is_main:
        return
    if stopped and not training.step:
        terminal.note("no step was finished, so nothing is saved")
    elif lines is not None:
        lines.saved(given.output, complete=not stopped)
    else:
        _report(given, training, stopped=stopped)
        terminal.report(_next_step(given, inputs[0], repeated, stopped=stopped))
    if stopped:
        raise typer.Exit(terminal.INTERRUPTED)


def _trained(
    prepare: Callable[[], vr.Training], output: Path, lines: runs.JsonLines | None
) -> tuple[vr.Training, bool]:
    """Train and save; a checkpoint where it was stopped or failed. Whether it was stopped."""
    with terminal.working("Reading the images and measuring their noise"):
        training = prepare()
    if not training.is_main:
        for _ in training.run():
            pass
        return training, False
    if lines is not None:
        lines.started(training)
    try:
        stopped = runs.run_training(training, output, lines)
    except TrainingError as error:
        if not training.step:
            raise
        training.save_checkpoint(output)
        if lines is not None:
            lines.saved(output, complete=False)
        raise TrainingError(f"{error}; the best model so far is saved in {output}") from error
    if not stopped:
        # It may replace a file: its own checkpoints, or what --overwrite was said of.
        training.model.save(output, overwrite=True)
    elif training.step:
        training.save_checkpoint(output)
    return training, stopped


def _report(given: TrainingOptions, training: vr.Training, *, stopped: bool) -> None:
    """Report what was trained and saved, and write the model's report beside it."""
    from napari_vae_restore.noise.words import describe_noise
    from napari_vae_restore.reports.model_page import write_report_beside

    model, output = training.model, given.output
    rows = [
        ("Noise", describe_noise(training.data_noise)),
        *reports.describe_training(model.record),
        ("Saved", f"{output}{' (the best model so far)' if stopped else ''}"),
    ]
    try:
        page = write_report_beside(model, output, overwrite=given.overwrite)
        rows.append(("Report", str(page)))
    except VAERestoreError as error:  # another page is in the way
        terminal.complain("warning", str(error))
    terminal.report(rows)


def _next_step(
    given: TrainingOptions, image: Path, repeated: dict[str, Any], *, stopped: bool
) -> reports.Rows:
    """What to type next: to go on, or to use the model."""
    from napari_vae_restore.images.array_files import is_array_file

    output = given.output
    if stopped:
        words = ["train", given.images, "-o", output, "--resume", output, "--overwrite"]
        for name, value in (repeated | {"noise": given.noise, "axes": given.axes}).items():
            words += [f"--{name}", value] if value is not None else []
        return [("Go on with", reports.as_typed("vae-restore", *words))]
    if is_array_file(image):
        return []  # the other commands read no arrays
    words = ["denoise", image, "-o", f"{image.stem}_denoised.tif", "--model", output]
    return [("Next", reports.as_typed("vae-restore", *words))]
