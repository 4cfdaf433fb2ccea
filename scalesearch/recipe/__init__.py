"""How networks are trained, as frozen data."""

from scalesearch.recipe.augmentation import Augmentation, Policy
from scalesearch.recipe.progressive import Progressive
from scalesearch.recipe.recipe import Optimizer, Precision, Recipe, Schedule
from scalesearch.recipe.transfer import Transfer, Unfreeze

__all__ = [
    "Augmentation",
    "Optimizer",
    "Policy",
    "Precision",
    "Progressive",
    "Recipe",
    "Schedule",
    "Transfer",
    "Unfreeze",
]
