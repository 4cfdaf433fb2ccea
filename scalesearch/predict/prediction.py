"""What a network answers to an image, as frozen data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClassProbability:
    """A class, and how probable the network takes it to be."""

    class_name: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The answer to one image.

    ``image``: its path as it was given, or its place among those given. ``logits``: float32 (K,),
    as the network gives them. ``probabilities``: float64 (K,), of the logits divided by the
    preparation's temperature; they sum to one.
    """

    image: str
    class_names: tuple[str, ...]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float64]

    def top(self, count: int = 5) -> tuple[ClassProbability, ...]:
        """The most probable classes, the first of them first; of equal ones the lower class."""
        top_classes = np.argsort(-self.logits, kind="stable")[:count]
        return tuple(ClassProbability(self.class_names[k], float(self.probabilities[k])) for k in top_classes)


@dataclass(frozen=True, slots=True)
class UnreadableImage:
    """An image that has no answer, and why."""

    image: str
    reason: str


def probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """The softmax of logits (..., K) divided by a temperature."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted / temperature)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def class_labels(class_names: Sequence[str], count: int) -> tuple[str, ...]:
    """The names of the classes, or their numbers from 0 where they have none."""
    return tuple(class_names) or tuple(str(number) for number in range(count))
