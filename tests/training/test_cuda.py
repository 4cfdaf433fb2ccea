"""Runs on a GPU: no waiting, independent graphs, and any device."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Augmentation, Recipe
from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.geometry import input_transform
from scalesearch.data.dataset import Dataset, Split
from scalesearch.data.streaming import map_images
from scalesearch.models.network import build_model
from scalesearch.results.run_folder import Epoch
from scalesearch.training.cuda_graphs import WARM_UP_STEPS, graphed_step
from scalesearch.training.device import grad_scaler
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train, train_together
from scalesearch.training.optimisers import make_optimizer, set_learning_rate
from scalesearch.training.step import StepInputs, TrainingStep, cuda_generator, random_stream
from scalesearch.training.trainer import start_run

CUDA = torch.device("cuda")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def many(dataset: Dataset) -> Dataset:
    """The data set with its training images eight times over."""
    images, labels = dataset.train.images, dataset.train.labels
    return replace(dataset, train=Split(images.repeat(8, 1, 1, 1), labels.repeat(8)))


@contextmanager
def waiting_refused() -> Iterator[None]:
    """Within: what waits for the device raises RuntimeError."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


# Steps


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
def test_after_the_first_steps_no_step_waits_for_the_device(
    job: TrainingJob, many: Dataset, optimizer: str
) -> None:
    """Batches, draws, rates, averages and seeds included: the next step is always there."""
    recipe = replace(job.recipe, optimizer=optimizer, ema=0.9, clip_norm=1.0)
    run = start_run(replace(job, recipe=recipe), many, CUDA)
    steps = run.train_epoch()
    for _ in range(WARM_UP_STEPS + 1):
        next(steps)
    with waiting_refused():  # raises where a step waits
        taken = sum(1 for _ in islice(steps, 20))
    steps.close()
    assert taken == 20


@pytest.mark.gpu
@needs_cuda
def test_images_on_disk_train_as_those_in_memory(
    job: TrainingJob, many: Dataset, tmp_path: Path
) -> None:
    """A thread pins and reads them, also while the step is recorded."""
    np.save(tmp_path / "images.npy", many.train.images.numpy())
    on_disk = replace(many, train=Split(map_images(tmp_path / "images.npy"), many.train.labels))
    both = [list(train(job, data, device="cuda")) for data in (many, on_disk)]
    for resident, streamed in zip(*both, strict=True):
        assert streamed.train_loss == pytest.approx(resident.train_loss, rel=0.05)


@pytest.mark.gpu
@needs_cuda
def test_a_policy_trains_in_bfloat16(job: TrainingJob, dataset: Dataset) -> None:
    pytest.importorskip("kornia")
    recipe = replace(job.recipe, augmentation=Augmentation(policy="randaugment"), epochs=1)
    (epoch,) = train(replace(job, recipe=recipe), dataset, device="cuda")
    assert 0 < epoch.train_loss < 2


# Graphs beside graphs


