"""The depth that decides a learning rate: the shortest way through a network.

How a recipe follows the shape of the network it trains.

A learning rate of a network's own, from a short sweep (``learning_rate_rule: tuned``).
"""

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

# (convolutions one behind another, whether the expanding one is left out where it is 1)
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
    """Length of the shortest path from input to output (arXiv:2602.07494), which decides how the
    best learning rate falls: about as L^(-3/2).

    Each convolution, linear layer and residual addition on the path counts one; normalisation,
    activations, pooling and squeeze-and-excitation, which only weighs what passes, count nothing.
    The path takes every shortcut: a block that adds its branch to its input is one long, one whose
    shortcut is a convolution two, any other as long as its convolutions. So each residual block
    more adds one, as does each dense block, past which its input goes too. Neither width nor
    resolution changes the length, unless scaled widths that become equal give a block its shortcut.

    Raises ArchitectureError for a network made by code, whose paths nobody knows.
    """
    if isinstance(architecture, CustomModel):
        raise ArchitectureError(
            f"effective depth: need a network as data, got {architecture.factory}, which is made "
            "by code; set recipe.learning_rate_rule to fixed or tuned"
        )
    stages = sum(
        _block_length(stage, stage.stride == 1 and inputs == stage.width)
        + (stage.repeats - 1) * _block_length(stage, True)
        for inputs, stage in architecture.transitions()
    )
    stem, head, classifier = 1, int(architecture.head > 0), 1
    return stem + stages + head + classifier


def _block_length(stage: Stage, same_shape: bool) -> int:
    """Length of one block, whose output may or may not have its input's shape."""
    if stage.block in ALWAYS_ADDED:
        return 1 if same_shape else 2
    if stage.block in APPENDED:
        return 1
    if stage.block in ADDED_TO_INPUT and same_shape:
        return 1
    convolutions, expands = CONVOLUTIONS_PER_BLOCK[stage.block]
    return convolutions - (expands and stage.expansion == 1)


LR_SWEEP_FACTORS = (0.25, 0.5, 1.0, 2.0)
"""What ``learning_rate_rule: tuned`` multiplies the recipe's rate by, to try each on a candidate.
The deeper want less, so that it reaches further down."""

DROPOUT_PER_DOUBLING = (0.5 - 0.2) / 7
"""The published family's: 0.2 at B0 to 0.5 at B7, whose cost doubles seven times by its rule."""

MAX_DROPOUT = 0.5


def adapted_recipe(
    recipe: Recipe, network: Architecture | CustomModel, baseline: Architecture | CustomModel
) -> Recipe:
    """The recipe in numbers for this network, where it was set for the baseline; rules that are
    carried out become ``fixed``, so that adapting it again changes nothing.

    ``learning_rate_rule: depth``: times (L / L0)^(-3/2) in the effective depth (arXiv:2510.04327,
    2602.07494). ``regularisation: scaled``: dropout grows by 0.3 / 7 for each doubling of the
    multiply-adds, up to 0.5 and down to 0. ``tuned`` stays: its rate is measured (see ``SWEEP``).

    Raises ArchitectureError for ``depth`` and a network made by code.
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
    """A baseline's own dropout above the bound stays."""
    max_dropout = max(MAX_DROPOUT, dropout)
    return min(max_dropout, max(0.0, dropout + DROPOUT_PER_DOUBLING * doublings))


SWEEP_EPOCHS = 1


@dataclass(frozen=True, slots=True)
class LearningRateSweep:
    """Validation losses of short runs, by what the recipe's rate was multiplied with.

    ``learning_rate``: of the lowest loss. ``seconds``: what the sweep cost.
    """

    losses: dict[float, float]
    learning_rate: float
    seconds: float


def run_lr_sweep(
    job: TrainingJob, dataset: Dataset, *, device: torch.device | str
) -> LearningRateSweep:
    """Train the job's network for one whole short schedule at each rate, and compare.

    All runs begin with the same weights and see the same images. A run that diverges has lost.
    Raises TrainingDiverged where all of them do.
    """
    started = time.perf_counter()
    losses = {factor: _final_loss(job, dataset, factor, device) for factor in LR_SWEEP_FACTORS}
    best_factor = min(losses, key=lambda factor: losses[factor])
    if not math.isfinite(losses[best_factor]):
        raise TrainingDiverged(
            f"learning-rate sweep of {job.fingerprint}, seed {job.seed}: need a rate that trains, "
            f"got none from {min(LR_SWEEP_FACTORS):g} to {max(LR_SWEEP_FACTORS):g} times {job.recipe.learning_rate:g}; "
            "lower the recipe's rate",
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
    """The recipe with its schedule drawn together, so that every run ends as a run does; what is
    unfrozen later stays frozen."""
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
