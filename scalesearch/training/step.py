"""One training step: from a batch of stored images to new weights and the loss."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalesearch.config.recipe import Precision, Recipe
from scalesearch.data.augmentation.geometry import InputTransform
from scalesearch.data.augmentation.pipeline import training_inputs
from scalesearch.training.device import autocast
from scalesearch.training.distributed import (
    SINGLE_PROCESS,
    DistributedContext,
    accumulate_gradients,
    sync_batch_norm_statistics,
)
from scalesearch.training.ema import EMA
from scalesearch.training.optimisers import clip_gradients


@dataclass(frozen=True, slots=True, eq=False)
class StepInputs:
    """Inputs that change from step to step, on the device."""

    images: Tensor
    """Stored images, uint8 (B, C, H, W)."""
    labels: Tensor
    """Classes, int64 (B,)."""
    draws: Mapping[str, Tensor]
    """Rows of the epoch's random draws for these images."""
    ema_weight: Tensor
    """Weight of the new values in the averages, shape (); unused without EMA."""

    def tensors(self) -> Iterator[Tensor]:
        """Yield all tensors, in an order that depends only on the recipe."""
        yield from (self.images, self.labels, self.ema_weight)
        yield from (self.draws[kind] for kind in sorted(self.draws))

    def micro_batches(self, size: int) -> Iterator["StepInputs"]:
        """Yield the batch in parts of at most ``size`` images."""
        for start in range(0, len(self.labels), size):
            rows = slice(start, start + size)
            micro_draws = {kind: draws[rows] for kind, draws in self.draws.items()}
            yield StepInputs(self.images[rows], self.labels[rows], micro_draws, self.ema_weight)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingStep:
    """The training step of one epoch.

    It never waits for the device, so a CUDA graph can replay it.
    """

    network: nn.Module
    """The network, wrapped in DDP for several processes."""
    unwrapped: nn.Module
    """The network itself."""
    optimizer: torch.optim.Optimizer
    ema: EMA | None
    scaler: torch.amp.GradScaler
    recipe: Recipe
    transform: InputTransform
    resolution: int
    """Resolution of this epoch in pixels."""
    strength: float
    """Strength of the regularisation in this epoch, from 0 to 1."""
    precision: Precision
    distributed: DistributedContext = SINGLE_PROCESS

    def __call__(self, inputs: StepInputs) -> Tensor:
        """Update the weights; return the batch's mean loss before that, detached.

        The learning rate is the optimiser's current one.
        """
        self.optimizer.zero_grad(set_to_none=True)
        count = len(inputs.labels)
        micro_batches = list(inputs.micro_batches(self.recipe.micro_batch or count))
        with (
            sync_batch_norm_statistics(self.unwrapped, self.distributed, len(micro_batches)),
            autocast(self.precision, inputs.images.device),
        ):
            losses = [
                self._backward(part, len(part.labels) / count, last=number == len(micro_batches))
                for number, part in enumerate(micro_batches, start=1)
            ]
        self._update_weights()
        if self.ema is not None:
            self.ema.interpolate(inputs.ema_weight)
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _backward(self, micro_batch: StepInputs, weight: float, last: bool) -> Tensor:
        """Add the gradients of a part; return its share of the batch's loss."""
        images_BCHW, targets = training_inputs(
            micro_batch.images,
            micro_batch.labels,
            micro_batch.draws,
            self.transform,
            self.resolution,
            self.strength,
        )
        with accumulate_gradients(self.network, last):
            logits_BK = self.network(images_BCHW).float()
            smoothing = self.recipe.label_smoothing
            loss = F.cross_entropy(logits_BK, targets, label_smoothing=smoothing) * weight
            # Without autocast: gradients have the formats that the forward pass chose.
            with torch.autocast(images_BCHW.device.type, enabled=False):
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _update_weights(self) -> None:
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            clip_gradients(self.unwrapped.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()


def cuda_generator(device: torch.device) -> torch.Generator | None:
    """Return a run's own generator on CUDA; None on a CPU."""
    return torch.Generator(device) if device.type == "cuda" else None


@contextmanager
def random_stream(seed: int, generator: torch.Generator | None) -> Iterator[None]:
    """Draw from the stream of a seed within the block, on CPU and device.

    The generator replaces its device's default one, which is restored. Up to PyTorch 2.11 a CUDA
    graph reads its seed from memory of the generator it was recorded with, so runs that share a
    generator would overwrite each other's seeds.
    """
    torch.default_generator.manual_seed(seed)
    if generator is None:
        yield
        return
    generator.manual_seed(seed)
    default = torch.cuda.default_generators[generator.device.index]
    previous_state = default.graphsafe_get_state()
    default.graphsafe_set_state(generator)
    try:
        yield
    finally:
        default.graphsafe_set_state(previous_state)
