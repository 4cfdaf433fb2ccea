"""One training run: its state, its epochs, and its checkpoints."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalesearch.config.recipe import Precision, Recipe
from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.geometry import input_transform
from scalesearch.data.batches import epoch_order, evaluation_batches, training_batches
from scalesearch.data.dataset import Dataset
from scalesearch.models.network import Network
from scalesearch.results.run_folder import Epoch
from scalesearch.seeding import stream_seed
from scalesearch.training.checkpoint import CheckpointState, read_checkpoint, write_checkpoint
from scalesearch.training.cuda_graphs import graphed_step
from scalesearch.training.device import (
    autocast,
    grad_scaler,
    resolved_precision,
    set_depthwise_precision,
)
from scalesearch.training.distributed import (
    SINGLE_PROCESS,
    DistributedContext,
    mean_across_processes,
    rows_of_process,
    wrap_ddp,
)
from scalesearch.training.ema import EMA
from scalesearch.training.job import TrainingJob, identity_fields
from scalesearch.training.job_network import build_initial_model
from scalesearch.training.optimisers import make_optimizer, set_learning_rate
from scalesearch.training.profiling import peak_bytes, reset_peak_memory, training_macs, utilisation
from scalesearch.training.schedules import EarlyStoppingState, PlateauState, learning_rate
from scalesearch.training.step import StepInputs, TrainingStep, cuda_generator, random_stream
from scalesearch.training.transfer import freeze_parts

EVALUATION_BATCH_SIZE = 256
"""Images per pass in evaluation, unless the recipe's micro-batch is smaller."""

StepKey: TypeAlias = tuple[int, float, frozenset[str]]
"""Resolution, regularisation strength and frozen parts: the settings that a step depends on."""


