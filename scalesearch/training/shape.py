"""How a recipe follows the shape of the network it trains."""

import math
from dataclasses import replace

from scalesearch.architectures import Architecture, CustomModel, cost
from scalesearch.architectures.effective_depth import effective_depth
from scalesearch.recipe import Recipe

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
