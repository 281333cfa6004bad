"""Training of the bundled model: a loop over stages that survives being killed.

Data, losses and optimisers are the stages'; see :mod:`~.stages`.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from bundled_model.patch_batches import Batch, Stream, batches
from bundled_model.schedule import Plan, RunState, StageRecord
from bundled_model.stages import STAGES, Stage
from napari_vae_restore import __version__
from napari_vae_restore.errors import InputError, ModelFileError
from napari_vae_restore.models.bundled import DEFAULT
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.devices import choose_device, native_precision
from napari_vae_restore.models.files import load_checkpoint, save
from napari_vae_restore.models.latents import random_noise
from napari_vae_restore.models.model import Model, TrainingRecord, build_network, channels_last
from napari_vae_restore.models.protocol import VAEModule
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.models.threads import WORTH_A_TRIAL, fitting_threads
from napari_vae_restore.training import checkpoint
from napari_vae_restore.training.pictures import PatchSource, Picture

_log = logging.getLogger(__name__)

_SECONDS_PER_LINE: Final = 30.0
_SECONDS_PER_CHECKPOINT: Final = 120.0
_STAGE_STATE: Final = "stage."


@dataclass(frozen=True, slots=True)
class StageProgress:
    """Report of a run after each step."""

    stage: str
    step: int  # steps of this stage
    fraction: float  # share of this stage that is over, 0 to 1
    loss: float
    gradient: float  # norm before clipping
    learning_rate: float


class BundledTraining:
    """Trains the three parts of a :class:`~.restorer.RestorationVAE`, one after another.

    Iterate over :meth:`run`. If the checkpoint at `path` exists, the run goes on from it. With
    `start`, its weights replace fresh ones, and ``plan.start`` is set from it.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        path: Path,
        plan: Plan,
        *,
        config: RestorationConfig | None = None,
        start: Model | None = None,
        device: str = "auto",
        workers: int = 1,
    ) -> None:
        self._path, self._workers = path, workers
        self._pictures = pictures
        self._sizes = (
            sum(len(picture.planes) for picture in pictures),
            sum(picture.planes.size for picture in pictures),
        )
        self._device = choose_device(device)
        if start is not None:
            plan = Plan(**(asdict(plan) | {"start": start.sha256}))
        self.plan = plan
        self._network = self._to_device(_network(plan, config, start))
        _check(plan, self._network.config)
        self._done: tuple[StageRecord, ...] = ()
        self._enter_stage()
        if path.exists():
            self._resume()

    @property
    def done(self) -> tuple[StageRecord, ...]:
        """The stages that are finished."""
        return self._done

    @property
    def model(self) -> Model:
        """The averaged weights as they are now, on the CPU."""
        network = copy.deepcopy(self._network)
        if self._stage is not None:
            averaged = self._averaged.state_dict()
            self._stage.part(network).load_state_dict(averaged)
        network = network.cpu().eval().requires_grad_(True)
        return Model(cast("VAEModule", network), None, None, self._record(), name=DEFAULT)

    def run(self) -> Generator[StageProgress, None, None]:
        """Train the rest of every stage; yields after each step; can be closed at any time."""
        while self._stage is not None:
            yield from self._run_stage(self._stage)
            self._finish_stage(self._stage)
            self.save_checkpoint()

    def save_checkpoint(self) -> None:
        """Write the checkpoint, atomically."""
        tensors: dict[str, Tensor] = {}
        figures: dict[str, float] = {}
        if self._stage is not None:
            tensors = checkpoint.to_tensors(*self._parts(self._stage))
            state = self._stage.state()
            tensors |= {_STAGE_STATE + name: value for name, value in state.items()}
            figures = self._stage.figures
        run = RunState(self.plan, self._step, self._seconds, figures, self._done)
        save(self.model, self._path, overwrite=True, training_state=(tensors, asdict(run)))

    def _enter_stage(self) -> None:
        """Set up the first stage that is not done; after the last there is none."""
        index = len(self._done)
        self._stage = STAGES[index](self._network) if index < len(STAGES) else None
        self._step, self._seconds = 0, 0.0
        self._generator = torch.Generator().manual_seed(self.plan.seed + index)
        self._network.requires_grad_(False)
        if self._stage is not None:
            part = self._stage.part(self._network).requires_grad_(True)
            self._averaged = copy.deepcopy(part).requires_grad_(False)
            self._optimiser: Optimizer = self._stage.optimiser()

    def _run_stage(self, stage: Stage) -> Generator[StageProgress, None, None]:
        seed = (self.plan.seed, len(self._done))
        stream = Stream(
            stage.recipe.draw,
            PatchSource(self._pictures, self.plan.side * stage.recipe.zoom),
            batch=stage.recipe.batch,
            seed=seed,
            first=self._step,
        )
        data = batches(stream, self._workers)
        timed = self._device.type == "cpu" and not self.plan.steps
        threads = fitting_threads(self._device, WORTH_A_TRIAL) if timed else nullcontext()
        # Core-hours: what other programs take of the processor does not count.
        clock = time.process_time if timed else time.monotonic
        started = clock() - self._seconds
        logged = saved = time.monotonic()
        with threads:
            while self._fraction(stage) < 1:
                progress = self._optimise(stage, next(data))
                now = time.monotonic()
                self._seconds = clock() - started
                if now - logged > _SECONDS_PER_LINE:
                    logged = now
                    _log.info("%s", _line(progress, self._seconds, stage.figures))
                if now - saved > _SECONDS_PER_CHECKPOINT:
                    self.save_checkpoint()
                    saved = time.monotonic()
                yield progress

    def _optimise(self, stage: Stage, batch: Batch) -> StageProgress:
        """One step of the optimiser, then of the moving average."""
        fraction, recipe = self._fraction(stage), stage.recipe
        rate = recipe.rate_at(self._step, fraction)
        for group in self._optimiser.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        batch = tuple(self._moved(tensor) for tensor in batch)
        with native_precision(self._device):
            loss = stage.loss(batch, fraction, random_noise(self._generator))
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = list(stage.part(self._network).parameters())
        norm = torch.nn.utils.clip_grad_norm_(parameters, recipe.max_gradient)
        if bool(norm.isfinite()):
            self._optimiser.step()
        decay = min(recipe.average, (1 + self._step) / (10 + self._step))
        averaged: list[Tensor] = list(self._averaged.parameters())
        with torch.no_grad():
            torch._foreach_lerp_(averaged, list(parameters), 1 - decay)
        self._step += 1
        return StageProgress(
            stage=stage.name,
            step=self._step,
            fraction=fraction,
            loss=float(loss.detach()),
            gradient=float(norm),
            learning_rate=rate,
        )

    def _finish_stage(self, stage: Stage) -> None:
        """Keep the averaged weights, which later stages build on."""
        stage.part(self._network).load_state_dict(self._averaged.state_dict())
        record = StageRecord(
            stage.name, self._step, round(self._seconds, 1), dict(stage.figures)
        )
        _log.info("stage %s: %d steps in %.0f s", record.name, record.steps, record.seconds)
        self._done = (*self._done, record)
        self._enter_stage()

    def _resume(self) -> None:
        model, tensors, values = load_checkpoint(self._path)
        run = checkpoint.parse_state(RunState, values, self._path)
        same_pictures = (model.record.n_planes, model.record.n_pixels) == self._sizes
        same_network = model.network.config == self._network.config
        if run.plan != self.plan or not (same_pictures and same_network):
            raise InputError(
                f"{self._path} is of another run, {run.plan} on {model.record.n_planes} "
                "planes: give the same options and pictures to go on from it, or another "
                "folder"
            )
        self._network.load_state_dict(model.network.state_dict())
        self._done = run.done
        self._enter_stage()
        if self._stage is not None:
            self._restore(self._stage, tensors, run)
        _log.info("going on from %s: %d stages done", self._path, len(self._done))

    def _restore(self, stage: Stage, tensors: dict[str, Tensor], run: RunState) -> None:
        state = {
            name.removeprefix(_STAGE_STATE): value
            for name, value in tensors.items()
            if name.startswith(_STAGE_STATE)
        }
        try:
            checkpoint.from_tensors(tensors, *self._parts(stage))
            stage.load_state(state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ModelFileError(
                f"{self._path}: the training's state does not fit its model: the file is "
                "damaged"
            ) from error
        stage.figures = dict(run.figures)
        self._step, self._seconds = run.step, run.seconds

    def _parts(self, stage: Stage) -> tuple[VAEModule, VAEModule, Optimizer, torch.Generator]:
        """What :mod:`~.checkpoint` keeps; it treats both networks as plain modules."""
        part = cast("VAEModule", stage.part(self._network))
        averaged = cast("VAEModule", self._averaged)
        return part, averaged, self._optimiser, self._generator

    def _fraction(self, stage: Stage) -> float:
        if self.plan.steps:
            return self._step / self.plan.steps[len(self._done)]
        return self._seconds / (self.plan.budget * stage.recipe.share)

    def _moved(self, tensor: Tensor) -> Tensor:
        layout = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
        return tensor.to(self._device, memory_format=layout)

    def _to_device(self, network: RestorationVAE) -> RestorationVAE:
        moved = channels_last(cast("VAEModule", network.to(self._device)))
        return cast("RestorationVAE", moved)

    def _record(self) -> TrainingRecord:
        n_planes, n_pixels = self._sizes
        return TrainingRecord(
            n_steps=self._step + sum(record.steps for record in self._done),
            seconds=round(self._seconds + sum(record.seconds for record in self._done), 1),
            seed=self.plan.seed,
            n_planes=n_planes,
            n_pixels=n_pixels,
            package_version=__version__,
        )


def _network(
    plan: Plan, config: RestorationConfig | None, start: Model | None
) -> RestorationVAE:
    """Fresh weights, or a copy of those to start from."""
    if start is not None:
        if not isinstance(start.network, RestorationVAE):
            raise InputError(
                f"start: expected a model for every task, as the bundled one, and got one "
                f"of {type(start.network.config).__name__}"
            )
        if config not in (None, start.network.config):
            raise InputError("start: its network has another configuration: leave it out")
        return copy.deepcopy(start.network).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return cast("RestorationVAE", build_network(config or RestorationConfig()).eval())


def _check(plan: Plan, config: RestorationConfig) -> None:
    if plan.steps and (len(plan.steps) != len(STAGES) or min(plan.steps) < 1):
        raise InputError(
            f"steps: expected {len(STAGES)} numbers of 1 or more, got {plan.steps}"
        )
    if plan.side % config.stride:
        raise InputError(
            f"side: expected a multiple of the network's stride {config.stride}, got "
            f"{plan.side}"
        )


def _line(progress: StageProgress, seconds: float, figures: Mapping[str, float]) -> str:
    told = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
    return (
        f"{progress.stage} {progress.fraction:.0%}  step {progress.step}  {seconds:.0f} s  "
        f"rate {progress.learning_rate:.1e}  gradient {progress.gradient:.2f}  {told}"
    )
