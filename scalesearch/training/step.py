"""One step: a batch of stored images in, weights moved, the loss out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalesearch.data import View, prepared
from scalesearch.recipe import Precision, Recipe
from scalesearch.training.averages import Averages
from scalesearch.training.distributed import ALONE, Processes, accumulating, in_turn
from scalesearch.training.optimisers import clipped
from scalesearch.training.precision import cast


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What differs from step to step, on the device.

    ``images``: uint8 (B, C, H, W), as stored. ``labels``: int64 (B,). ``drawn``: the rows of the
    epoch's draws for these images. ``averaging``: how far averages move, (), unused without them.
    """

    images: Tensor
    labels: Tensor
    drawn: Mapping[str, Tensor]
    averaging: Tensor

    def tensors(self) -> Iterator[Tensor]:
        """All of them, in an order that depends on the recipe alone."""
        yield from (self.images, self.labels, self.averaging)
        yield from (self.drawn[kind] for kind in sorted(self.drawn))

    def micro(self, size: int) -> Iterator["Inputs"]:
        """The batch in parts of at most ``size`` images."""
        for first in range(0, len(self.labels), size):
            rows = slice(first, first + size)
            drawn = {kind: draws[rows] for kind, draws in self.drawn.items()}
            yield Inputs(self.images[rows], self.labels[rows], drawn, self.averaging)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The step of one epoch. It waits for nothing, so that a CUDA graph can replay it.

    ``network``: as it is run, perhaps wrapped for several processes; ``bare``: itself.
    ``resolution`` and ``strength`` (of the regularisation) are the epoch's.
    """

    network: nn.Module
    bare: nn.Module
    optimizer: torch.optim.Optimizer
    averages: Averages | None
    scaler: torch.amp.GradScaler
    recipe: Recipe
    view: View
    resolution: int
    strength: float
    precision: Precision
    processes: Processes = ALONE

    def __call__(self, inputs: Inputs) -> Tensor:
        """Move the weights; the batch's mean loss before that, (), detached.

        The learning rate is the optimiser's present one.
        """
        self.optimizer.zero_grad(set_to_none=True)
        count = len(inputs.labels)
        parts = list(inputs.micro(self.recipe.micro_batch or count))
        with (
            in_turn(self.bare, self.processes, len(parts)),
            cast(self.precision, inputs.images.device),
        ):
            losses = [
                self._backward(part, len(part.labels) / count, last=number == len(parts))
                for number, part in enumerate(parts, start=1)
            ]
        self._move()
        if self.averages is not None:
            self.averages.approach(inputs.averaging)
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _backward(self, part: Inputs, weight: float, last: bool) -> Tensor:
        """Add a part's gradients; its share of the batch's loss."""
        images_BCHW, targets = prepared(
            part.images, part.labels, part.drawn, self.view, self.resolution, self.strength
        )
        with accumulating(self.network, last):
            logits_BK = self.network(images_BCHW).float()
            smoothing = self.recipe.label_smoothing
            loss = F.cross_entropy(logits_BK, targets, label_smoothing=smoothing) * weight
            # Without autocast: gradients come in the formats that the forward pass chose.
            with torch.autocast(images_BCHW.device.type, enabled=False):
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _move(self) -> None:
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            clipped(self.bare.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