@dataclass(slots=True, eq=False)
class TrainingRun:
    """State of a job in training."""

    job: TrainingJob
    dataset: Dataset
    device: torch.device
    distributed: DistributedContext
    precision: Precision
    network: nn.Module
    wrapped_network: nn.Module
    """The network in DDP if several processes train it, else the network itself."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    ema: EMA | None
    generator: torch.Generator | None
    """The run's own generator on CUDA; None on a CPU."""
    history: list[Epoch] = field(default_factory=list)
    plateau: PlateauState = field(default_factory=PlateauState)
    patience: EarlyStoppingState = field(default_factory=EarlyStoppingState)
    best: dict[str, Tensor] | None = None
    """State dict after the best epoch; None without early stopping."""
    cached_step: tuple[StepKey, Callable[[StepInputs], Tensor]] | None = None
    """The last epoch's step, and the settings it was made for."""

    @property
    def has_next_epoch(self) -> bool:
        """True if there is an epoch to train."""
        return len(self.history) < self.job.last_epoch and not self.patience.should_stop(
            self.job.recipe
        )

    def train_epoch(self, concurrent_runs: int = 1) -> Generator[None, None, Epoch]:
        """Train and validate the next epoch without recording it.

        It yields after each step and before validation. ``concurrent_runs``: runs that take turns
        on this device; the epoch's seconds are its share of their time.
        """
        started = time.perf_counter()
        reset_peak_memory(self.device)
        index = len(self.history) + 1
        losses, images, rate = yield from self._train_steps(index)
        train_loss = mean_across_processes(_sum(losses) / len(losses), self.distributed)
        training_ended = time.perf_counter()
        yield  # otherwise a run's validation would count as the next run's training
        loss, accuracy, top5 = (
            mean_across_processes(value, self.distributed) for value in self._validate()
        )
        images_per_second = images * concurrent_runs / (training_ended - started)
        resolution = self._resolution(index)
        return Epoch(
            index=index,
            train_loss=train_loss,
            loss=loss,
            accuracy=accuracy,
            top5=top5,
            seconds=(time.perf_counter() - started) / concurrent_runs,
            images_per_second=images_per_second,
            learning_rate=rate,
            resolution=resolution,
            peak_bytes=peak_bytes(self.device),
            utilisation=utilisation(
                training_macs(self.job.architecture, resolution, self.job.frozen_parts(index)),
                images_per_second,
                self.device,
                self.precision,
            ),
        )

    def record_epoch(self, epoch: Epoch) -> None:
        """Add an epoch to the history, and write the checkpoint."""
        recipe = self.job.recipe
        self.history.append(epoch)
        self.plateau = self.plateau.updated(recipe, epoch.loss)
        if recipe.patience is not None:
            self.patience = self.patience.updated(epoch.accuracy, epoch.index)
            if self.patience.epoch == epoch.index:
                with self._use_ema_weights():
                    self.best = {k: v.clone() for k, v in self.network.state_dict().items()}
        if self.job.checkpoint and self.distributed.is_main_process:
            write_checkpoint(self.job.checkpoint, self.identity_fields(), self.state())

    def resume(self) -> None:
        """Restore the state from the job's checkpoint, if there is one."""
        if self.job.checkpoint is None:
            return
        state = read_checkpoint(self.job.checkpoint, self.identity_fields())
        if state is None:
            return
        self.network.load_state_dict(state.network)
        self.optimizer.load_state_dict(state.optimizer)
        self.scaler.load_state_dict(state.scaler)
        if self.ema is not None and state.averages is not None:
            self.ema.load_state_dict(state.averages)
        self.history, self.plateau, self.patience = state.history, state.plateau, state.patience
        self.best = state.best

    def state(self) -> CheckpointState:
        """Return the content of a checkpoint."""
        return CheckpointState(
            history=self.history,
            plateau=self.plateau,
            patience=self.patience,
            network=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scaler=self.scaler.state_dict(),
            averages=None if self.ema is None else self.ema.state_dict(),
            best=self.best,
        )

    def identity_fields(self) -> dict[str, Any]:
        """Return the fields that identify the run."""
        return identity_fields(self.job, self.dataset, self.device)

    def finalize(self) -> nn.Module:
        """Return the network with its final weights, in evaluation mode.

        These are the best weights with early stopping, else the averages with an EMA, else the
        last weights.
        """
        if self.best is not None:
            self.network.load_state_dict(self.best)
        elif self.ema is not None:
            self.ema.copy_to_network()
        return self.network.eval()

    def _train_steps(self, index: int) -> Generator[None, None, tuple[list[Tensor], int, float]]:
        """Take an epoch's steps, yielding after each.

        Returns the losses, on the device, the number of images, and the last learning rate.
        """
        recipe = self.job.recipe
        seed, count = stream_seed(self.job.seed, "data", index), len(self.dataset.train)
        order = epoch_order(count, recipe.batch_size, seed)
        steps = len(order)
        draws = epoch_draws(recipe.augmentation, count, seed)
        own_order = rows_of_process(order.T, self.distributed).T
        batches = training_batches(self.dataset.train, own_order, draws, self.device)
        ema_weight = torch.zeros((), device=self.device)
        self.network.train()
        if recipe.transfer is not None:
            freeze_parts(self.network, self.job.frozen_parts(index))
        take_step = self._step_function(index)
        losses, rate = [], 0.0
        for number, (images, labels, drawn_B) in enumerate(batches):
            step = (index - 1) * steps + number
            rate = learning_rate(recipe, step, steps) * self.plateau.factor
            set_learning_rate(self.optimizer, rate)
            if self.ema is not None:
                ema_weight.fill_(self.ema.ema_weight(step))
            with self._dropout_stream(index, number):
                losses.append(take_step(StepInputs(images, labels, drawn_B, ema_weight)))
            yield
        return losses, order.numel(), rate

    def _step_function(self, index: int) -> Callable[[StepInputs], Tensor]:
        """Return the step of an epoch: that of the last one, with its graph, if possible."""
        key = (
            self._resolution(index),
            self._regularisation_strength(index),
            self.job.frozen_parts(index),
        )
        if self.cached_step is None or self.cached_step[0] != key:
            self.cached_step = None  # first, because two graphs would take twice the memory
            self.cached_step = key, graphed_step(self._make_step(index), self.device)
        return self.cached_step[1]

    def _make_step(self, index: int) -> TrainingStep:
        recipe, strength = self.job.recipe, self._regularisation_strength(index)
        if isinstance(self.network, Network):
            self.network.set_regularisation_strength(strength)
        if recipe.transfer is not None and self.distributed.world_size > 1:
            # Delete the old wrapper first, because both would exchange gradients.
            self.wrapped_network = self.network
            self.wrapped_network = wrap_ddp(self.network, self.distributed)
        return TrainingStep(
            network=self.wrapped_network,
            unwrapped=self.network,
            optimizer=self.optimizer,
            ema=self.ema,
            scaler=self.scaler,
            recipe=recipe,
            transform=input_transform(self.dataset, recipe, self.job.architecture.resolution),
            resolution=self._resolution(index),
            strength=strength,
            precision=self.precision,
            distributed=self.distributed,
        )

    def _dropout_stream(self, index: int, number: int) -> AbstractContextManager[None]:
        """Start this step's dropout stream within the block, so that runs can take turns."""
        if isinstance(self.network, Network) and not self.network.is_stochastic:
            return nullcontext()
        rank = (self.distributed.rank,) if self.distributed.world_size > 1 else ()
        return random_stream(
            stream_seed(self.job.seed, "dropout", index, number, *rank), self.generator
        )

    def _regularisation_strength(self, index: int) -> float:
        recipe = self.job.recipe
        return recipe.progressive.regularisation_strength(index, recipe.epochs)

    def _resolution(self, index: int) -> int:
        recipe, full_resolution = self.job.recipe, self.job.architecture.resolution
        return recipe.progressive.resolution(full_resolution, index, recipe.epochs)

    def _validate(self) -> tuple[float, float, float]:
        recipe, full_resolution = self.job.recipe, self.job.architecture.resolution
        batches = evaluation_batches(
            self.dataset.validation,
            input_transform(self.dataset, recipe, full_resolution),
            batch_size=evaluation_batch_size(recipe),
            resolution=round(full_resolution * recipe.evaluation_scale),
            device=self.device,
        )
        with self._use_ema_weights(), autocast(self.precision, self.device):
            return evaluate(self.network, batches)

    def _use_ema_weights(self) -> AbstractContextManager[None]:
        return nullcontext() if self.ema is None else self.ema.swap_weights()


