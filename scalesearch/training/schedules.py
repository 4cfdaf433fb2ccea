"""When the learning rate changes and when a run ends: pure functions, and states as plain data."""

import math
from dataclasses import dataclass, replace

from scalesearch.config.recipe import Recipe


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The rate of a step, counted from 0 over the whole run of ``recipe.epochs``.

    In the warm-up it rises linearly, from one part of the full rate and not from zero. A decay is
    counted from step 0 and not from the warm-up's end, as TensorFlow's EfficientNet does; a cosine
    (arXiv:1608.03983) begins behind the warm-up and reaches zero where one step more would be
    taken. ``plateau`` is constant here: multiply by ``Plateau.factor``.
    """
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step + 1 <= warmup:
        return peak_learning_rate(recipe) * (step + 1) / warmup
    return peak_learning_rate(recipe) * _schedule_factor(recipe, step, steps_per_epoch)


def peak_learning_rate(recipe: Recipe) -> float:
    """The rate before any decay: the recipe's, in proportion to the images of a step."""
    return (
        recipe.learning_rate * recipe.batch_size / (recipe.learning_rate_batch or recipe.batch_size)
    )


def _schedule_factor(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    match recipe.schedule:
        case "cosine":
            warmup = recipe.warmup_epochs * steps_per_epoch
            progress = max(0.0, step - warmup) / (recipe.epochs * steps_per_epoch - warmup)
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "exponential" if recipe.decay_per == "step":
            return _decay_factor(recipe, step / steps_per_epoch / recipe.decay_epochs)
        case "exponential":
            return _decay_factor(recipe, step // steps_per_epoch / recipe.decay_epochs)
        case "step":
            periods = step / (recipe.decay_epochs * steps_per_epoch)
            return _decay_factor(recipe, math.floor(periods + 1e-9))  # 3 x 0.1 epochs of ten steps
        case "constant" | "plateau":
            return 1.0


def _decay_factor(recipe: Recipe, periods: float) -> float:
    return float(recipe.decay_rate**periods)


@dataclass(frozen=True, slots=True)
class PlateauState:
    """What ``schedule: plateau`` knows after an epoch.

    ``best``: the lowest validation loss; ``bad_epochs``: since then, or since the last cut;
    ``factor`` multiplies the learning rate.
    """

    best: float = math.inf
    bad_epochs: int = 0
    factor: float = 1.0

    def updated(self, recipe: Recipe, loss: float) -> "PlateauState":
        """The state after an epoch of this validation loss; of other schedules always the first."""
        if recipe.schedule != "plateau":
            return self
        if loss < self.best:
            return replace(self, best=loss, bad_epochs=0)
        if self.bad_epochs < recipe.plateau_patience:
            return replace(self, bad_epochs=self.bad_epochs + 1)
        return replace(self, bad_epochs=0, factor=self.factor * recipe.decay_rate)


@dataclass(frozen=True, slots=True)
class EarlyStoppingState:
    """What early stopping knows after an epoch.

    ``accuracy`` and ``epoch`` (counted from 1): of the best so far, the earlier of equals;
    ``waited``: epochs since.
    """

    accuracy: float = -math.inf
    epoch: int = 0
    waited: int = 0

    def updated(self, accuracy: float, epoch: int) -> "EarlyStoppingState":
        """The state after an epoch of this validation accuracy."""
        if accuracy > self.accuracy:
            return EarlyStoppingState(accuracy, epoch)
        return replace(self, waited=self.waited + 1)

    def should_stop(self, recipe: Recipe) -> bool:
        """Whether the run ends here, to go back to the weights of ``epoch``."""
        return recipe.patience is not None and self.waited >= recipe.patience
