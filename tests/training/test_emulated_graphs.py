"""Runs with emulated CUDA graphs: equal bits to runs without, and faults that are noticed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from cuda_graph_emulator import emulate_cuda_graphs
from torch import Tensor
from trained_runs import EVERYTHING, epochs_of, numbers

from scalesearch.config.recipe import Augmentation, ProgressiveResizing
from scalesearch.data.dataset import Dataset
from scalesearch.training import trainer
from scalesearch.training.ema import EMA
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train_together

AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "none": {"crop": 0},
    "flip": {"crop": 0.125, "flip": True},
    "resized_crop": {"resized_crop": 0.3},
    "rotation": {"rotation": 15, "shift": 0.1},
    "jitter": {"jitter": (0.4, 0.4, 0.4, 0.1)},
    "cutout": {"cutout": 0.5},
    "erasing": {"erasing": 1.0},
    "mixup_cutmix": {"mixup": 0.2, "cutmix": 1.0, "normalisation": "imagenet"},
}
OPTIMISERS: dict[str, dict[str, Any]] = {
    name: {"optimizer": name, "learning_rate": 0.005, "clip_norm": 0.5, "ema": 0.9}
    for name in ("sgd", "adam", "adamw", "rmsprop")
}
CASES: dict[str, dict[str, Any]] = {
    "base": {},
    "everything": EVERYTHING,
    **OPTIMISERS,
    **{name: {"augmentation": Augmentation(**a)} for name, a in AUGMENTATIONS.items()},
    **{name: {"precision": name, "ema": 0.9, "micro_batch": 4} for name in ("bf16", "mixed")},
    "progressive": {"progressive": ProgressiveResizing(start=0.5, regularisation=0.3)},
    "exponential": {"schedule": "exponential", "decay_epochs": 0.5, "decay_rate": 0.7},
    "warm_up": {"warmup_epochs": 2.5},
    "no_momentum": {"momentum": 0.0},
}


def with_recipe(job: TrainingJob, **changes: Any) -> TrainingJob:
    return replace(job, recipe=replace(job.recipe, batch_size=8, learning_rate=0.02, **changes))


def curve(job: TrainingJob, dataset: Dataset) -> list[tuple[float, ...]]:
    return numbers(epochs_of(job, dataset))


def without_graphs(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[float, ...]]:
    """Train as with graphs, with plain steps and the same layers and optimisers."""
    with monkeypatch.context() as patch:
        emulate_cuda_graphs(patch)
        patch.setattr(trainer, "graphed_step", lambda step, device: step)
        return curve(job, dataset)


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES.keys())
def test_a_run_with_graphs_has_the_same_bits(
    changes: dict[str, Any], job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {"learning_rate": 0.02, **changes}
    changed = replace(job, recipe=replace(job.recipe, batch_size=8, **recipe))
    expected = without_graphs(changed, dataset, monkeypatch)
    counts = emulate_cuda_graphs(monkeypatch)
    assert curve(changed, dataset) == expected
    assert counts.graphs >= 1
    assert counts.replays > counts.graphs


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "rmsprop"])
def test_a_run_with_graphs_resumes(
    optimiser: str,
    job: TrainingJob,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emulate_cuda_graphs(monkeypatch)
    changed = with_recipe(job, optimizer=optimiser, ema=0.9)
    whole = curve(changed, dataset)
    first = curve(replace(changed, stop=1, checkpoint=tmp_path / "run"), dataset)
    later = curve(replace(changed, start=1, checkpoint=tmp_path / "run"), dataset)
    assert first + later == whole


def test_seeds_together_have_the_bits_of_each_alone(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulate_cuda_graphs(monkeypatch)
    jobs = [replace(with_recipe(job, ema=0.9), seed=seed) for seed in range(3)]
    epochs = list(train_together(jobs, [dataset] * 3, device="cpu"))
    for index, single in enumerate(jobs):
        together = [epoch for job_index, epoch in epochs if job_index == index]
        assert numbers(together) == curve(single, dataset)


def test_a_constant_weight_of_the_averages_is_noticed(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpolate = EMA.interpolate

    def with_a_constant(self: EMA, weight: float | Tensor) -> None:
        with torch.no_grad():
            interpolate(self, weight.tolist() if isinstance(weight, Tensor) else weight)

    changed = with_recipe(job, ema=0.9)
    expected = without_graphs(changed, dataset, monkeypatch)
    monkeypatch.setattr(EMA, "interpolate", with_a_constant)
    counts = emulate_cuda_graphs(monkeypatch)
    assert curve(changed, dataset) != expected
    assert counts.graphs
