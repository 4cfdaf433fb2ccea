"""One run: everything that changes while a job is trained, and how an epoch changes it."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalesearch.data import (
    Dataset,
    drawn,
    epoch_order,
    evaluation_batches,
    training_batches,
    view,
)
from scalesearch.nets import Network
from scalesearch.recipe import Precision, Recipe
from scalesearch.streams import stream
from scalesearch.training.averages import Averages
from scalesearch.training.chance import drawing, own_generator
from scalesearch.training.checkpoint import State, restored, write_checkpoint
from scalesearch.training.distributed import ALONE, Processes, mean_over, part, wrapped
from scalesearch.training.graphs import launched
from scalesearch.training.job import Epoch, Job, traits
from scalesearch.training.optimisers import optimiser, set_rate
from scalesearch.training.precision import cast, prepare, resolved, scaler
from scalesearch.training.schedules import Patience, Plateau, learning_rate
from scalesearch.training.start import initialised
from scalesearch.training.step import Inputs, Step
from scalesearch.training.transfer import freeze, frozen, training_macs
from scalesearch.training.usage import peak_bytes, reset_peak, utilisation

EVALUATION_BATCH = 256
"""Images evaluated in one pass, unless the recipe's micro-batch is smaller."""


@dataclass(slots=True, eq=False)
class Run:
    """A job under way.

    ``generator``: its own on CUDA. ``best``: the weights to go back to, kept where the recipe has
    patience. ``taking``: what takes the steps, and the side, the strength and the frozen parts that
    it is for.
    """

    job: Job
    dataset: Dataset
    device: torch.device
    processes: Processes
    precision: Precision
    network: nn.Module
    running: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    averages: Averages | None
    generator: torch.Generator | None
    history: list[Epoch] = field(default_factory=list)
    plateau: Plateau = field(default_factory=Plateau)
    patience: Patience = field(default_factory=Patience)
    best: dict[str, Tensor] | None = None
    taking: tuple[tuple[int, float, frozenset[str]], Callable[[Inputs], Tensor]] | None = None

    @property
    def goes_on(self) -> bool:
        """Whether there is an epoch to train."""
        return len(self.history) < self.job.last and not self.patience.stops(self.job.recipe)

    def epoch(self, sharing: int = 1) -> Generator[None, None, Epoch]:
        """Train and validate the next epoch, pausing after each step and before validation; nothing
        is kept yet.

        ``sharing``: runs that take turns on this device; an epoch's seconds are its part of theirs.
        """
        began = time.perf_counter()
        reset_peak(self.device)
        index = len(self.history) + 1
        losses, images, rate = yield from self._steps(index)
        train_loss = mean_over(_total(losses) / len(losses), self.processes)
        trained = time.perf_counter()
        yield  # or a run's validation would count as the next one's training
        loss, accuracy, top5 = (mean_over(told, self.processes) for told in self._validated())
        pace = images * sharing / (trained - began)
        resolution = self._resolution(index)
        return Epoch(
            index=index,
            train_loss=train_loss,
            loss=loss,
            accuracy=accuracy,
            top5=top5,
            seconds=(time.perf_counter() - began) / sharing,
            images_per_second=pace,
            learning_rate=rate,
            resolution=resolution,
            peak_bytes=peak_bytes(self.device),
            utilisation=utilisation(
                training_macs(self.job.architecture, resolution, frozen(self.job, index)),
                pace,
                self.device,
                self.precision,
            ),
        )

    def keep(self, epoch: Epoch) -> None:
        """Make an epoch part of the run, and write its checkpoint."""
        recipe = self.job.recipe
        self.history.append(epoch)
        self.plateau = self.plateau.after(recipe, epoch.loss)
        if recipe.patience is not None:
            self.patience = self.patience.after(epoch.accuracy, epoch.index)
            if self.patience.epoch == epoch.index:
                with self._averaged():
                    self.best = {k: v.clone() for k, v in self.network.state_dict().items()}
        if self.job.checkpoint and self.processes.first:
            write_checkpoint(self.job.checkpoint, self.traits(), self.state())

    def resume(self) -> None:
        """Go on from the job's checkpoint, if there is one."""
        if self.job.checkpoint is None:
            return
        state = restored(self.job.checkpoint, self.traits())
        if state is None:
            return
        self.network.load_state_dict(state.network)
        self.optimizer.load_state_dict(state.optimizer)
        self.scaler.load_state_dict(state.scaler)
        if self.averages is not None and state.averages is not None:
            self.averages.load_state_dict(state.averages)
        self.history, self.plateau, self.patience = state.history, state.plateau, state.patience
        self.best = state.best

    def state(self) -> State:
        """All that a checkpoint holds."""
        return State(
            history=self.history,
            plateau=self.plateau,
            patience=self.patience,
            network=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scaler=self.scaler.state_dict(),
            averages=None if self.averages is None else self.averages.state_dict(),
            best=self.best,
        )

    def traits(self) -> dict[str, Any]:
        """What identifies the run."""
        return traits(self.job, self.dataset, self.device)

    def finish(self) -> nn.Module:
        """The network in evaluation mode with the weights that count: the best ones where the run
        watched for them, the averaged ones where it averaged, else the last ones."""
        if self.best is not None:
            self.network.load_state_dict(self.best)
        elif self.averages is not None:
            self.averages.put_in()
        return self.network.eval()

    def _steps(self, index: int) -> Generator[None, None, tuple[list[Tensor], int, float]]:
        """Take an epoch's steps; the loss of each, on the device, how many images were seen, and
        the last learning rate."""
        recipe = self.job.recipe
        seed, count = stream(self.job.seed, "data", index), len(self.dataset.train)
        order = epoch_order(count, recipe.batch_size, seed)
        steps = len(order)
        draws = drawn(recipe.augmentation, count, seed)
        own = part(order.T, self.processes).T
        batches = training_batches(self.dataset.train, own, draws, self.device)
        averaging = torch.zeros((), device=self.device)
        self.network.train()
        if recipe.transfer is not None:
            freeze(self.network, frozen(self.job, index))
        take = self._taking(index)
        losses, rate = [], 0.0
        for number, (images, labels, drawn_B) in enumerate(batches):
            step = (index - 1) * steps + number
            rate = learning_rate(recipe, step, steps) * self.plateau.factor
            set_rate(self.optimizer, rate)
            if self.averages is not None:
                averaging.fill_(self.averages.weight(step))
            with self._drawing(index, number):
                losses.append(take(Inputs(images, labels, drawn_B, averaging)))
            yield
        return losses, order.numel(), rate

    def _taking(self, index: int) -> Callable[[Inputs], Tensor]:
        """What takes an epoch's steps: what took the last one's, graph and all, where it can."""
        key = self._resolution(index), self._strength(index), frozen(self.job, index)
        if self.taking is None or self.taking[0] != key:
            self.taking = None  # two graphs at once would take twice the memory
            self.taking = key, launched(self._step(index), self.device)
        return self.taking[1]

    def _step(self, index: int) -> Step:
        recipe, strength = self.job.recipe, self._strength(index)
        if isinstance(self.network, Network):
            self.network.regularise(strength)
        if recipe.transfer is not None and self.processes.size > 1:
            self.running = self.network  # gone before its successor: both would exchange gradients
            self.running = wrapped(self.network, self.processes)  # of what moves now
        return Step(
            network=self.running,
            bare=self.network,
            optimizer=self.optimizer,
            averages=self.averages,
            scaler=self.scaler,
            recipe=recipe,
            view=view(self.dataset, recipe, self.job.architecture.resolution),
            resolution=self._resolution(index),
            strength=strength,
            precision=self.precision,
            processes=self.processes,
        )

    def _drawing(self, index: int, number: int) -> AbstractContextManager[None]:
        """Within: dropout has its stream anew, as in each step, so that runs can take turns."""
        if isinstance(self.network, Network) and not self.network.draws:
            return nullcontext()
        rank = (self.processes.rank,) if self.processes.size > 1 else ()
        return drawing(stream(self.job.seed, "dropout", index, number, *rank), self.generator)

    def _strength(self, index: int) -> float:
        recipe = self.job.recipe
        return recipe.progressive.strength(index, recipe.epochs)

    def _resolution(self, index: int) -> int:
        recipe, full = self.job.recipe, self.job.architecture.resolution
        return recipe.progressive.resolution(full, index, recipe.epochs)

    def _validated(self) -> tuple[float, float, float]:
        recipe, full = self.job.recipe, self.job.architecture.resolution
        batches = evaluation_batches(
            self.dataset.validation,
            view(self.dataset, recipe, full),
            batch_size=evaluation_batch(recipe),
            resolution=round(full * recipe.evaluation_scale),
            device=self.device,
        )
        with self._averaged(), cast(self.precision, self.device):
            return evaluated(self.network, batches)

    def _averaged(self) -> AbstractContextManager[None]:
        return nullcontext() if self.averages is None else self.averages.swapped()


