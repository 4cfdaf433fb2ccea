"""Training speed of this machine by number format: a short benchmark with advice."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.config.recipe import Precision, Recipe
from scalesearch.data.dataset import Dataset, Split
from scalesearch.models.stopwatch import time_rounds
from scalesearch.training.cuda_graphs import WARM_UP_STEPS
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import reproducible
from scalesearch.training.trainer import start_run

BATCH_SIZE = 32
TIMED_ROUNDS = 4
MIN_SPEEDUP = 1.15
"""Smallest gain for which a format is advised; less is within the noise of a shared machine."""

COMPARED_PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "cpu": ("fp32", "mixed"),
    "cuda": ("fp32", "bf16"),
}


@dataclass(frozen=True, slots=True)
class PrecisionBenchmark:
    """Training speed by number format."""

    images_per_second: dict[str, float]
    """Speed by format, measured on alternating steps."""
    gain: float
    """Speed of the narrow format relative to fp32."""
    advice: str


def benchmark_precisions(device: str = "cpu") -> PrecisionBenchmark:
    """Time steps of a small proxy in each number format.

    This only advises: a recipe names its precision, which is part of a run's identity.
    """
    kind = torch.device(device).type
    # On CUDA a step is recorded after the warm-up, then replayed.
    warm_up_rounds = WARM_UP_STEPS + 1 if kind == "cuda" else 1
    full_precision, low_precision = COMPARED_PRECISIONS[kind]
    with reproducible(Recipe().threads, torch.device(device)):
        runs = {
            precision: _training_steps(precision, device)
            for precision in (full_precision, low_precision)
        }
        next_steps = [partial(next, steps) for steps in runs.values()]
        rounds = warm_up_rounds + TIMED_ROUNDS
        turns = list(time_rounds(next_steps, rounds, device=torch.device(device)))[warm_up_rounds:]
    rates: dict[str, float] = {
        precision: BATCH_SIZE / median(turn[index][0] for turn in turns)
        for index, precision in enumerate(runs)
    }
    gain = rates[low_precision] / rates[full_precision]
    recommendation = (
        f"set recipe.precision: {low_precision}" if gain >= MIN_SPEEDUP else "keep fp32"
    )
    return PrecisionBenchmark(
        rates,
        gain,
        f"{low_precision} trains at {gain:.2f} times the speed of fp32 here: {recommendation}",
    )


def _training_steps(precision: Precision, device: str) -> Iterator[Any]:
    """Train an epoch, one step per ``next``."""
    network = baseline("efficientnet_b0", width=0.25, resolution=32, stem_stride=1, num_classes=10)
    recipe = Recipe(epochs=1, batch_size=BATCH_SIZE, precision=precision)
    job = TrainingJob(architecture=network, recipe=recipe, seed=0, fingerprint=fingerprint(network))
    image_count = BATCH_SIZE * (WARM_UP_STEPS + 1 + TIMED_ROUNDS + 1)
    grey_split = Split(
        torch.full((image_count, 3, 32, 32), 128, dtype=torch.uint8),
        torch.zeros(image_count, dtype=torch.int64),
    )
    mid_grey = (0.5, 0.5, 0.5)
    dataset = Dataset(
        grey_split, grey_split, tuple("0123456789"), "grey", False, mid_grey, mid_grey
    )
    yield from start_run(job, dataset, torch.device(device)).train_epoch()