def start_run(
    job: TrainingJob,
    dataset: Dataset,
    device: torch.device,
    distributed: DistributedContext = SINGLE_PROCESS,
) -> TrainingRun:
    """Create the run of a job, and restore its checkpoint if there is one."""
    recipe = job.recipe
    precision = resolved_precision(recipe.precision, device)
    network = build_initial_model(job, device)
    set_depthwise_precision(network, precision)
    run = TrainingRun(
        job=job,
        dataset=dataset.to(device),
        device=device,
        distributed=distributed,
        precision=precision,
        network=network,
        wrapped_network=wrap_ddp(network, distributed),
        optimizer=make_optimizer(network, recipe),
        scaler=grad_scaler(precision, device),
        ema=None if recipe.ema is None else EMA(network, recipe.ema),
        generator=cuda_generator(device),
    )
    run.resume()
    return run


def evaluation_batch_size(recipe: Recipe) -> int:
    """Return the images per pass in evaluation, which fit in memory if training does."""
    return min(EVALUATION_BATCH_SIZE, recipe.micro_batch or EVALUATION_BATCH_SIZE)


def evaluate(
    network: nn.Module, batches: Iterator[tuple[Tensor, Tensor]]
) -> tuple[float, float, float]:
    """Return mean cross-entropy, top-1 and top-5 accuracy, in evaluation mode."""
    network.eval()
    losses, top1_hits, top5_hits, images = [], [], [], 0
    with torch.inference_mode():
        for images_BCHW, labels_B in batches:
            logits_BK = network(images_BCHW).float()
            losses.append(F.cross_entropy(logits_BK, labels_B, reduction="sum"))
            top_BN = logits_BK.topk(min(5, logits_BK.shape[1])).indices == labels_B[:, None]
            top1_hits.append(top_BN[:, 0].sum())
            top5_hits.append(top_BN.sum())
            images += len(labels_B)
        return _sum(losses) / images, _sum(top1_hits) / images, _sum(top5_hits) / images


def _sum(values: Sequence[Tensor]) -> float:
    return float(torch.stack(list(values)).double().sum())
