"""The benchmark of training: its plain loop trains the same, and everybody gets equal turns."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.stages import Architecture
from scalesearch.config.reading import preset
from scalesearch.config.recipe import Augmentation, Recipe
from scalesearch.data.augmentation.geometry import input_transform
from scalesearch.data.batches import evaluation_batches
from scalesearch.data.dataset import Dataset, Split
from scalesearch.models.initialisation import initialise
from scalesearch.models.network import build_model
from scalesearch.training.schedules import learning_rate

FOLDER = Path(__file__).parents[1] / "benchmarks"
Module = Callable[[str], ModuleType]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Module:
    """A script of the benchmark, which finds the others beside it."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


@pytest.fixture(scope="module")
def architecture() -> Architecture:
    return efficientnet_b0(width=0.25, resolution=16, stem_stride=1, num_classes=4)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    images = torch.randint(0, 256, (12, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    split = Split(images.to(torch.uint8), torch.arange(12) % 4)
    return Dataset(split, split, ("a", "b", "c", "d"), "noise", True, (0.4,) * 3, (0.2,) * 3)


def images_and_targets() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 3, 16, 16, generator=generator), torch.arange(8) % 4


def test_the_plain_network_answers_as_ours_with_the_same_weights_and_learns_the_same(
    module: Module, architecture: Architecture
) -> None:
    plain = module("plain")
    ours = build_model(architecture, norm_momentum=0.1)
    initialise(ours, torch.Generator().manual_seed(0))
    theirs = plain.EfficientNet(architecture, norm_momentum=0.1)
    plain.copy_weights(ours, theirs)
    images, targets = images_and_targets()
    ours, theirs, images = ours.double(), theirs.double(), images.double()
    losses = [torch.nn.functional.cross_entropy(net(images), targets) for net in (ours, theirs)]
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-9)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-6, atol=1e-9)
    with torch.no_grad():  # running statistics, too
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_weights_are_copied_between_equal_layers_only(module: Module) -> None:
    source, target = torch.nn.Linear(3, 1), torch.nn.Linear(3, 2)
    with refused(ValueError):
        module("plain").copy_weights(source, target)


def test_the_plain_loop_shows_the_images_that_ours_validates_on(
    module: Module, dataset: Dataset
) -> None:
    plain = module("plain")
    images = plain.PillowImages(dataset.validation, plain.evaluation_transform(dataset))
    theirs = torch.stack([image for image, _ in images])
    shown = input_transform(dataset, Recipe(), 16)
    mine, labels = next(
        evaluation_batches(dataset.validation, shown, batch_size=12, resolution=16, device="cpu")
    )
    torch.testing.assert_close(theirs, mine, rtol=1e-5, atol=1e-5, check_stride=False)
    assert [label for _, label in images] == labels.tolist()


@pytest.mark.parametrize("shape", [(5, 5, 3), (5, 5)])
def test_a_plain_crop_is_a_window_of_the_reflected_image(
    module: Module, shape: tuple[int, ...]
) -> None:
    crop = module("plain").random_crop(1)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0))[: pixels.ndim], mode="reflect")
    windows = {padded[y : y + 5, x : x + 5].tobytes() for y in range(3) for x in range(3)}
    torch.manual_seed(0)
    found = {np.asarray(crop(Image.fromarray(pixels))).tobytes() for _ in range(200)}
    assert found == windows


def test_the_plain_schedule_is_the_recipes(module: Module) -> None:
    plain, recipe = module("plain"), replace(preset("fast"), epochs=3, warmup_epochs=0.5)
    optimizer = plain.optimiser(torch.nn.Linear(2, 2), recipe)
    schedule = plain.scheduler(optimizer, recipe, 10)
    rates = []
    for _ in range(30):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([learning_rate(recipe, step, 10) for step in range(30)])


def test_the_plain_loop_refuses_a_recipe_that_it_cannot_follow(module: Module) -> None:
    recipe = replace(preset("fast"), augmentation=Augmentation(cutout=0.5))
    with refused(ValueError):
        module("plain").optimiser(torch.nn.Linear(2, 2), recipe)


def test_all_take_one_turn_a_round_and_each_round_begins_with_another(module: Module) -> None:
    interleaved, order = module("interleaved"), []

    def contender(name: str) -> object:
        def turn() -> int:
            order.append(name)
            return 1

        return interleaved.Contender("step", name, name, turn)

    cpu, names = torch.device("cpu"), "abc"
    found = list(interleaved.measured([contender(name) for name in names], cpu, 3, 60))
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"
    assert [len(one.laps) for one in found] == [3, 3, 3]


def test_rounds_end_when_the_time_is_over_but_not_before_the_third(module: Module) -> None:
    interleaved = module("interleaved")
    idle = interleaved.Contender("step", "ours", "idle", lambda: 1)
    (found,) = interleaved.measured([idle], torch.device("cpu"), rounds=100, seconds=0)
    assert len(found.laps) == 3


def test_a_ratio_is_the_median_of_the_rounds_ratios(module: Module) -> None:
    interleaved = module("interleaved")

    def measured(name: str, *seconds: float) -> object:
        laps = tuple(interleaved.Lap(12, own) for own in seconds)
        return interleaved.Measured("step", name, name, interleaved.Lap(12, 10.0), laps)

    fast, slow = measured("ours", 1, 2, 4), measured("plain", 3, 4, 20)
    assert interleaved.ratio(fast, slow) == interleaved.Ratio(median=3, low=2, high=5)
    assert fast.images_per_second == 6
    assert fast.startup_seconds == 8
    assert interleaved.fastest([slow, fast], "step", "ours") is fast
    assert interleaved.fastest([slow, fast], "loader", "ours") is None


def test_accuracies_are_compared_by_seed(module: Module) -> None:
    accuracy = module("accuracy")
    values = [(0.5, 0.4), (0.7, 0.6), (0.6, 0.8)]
    pairs = [accuracy.Pair(seed, *pair, 1, 1) for seed, pair in enumerate(values)]
    found = accuracy.comparison(pairs)
    assert (found.ours, found.plain) == (pytest.approx(0.6), pytest.approx(0.6))
    assert (found.ours_sd, found.plain_sd) == (pytest.approx(0.1), pytest.approx(0.2))
    assert found.difference == pytest.approx(0)
    assert found.standard_error == pytest.approx(0.1)
    assert found.within_one_sd
    assert not replace(found, difference=-0.21).within_one_sd


@pytest.mark.slow
def test_quick_prints_one_document_with_the_ratios_that_must_be_reached(tmp_path: Path) -> None:
    small = ["--width", "0.25", "--resolution", "16", "--batch-size", "4", "--loader-batches", "2"]
    done = subprocess.run(
        [
            *(sys.executable, FOLDER / "training.py", "--quick", "--json", "--threads", "1"),
            *("--minutes", "0.01", "--out", tmp_path / "out", *small),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    document = json.loads(done.stdout)
    assert document["trainer_vs_plain"] > 0
    assert document["loader_vs_plain"] > 0
    assert len(document["ratios"]["step_vs_plain"]) == 3
    assert document["environment"]["packages"]["torch"]
    assert not (tmp_path / "out").exists()
