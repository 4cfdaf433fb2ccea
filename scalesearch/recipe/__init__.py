"""How networks are trained, as frozen data."""

from scalesearch.recipe.augmentation import Augmentation, AugmentationPolicy
from scalesearch.recipe.progressive import ProgressiveResizing
from scalesearch.recipe.recipe import OptimizerName, Precision, Recipe, ScheduleName
from scalesearch.recipe.transfer import Transfer, UnfreezeStep

__all__ = [
    "Augmentation",
    "OptimizerName",
    "AugmentationPolicy",
    "Precision",
    "ProgressiveResizing",
    "Recipe",
    "ScheduleName",
    "Transfer",
    "UnfreezeStep",
]
