"""Rules that adapt a recipe to a network: rate by depth or sweep, dropout."""

import math
import time
from dataclasses import dataclass, replace

import torch

from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.config.recipe import Recipe
from scalesearch.data.dataset import Dataset
from scalesearch.errors import ArchitectureError
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import TrainingDiverged, train

# (convolutions in sequence, whether the expanding one is absent at an expansion of 1)
CONVOLUTIONS_PER_BLOCK: dict[str, tuple[int, bool]] = {
    "mbconv": (3, True),
    "fused_mbconv": (2, True),
    "bneck": (3, True),
    "separable": (2, False),
    "conv": (1, False),
    "basic": (2, False),
    "bottleneck": (3, False),
    "transition": (1, False),
}
ADDED_TO_INPUT = ("mbconv", "fused_mbconv", "bneck")
ALWAYS_ADDED = ("basic", "bottleneck")
APPENDED = ("dense",)


def effective_depth(architecture: Architecture | CustomModel) -> int:
    """Return the length L of the shortest path to the output (arXiv:2602.07494).

    The best learning rate falls about as L^(-3/2). Each convolution, linear layer and residual
    addition on the path counts 1; normalisation, activations, pooling and squeeze-and-excitation
    (which only scales channels) count 0. The path takes every shortcut: a block that adds its
    branch to its input has length 1, a block whose shortcut is a convolution has length 2, and any
    other block has one per convolution. So each further residual block adds 1, as does each dense
    block, because its input is passed on. Width and resolution do not change the length, unless
    scaled widths become equal and give a block its shortcut.

    Raises ArchitectureError for a custom model, whose paths are unknown.
    """
    if isinstance(architecture, CustomModel):
        raise ArchitectureError(
            f"effective depth: need a network with known stages, got the custom model "
            f"{architecture.factory}; set recipe.learning_rate_rule to fixed or tuned"
        )
    stages = sum(
        _block_length(stage, stage.stride == 1 and inputs == stage.width)
        + (stage.repeats - 1) * _block_length(stage, True)
        for inputs, stage in architecture.transitions()
    )
    stem, head, classifier = 1, int(architecture.head > 0), 1
    return stem + stages + head + classifier


def _block_length(stage: Stage, same_shape: bool) -> int:
    """Return a block's length; ``same_shape``: the output has the input's shape."""
    if stage.block in ALWAYS_ADDED:
        return 1 if same_shape else 2
    if stage.block in APPENDED:
        return 1
    if stage.block in ADDED_TO_INPUT and same_shape:
        return 1
    convolutions, expands = CONVOLUTIONS_PER_BLOCK[stage.block]
    return convolutions - (expands and stage.expansion == 1)


LR_SWEEP_FACTORS = (0.25, 0.5, 1.0, 2.0)
"""Factors on the recipe's rate that ``learning_rate_rule: tuned`` tries for each candidate.

Deeper networks need lower rates, so the range extends further down.
"""

DROPOUT_PER_DOUBLING = (0.5 - 0.2) / 7
"""As in the published family: 0.2 at B0 to 0.5 at B7, seven doublings of the cost by its rule."""

MAX_DROPOUT = 0.5


def adapted_recipe(
    recipe: Recipe, network: Architecture | CustomModel, baseline: Architecture | CustomModel
) -> Recipe:
    """Apply the rules of a recipe, which was set for the baseline, to this network.

    Applied rules become ``fixed``, so a second application changes nothing.
    ``learning_rate_rule: depth``: the rate times (L / L0)^(-3/2), with the effective depths L
    (arXiv:2510.04327, 2602.07494). ``regularisation: scaled``: dropout changes by 0.3 / 7 per
    doubling of the multiply-adds, between 0 and 0.5. ``tuned`` stays, because its rate is
    measured (see ``run_lr_sweep``).

    Raises ArchitectureError for ``depth`` with a custom model.
    """
    if recipe.learning_rate_rule == "depth":
        ratio = effective_depth(network) / effective_depth(baseline)
        rate = recipe.learning_rate * ratio**-1.5
        recipe = replace(recipe, learning_rate=rate, learning_rate_rule="fixed")
    if recipe.regularisation == "scaled":
        dropout = _scaled_dropout(
            recipe.dropout, math.log2(cost(network).macs / cost(baseline).macs)
        )
        recipe = replace(recipe, dropout=dropout, regularisation="fixed")
    return recipe


def _scaled_dropout(dropout: float, doublings: float) -> float:
    """Return the scaled dropout; a higher dropout of the baseline is its own maximum."""
    max_dropout = max(MAX_DROPOUT, dropout)
    return min(max_dropout, max(0.0, dropout + DROPOUT_PER_DOUBLING * doublings))


SWEEP_EPOCHS = 1


@dataclass(frozen=True, slots=True)
class LearningRateSweep:
    """Result of a learning-rate sweep: short runs at several rates."""

    losses: dict[float, float]
    """Validation loss by factor on the recipe's rate."""
    learning_rate: float
    """Rate with the lowest loss."""
    seconds: float
    """Wall time of the sweep."""


def run_lr_sweep(
    job: TrainingJob, dataset: Dataset, *, device: torch.device | str
) -> LearningRateSweep:
    """Train the job's network on a short schedule per rate; choose the best.

    All runs begin with the same weights and see the same images. A run that diverges is never
    chosen. Raises TrainingDiverged if all runs diverge.
    """
    started = time.perf_counter()
    losses = {factor: _final_loss(job, dataset, factor, device) for factor in LR_SWEEP_FACTORS}
    best_factor = min(losses, key=lambda factor: losses[factor])
    if not math.isfinite(losses[best_factor]):
        raise TrainingDiverged(
            f"learning-rate sweep of {job.fingerprint}, seed {job.seed}: need a rate that trains, "
            f"got none from {min(LR_SWEEP_FACTORS):g} to {max(LR_SWEEP_FACTORS):g} times "
            f"{job.recipe.learning_rate:g}; lower the recipe's rate",
            (),
        )
    rate = job.recipe.learning_rate * best_factor
    return LearningRateSweep(losses, rate, time.perf_counter() - started)


def _final_loss(
    job: TrainingJob, dataset: Dataset, factor: float, device: torch.device | str
) -> float:
    short_job = replace(
        job, recipe=_short_recipe(job.recipe, factor), start=0, stop=None, checkpoint=None
    )
    try:
        (*_, last) = train(short_job, dataset, device=device)
    except TrainingDiverged:
        return math.inf
    return last.loss


def _short_recipe(recipe: Recipe, factor: float) -> Recipe:
    """Compress the recipe's schedule into the sweep's epochs.

    Parts that the recipe unfreezes later stay frozen.
    """
    warmup = recipe.warmup_epochs / recipe.epochs * SWEEP_EPOCHS
    transfer = None if recipe.transfer is None else replace(recipe.transfer, unfreeze=())
    return replace(
        recipe,
        epochs=SWEEP_EPOCHS,
        warmup_epochs=warmup,
        decay_epochs=recipe.decay_epochs / recipe.epochs * SWEEP_EPOCHS,
        learning_rate=recipe.learning_rate * factor,
        learning_rate_rule="fixed",
        patience=None,
        transfer=transfer,
    )
