"""Learning rate by step, and early stopping: functions of plain data."""

import math
from dataclasses import dataclass, replace

from scalesearch.config.recipe import Recipe


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the rate of a step, counted from 0 over the whole run.

    In the warm-up it rises linearly; its first step already has a part of the full rate, not zero.
    A decay is counted from step 0 and not from the end of the warm-up, as in TensorFlow's
    EfficientNet. A cosine (arXiv:1608.03983) begins after the warm-up and would reach zero one step
    after the last. ``plateau`` is constant here: multiply by ``PlateauState.factor``.
    """
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step + 1 <= warmup:
        return peak_learning_rate(recipe) * (step + 1) / warmup
    return peak_learning_rate(recipe) * _schedule_factor(recipe, step, steps_per_epoch)


def peak_learning_rate(recipe: Recipe) -> float:
    """Return the rate before any decay, in proportion to the batch size."""
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
    """State of ``schedule: plateau`` after an epoch."""

    best: float = math.inf
    """Lowest validation loss."""
    bad_epochs: int = 0
    """Epochs since the lowest loss or the last reduction of the rate."""
    factor: float = 1.0
    """Factor on the learning rate."""

    def updated(self, recipe: Recipe, loss: float) -> "PlateauState":
        """Return the state after an epoch; other schedules keep the first state."""
        if recipe.schedule != "plateau":
            return self
        if loss < self.best:
            return replace(self, best=loss, bad_epochs=0)
        if self.bad_epochs < recipe.plateau_patience:
            return replace(self, bad_epochs=self.bad_epochs + 1)
        return replace(self, bad_epochs=0, factor=self.factor * recipe.decay_rate)


@dataclass(frozen=True, slots=True)
class EarlyStoppingState:
    """State of early stopping after an epoch."""

    accuracy: float = -math.inf
    """Best validation accuracy."""
    epoch: int = 0
    """First epoch with it, counted from 1."""
    waited: int = 0
    """Epochs since then."""

    def updated(self, accuracy: float, epoch: int) -> "EarlyStoppingState":
        """Return the state after an epoch with this validation accuracy."""
        if accuracy > self.accuracy:
            return EarlyStoppingState(accuracy, epoch)
        return replace(self, waited=self.waited + 1)

    def should_stop(self, recipe: Recipe) -> bool:
        """Return whether the run ends here and returns to the weights of ``epoch``."""
        return recipe.patience is not None and self.waited >= recipe.patience