class Products(nn.Module):
    """Products of matrices, for which cuBLAS takes memory of the stream that they are on."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(243, 4096), nn.SiLU(), nn.Linear(4096, 4096), nn.Linear(4096, 2)
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        answers: Tensor = self.layers(images_BCHW)
        return answers


def step_of(network: nn.Module, dataset: Dataset) -> TrainingStep:
    recipe = Recipe(batch_size=64, learning_rate=1e-3, momentum=0)
    return TrainingStep(
        network=network.train(),
        unwrapped=network,
        optimizer=make_optimizer(network, recipe),
        ema=None,
        scaler=grad_scaler("bf16", CUDA),
        recipe=recipe,
        transform=input_transform(dataset, recipe, 9),
        resolution=9,
        strength=1.0,
        precision="bf16",
    )


def first_batch(dataset: Dataset) -> StepInputs:
    draws = epoch_draws(Recipe().augmentation, len(dataset.train), seed=1)
    rows = slice(0, 64)
    return StepInputs(
        dataset.train.images[rows].to(CUDA),
        dataset.train.labels[rows].to(CUDA),
        {kind: values[rows].to(CUDA) for kind, values in draws.items()},
        torch.zeros((), device=CUDA),
    )


@pytest.mark.gpu
@needs_cuda
def test_a_graph_still_works_after_other_graphs_are_deleted(dataset: Dataset) -> None:
    """As in github.com/pytorch/pytorch/issues/193402, where both are recorded on one stream."""
    torch.manual_seed(0)
    inputs, network = first_batch(dataset), Products().to(CUDA)
    alone = Products().to(CUDA)
    alone.load_state_dict(network.state_dict())
    step, plain = graphed_step(step_of(network, dataset), CUDA), step_of(alone, dataset)
    losses = [step(inputs) for _ in range(WARM_UP_STEPS + 2)]
    for _ in range(3):
        other = graphed_step(step_of(Products().to(CUDA), dataset), CUDA)
        for _ in range(WARM_UP_STEPS + 2):
            other(inputs)
        del other
        torch.cuda.empty_cache()
        filler = torch.full((64 * 2**20,), 255, dtype=torch.uint8, device=CUDA)
        losses.append(step(inputs))
        del filler
    expected = [plain(inputs) for _ in losses]
    torch.testing.assert_close(torch.stack(losses), torch.stack(expected), rtol=1e-2, atol=1e-3)


@pytest.mark.gpu
@needs_cuda
def test_runs_together_use_no_more_streams_than_needed(job: TrainingJob, dataset: Dataset) -> None:
    """Each stream that was ever used keeps memory for cuBLAS, 32 MiB and more on new devices."""
    jobs = [replace(job, seed=seed) for seed in range(3)]
    list(train_together(jobs, [dataset] * 3, device="cuda"))
    before = torch.cuda.memory_allocated()
    for _ in range(12):
        list(train_together(jobs, [dataset] * 3, device="cuda"))
    assert torch.cuda.memory_allocated() <= before


# Draws


def test_on_a_cpu_the_seed_decides_the_draws() -> None:
    assert cuda_generator(torch.device("cpu")) is None
    torch.manual_seed(5)
    expected = torch.rand(3)
    with random_stream(5, None):
        assert torch.equal(torch.rand(3), expected)


@pytest.mark.gpu
@needs_cuda
def test_on_cuda_the_seed_decides_the_draws_and_the_callers_stream_continues() -> None:
    torch.cuda.manual_seed(5)
    of_five = torch.rand(3, device=CUDA)
    torch.cuda.manual_seed(3)
    torch.rand(3, device=CUDA)
    state = torch.cuda.get_rng_state()
    next_of_three = torch.rand(3, device=CUDA)
    torch.cuda.set_rng_state(state)

    generator = cuda_generator(CUDA)
    with random_stream(5, generator):
        assert torch.equal(torch.rand(3, device=CUDA), of_five)
    with pytest.raises(KeyError), random_stream(6, generator):
        raise KeyError
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert torch.equal(torch.rand(3, device=CUDA), next_of_three)


@pytest.mark.gpu
@needs_cuda
def test_replayed_side_by_side_each_graph_draws_from_its_own_seed(
    architecture: Architecture, dataset: Dataset
) -> None:
    """Many replays are on their way at once, each of which begins by writing down its seed."""
    inputs = first_batch(dataset)

    def losses(places: int) -> list[Tensor]:
        takes, generators = [], [cuda_generator(CUDA) for _ in range(places)]
        for _ in range(places):
            torch.manual_seed(0)
            network = build_model(architecture, dropout=0.5, drop_connect=0.5).to(CUDA)
            step = step_of(network, dataset)
            set_learning_rate(step.optimizer, 0.0)
            takes.append(graphed_step(replace(step, precision="fp32"), CUDA))
        streams = [torch.cuda.Stream() for _ in takes]
        told: list[list[Tensor]] = [[] for _ in takes]
        for seed in range(60):
            for place, take in enumerate(takes):
                streams[place].wait_stream(torch.cuda.current_stream())
                with (
                    torch.cuda.stream(streams[place]),
                    random_stream(seed + place, generators[place]),
                ):
                    told[place].append(take(inputs))
        torch.cuda.synchronize()
        return [torch.stack(own) for own in told]

    (alone,) = losses(1)
    for place, own in enumerate(losses(4)):
        torch.testing.assert_close(own[: 60 - place], alone[place:], rtol=1e-3, atol=1e-4)


# Devices


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_device_other_than_the_current_one_trains(job: TrainingJob, dataset: Dataset) -> None:
    def epochs(device: str, count: int) -> list[Epoch]:
        jobs = [replace(job, seed=seed) for seed in range(count)]
        return [e for _, e in train_together(jobs, [dataset] * count, device=device)]

    for count in (1, 2):
        first, second = epochs("cuda:0", count), epochs("cuda:1", count)
        assert torch.cuda.current_device() == 0
        for one, other in zip(first, second, strict=True):
            assert other.train_loss == pytest.approx(one.train_loss, rel=0.05)
