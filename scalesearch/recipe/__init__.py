"""How networks are trained, as frozen data."""

from scalesearch.recipe.augmentation import Augmentation, Policy
from scalesearch.recipe.progressive import Progressive
from scalesearch.recipe.recipe import Optimizer, Precision, Recipe, Schedule

__all__ = [
    "Augmentation",
    "Optimizer",
    "Policy",
    "Precision",
    "Progressive",
    "Recipe",
    "Schedule",
]
