"""How fast this machine trains in each number format: a second's measurement, and advice."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from scalesearch.architectures import baseline, fingerprint
from scalesearch.data import Dataset, Split
from scalesearch.recipe import Precision, Recipe
from scalesearch.training.graphs import WARM_UP
from scalesearch.training.job import Job
from scalesearch.training.loop import reproducible
from scalesearch.training.run import begun

BATCH = 32
ROUNDS = 4
WORTH_IT = 1.15
"""Gain from which on another format is advised: less is within the noise of a shared machine."""

FORMATS: dict[str, tuple[Precision, ...]] = {"cpu": ("fp32", "mixed"), "cuda": ("fp32", "bf16")}


@dataclass(frozen=True, slots=True)
class Probe:
    """``images_per_second`` by format, of steps in turn; ``gain``: the narrow one over fp32."""

    images_per_second: dict[str, float]
    gain: float
    advice: str


def probe(device: str = "cpu") -> Probe:
    """Steps of the small proxy (a quarter-width B0 at 32 pixels), in each format in turn.

    Nothing is chosen by it: a recipe names its precision, which is part of a run's identity.
    """
    kind = torch.device(device).type
    untimed = WARM_UP + 1 if kind == "cuda" else 1  # on CUDA a step is soon recorded, then replayed
    wide, narrow = FORMATS[kind]
    with reproducible(Recipe().threads, torch.device(device)):
        runs = {precision: _steps(precision, device) for precision in (wide, narrow)}
        seconds: dict[str, list[float]] = {precision: [] for precision in runs}
        for _ in range(untimed + ROUNDS):
            for precision, steps in runs.items():
                began = time.perf_counter()
                next(steps)
                if kind == "cuda":
                    torch.cuda.synchronize()
                seconds[precision].append(time.perf_counter() - began)
    rates = {precision: BATCH / median(times[untimed:]) for precision, times in seconds.items()}
    gain = rates[narrow] / rates[wide]
    worth = f"set recipe.precision: {narrow}" if gain >= WORTH_IT else "keep fp32"
    return Probe(
        rates, gain, f"{narrow} trains at {gain:.2f} times the speed of fp32 here: {worth}"
    )


def _steps(precision: Precision, device: str) -> Iterator[Any]:
    """An epoch's steps, one for each ``next``."""
    network = baseline("efficientnet_b0", width=0.25, resolution=32, stem_stride=1, num_classes=10)
    recipe = Recipe(epochs=1, batch_size=BATCH, precision=precision)
    job = Job(architecture=network, recipe=recipe, seed=0, fingerprint=fingerprint(network))
    count = BATCH * (WARM_UP + 1 + ROUNDS + 1)
    grey = Split(
        torch.full((count, 3, 32, 32), 128, dtype=torch.uint8),
        torch.zeros(count, dtype=torch.int64),
    )
    half = (0.5, 0.5, 0.5)
    data = Dataset(grey, grey, tuple("0123456789"), "grey", False, half, half)
    yield from begun(job, data, torch.device(device)).epoch()