def begun(
    job: Job,
    dataset: Dataset,
    device: torch.device,
    processes: Processes = ALONE,
) -> Run:
    """The run of a job, at its start or where its checkpoint left it."""
    recipe = job.recipe
    precision = resolved(recipe.precision, device)
    network = initialised(job, device)
    prepare(network, precision)
    run = Run(
        job=job,
        dataset=dataset.to(device),
        device=device,
        processes=processes,
        precision=precision,
        network=network,
        running=wrapped(network, processes),
        optimizer=optimiser(network, recipe),
        scaler=scaler(precision, device),
        averages=None if recipe.ema is None else Averages(network, recipe.ema),
        generator=own_generator(device),
    )
    run.resume()
    return run


def evaluation_batch(recipe: Recipe) -> int:
    """Images evaluated in one pass, which is to fit where training did."""
    return min(EVALUATION_BATCH, recipe.micro_batch or EVALUATION_BATCH)


def evaluated(
    network: nn.Module, batches: Iterator[tuple[Tensor, Tensor]]
) -> tuple[float, float, float]:
    """Mean cross-entropy, top-1 and top-5 accuracy over the batches, in evaluation mode."""
    network.eval()
    losses, hits, near, images = [], [], [], 0
    with torch.inference_mode():
        for images_BCHW, labels_B in batches:
            logits_BK = network(images_BCHW).float()
            losses.append(F.cross_entropy(logits_BK, labels_B, reduction="sum"))
            top_BN = logits_BK.topk(min(5, logits_BK.shape[1])).indices == labels_B[:, None]
            hits.append(top_BN[:, 0].sum())
            near.append(top_BN.sum())
            images += len(labels_B)
        return _total(losses) / images, _total(hits) / images, _total(near) / images


def _total(parts: Sequence[Tensor]) -> float:
    return float(torch.stack(list(parts)).double().sum())
