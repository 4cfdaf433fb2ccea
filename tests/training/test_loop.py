"""The training loop: it learns, and only the job decides every bit of the result."""

import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from refusals import refused

from scalesearch.architectures.stages import Architecture
from scalesearch.data.dataset import Dataset
from scalesearch.errors import DataError, SearchError
from scalesearch.models.network import Network
from scalesearch.results.run_folder import Epoch
from scalesearch.training import job_network
from scalesearch.training import trainer as run
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import TrainingDiverged, train

OTHER_PROCESS = """
import dataclasses, json, pickle, sys
from scalesearch.training.loop import train

job, dataset = pickle.load(sys.stdin.buffer)
epochs = train(job, dataset, device="cpu")
print(json.dumps([dataclasses.astuple(epoch)[:4] for epoch in epochs]))
"""


def numbers(epochs: list[Epoch]) -> list[tuple[float, ...]]:
    """What a repetition must give again: all but the times."""
    return [astuple(epoch)[:4] for epoch in epochs]


def trained(job: TrainingJob, dataset: Dataset) -> list[Epoch]:
    return list(train(job, dataset, device="cpu"))


@pytest.fixture(scope="module")
def reference(job: TrainingJob, dataset: Dataset) -> list[Epoch]:
    return trained(job, dataset)


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The training batches, as they are handed to the network."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    batches = run.training_batches

    def spying(*args: object, **kwargs: object) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in batches(*args, **kwargs):
            seen.append(batch)
            yield batch

    monkeypatch.setattr(run, "training_batches", spying)
    return seen


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.05), ("adamw", 0.02)])
def test_training_learns(job: TrainingJob, dataset: Dataset, optimizer: str, rate: float) -> None:
    recipe = replace(
        job.recipe, epochs=10, optimizer=optimizer, learning_rate=rate, dropout=0, drop_connect=0
    )
    epochs = trained(replace(job, recipe=recipe), dataset)
    assert epochs[-1].accuracy > 0.9
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert epochs[-1].loss < 0.5


def test_epochs_are_counted_from_one_and_timed(reference: list[Epoch]) -> None:
    assert [epoch.index for epoch in reference] == [1, 2, 3]
    for epoch in reference:
        assert 0 <= epoch.accuracy <= 1
        assert epoch.images_per_second > 64 / epoch.seconds  # training is a part of the time


def test_the_same_job_gives_the_same_bits(
    job: TrainingJob, dataset: Dataset, reference: list[Epoch]
) -> None:
    torch.manual_seed(123)  # what ran before must not matter
    assert numbers(trained(job, dataset)) == numbers(reference)


def test_another_process_gives_the_same_bits(
    job: TrainingJob, dataset: Dataset, reference: list[Epoch]
) -> None:
    result = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS],
        input=pickle.dumps((job, dataset)),
        capture_output=True,
        check=True,
    )
    assert json.loads(result.stdout) == [list(row) for row in numbers(reference)]


def test_another_seed_gives_other_numbers(
    job: TrainingJob, dataset: Dataset, reference: list[Epoch]
) -> None:
    assert numbers(trained(replace(job, seed=8), dataset)) != numbers(reference)


def test_candidates_of_one_seed_see_the_same_images(
    job: TrainingJob, dataset: Dataset, architecture: Architecture, spied: list
) -> None:
    trained(replace(job, stop=1), dataset)
    first = spied.copy()
    spied.clear()
    other = replace(architecture, head=48)
    trained(replace(job, stop=1, architecture=other, fingerprint="other"), dataset)
    assert len(first) == len(spied) == 4
    for (*batch, draws), (*other_batch, other_draws) in zip(first, spied, strict=True):
        for parts in zip(
            (*batch, *draws.values()), (*other_batch, *other_draws.values()), strict=True
        ):
            assert torch.equal(*parts)


def test_every_epoch_has_another_order(job: TrainingJob, dataset: Dataset, spied: list) -> None:
    trained(replace(job, stop=2), dataset)
    assert not torch.equal(spied[0][0], spied[4][0])


def test_the_rate_follows_the_schedule_over_the_whole_run(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def spying(recipe: object, step: int, steps_per_epoch: int) -> float:
        asked.append((step, steps_per_epoch))
        return 0.01

    monkeypatch.setattr(run, "learning_rate", spying)
    trained(job, dataset)
    assert asked == [(step, 4) for step in range(12)]  # 70 images: 4 full batches of 16


def test_the_caller_keeps_its_generator_and_threads(job: TrainingJob, dataset: Dataset) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    other = 1 if threads > 1 else 2
    trained(replace(job, stop=1, recipe=replace(job.recipe, threads=other)), dataset)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_validation_uses_no_smoothing_and_no_dropout() -> None:
    network = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(4, 3))
    images = [torch.rand(5, 4), torch.rand(2, 4)]
    labels = [torch.tensor([0, 1, 2, 0, 1]), torch.tensor([2, 2])]
    loss, accuracy, top5 = run.evaluate(network, zip(images, labels, strict=True))
    logits = network[1](torch.cat(images))
    assert loss == pytest.approx(F.cross_entropy(logits, torch.cat(labels)).item())
    assert accuracy == pytest.approx((logits.argmax(1) == torch.cat(labels)).double().mean().item())
    assert top5 == 1  # of three classes


def test_the_recipe_reaches_the_network(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Network] = []
    build = job_network.build_model

    def spying(*args: object, **kwargs: object) -> Network:
        built.append(build(*args, **kwargs))
        return built[-1]

    monkeypatch.setattr(job_network, "build_model", spying)
    trained(replace(job, stop=1, recipe=replace(job.recipe, norm_momentum=0.3)), dataset)
    assert built[0].stem.norm.momentum == 0.3
    assert built[0].dropout.p == 0.2
    assert built[0].stages[0][1].drop_connect.rate == pytest.approx(0.5 / 3)


def test_a_network_for_other_data_is_refused(
    job: TrainingJob, dataset: Dataset, architecture: Architecture
) -> None:
    other = replace(job, architecture=replace(architecture, num_classes=10))
    with refused(DataError):
        trained(other, dataset)


@pytest.mark.parametrize(
    "rule",
    [
        {"learning_rate_rule": "depth"},
        {"learning_rate_rule": "tuned"},
        {"regularisation": "scaled"},
    ],
)
def test_a_rule_that_has_not_been_applied_is_refused(
    job: TrainingJob, dataset: Dataset, rule: dict[str, str]
) -> None:
    """And not trained as if the recipe had not asked for it."""
    ruled = replace(job, recipe=replace(job.recipe, **rule))
    with refused(SearchError):
        next(train(ruled, dataset, device="cpu"))


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_earlier_epochs(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run, "learning_rate", lambda _, step, __: 0.05 if step < 6 else 1e38)
    running = train(replace(job, checkpoint=tmp_path / "run"), dataset, device="cpu")
    first = next(running)
    with refused(TrainingDiverged) as caught:
        next(running)
    assert caught.value.epochs == (first,)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_learns_the_same(job: TrainingJob, dataset: Dataset, tmp_path: Path) -> None:
    recipe = replace(job.recipe, epochs=6, dropout=0, drop_connect=0)
    half = replace(job, recipe=recipe, stop=3, checkpoint=tmp_path / "run")
    list(train(half, dataset, device="cuda"))
    epochs = list(train(replace(half, stop=6), dataset, device="cuda"))
    assert [epoch.index for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert epochs[-1].accuracy > 0.9
    assert epochs[0].train_loss == pytest.approx(
        trained(replace(half, checkpoint=None), dataset)[0].train_loss, rel=0.02
    )
