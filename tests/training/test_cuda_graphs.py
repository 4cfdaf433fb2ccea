"""CUDA graphs: a replay equals the step, with its own inputs, rate, averages and dropout."""

import copy
import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Augmentation, Precision, ProgressiveResizing, Recipe
from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.geometry import input_transform
from scalesearch.data.dataset import Dataset
from scalesearch.models.network import build_model
from scalesearch.results.run_folder import Epoch
from scalesearch.training import cuda_graphs as graphs
from scalesearch.training import trainer as run
from scalesearch.training.cuda_graphs import WARM_UP_STEPS, graphed_step
from scalesearch.training.device import grad_scaler, set_depthwise_precision
from scalesearch.training.ema import EMA
from scalesearch.training.inference import load_trained_model
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train, train_together
from scalesearch.training.optimisers import make_optimizer, set_learning_rate
from scalesearch.training.step import StepInputs, TrainingStep

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CUDA = torch.device("cuda")
BATCH = 4
STEPS = 17  # 70 images in full batches of 4

EVERYTHING = {
    "ema": 0.9,
    "clip_norm": 0.5,
    "micro_batch": 2,
    "augmentation": Augmentation(crop=0.125, rotation=10, erasing=0.5, mixup=0.2, cutmix=1.0),
    "progressive": ProgressiveResizing(start=0.6, regularisation=0.3),
}


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Kernels that add up in one order and in whole float32, so that runs can be compared."""
    cudnn = torch.backends.cudnn
    with cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


@pytest.fixture
def small(job: TrainingJob) -> TrainingJob:
    recipe = replace(job.recipe, batch_size=BATCH, learning_rate=0.02, precision="fp32")
    return replace(job, recipe=recipe)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many graphs are recorded, and how many steps they are replayed for."""
    counts = {"graphs": 0, "replays": 0}
    record, replay = graphs._GraphedStep._record, torch.cuda.CUDAGraph.replay

    def recording(graphed: Any, inputs: StepInputs) -> None:
        record(graphed, inputs)
        counts["graphs"] += graphed.graph is not None

    def replaying(graph: torch.cuda.CUDAGraph) -> None:
        counts["replays"] += 1
        replay(graph)

    monkeypatch.setattr(graphs._GraphedStep, "_record", recording)
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", replaying)
    return counts


def changed(job: TrainingJob, **changes: Any) -> TrainingJob:
    return replace(job, recipe=replace(job.recipe, **changes))


def epochs_of(job: TrainingJob, dataset: Dataset) -> list[Epoch]:
    return list(train(job, dataset, device="cuda"))


def eagerly(job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> list[Epoch]:
    with monkeypatch.context() as without_graphs:
        without_graphs.setattr(run, "graphed_step", lambda step, _: step)
        return epochs_of(job, dataset)


def assert_alike(ours: list[Epoch], theirs: list[Epoch], rel: float = 1e-3) -> None:
    assert [epoch.index for epoch in ours] == [epoch.index for epoch in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=rel)
        assert one.loss == pytest.approx(other.loss, rel=rel)
        assert (one.learning_rate, one.resolution) == (other.learning_rate, other.resolution)


# A step by itself


def step_of(
    network: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    averages: EMA | None = None,
    precision: Precision = "fp32",
) -> TrainingStep:
    set_depthwise_precision(network, precision)
    return TrainingStep(
        network=network.train(),
        unwrapped=network,
        optimizer=make_optimizer(network, recipe),
        ema=averages,
        scaler=grad_scaler(precision, CUDA),
        recipe=recipe,
        transform=input_transform(dataset, recipe, 9),
        resolution=9,
        strength=1.0,
        precision=precision,
    )


def network_of(architecture: Architecture, **options: float) -> nn.Module:
    torch.manual_seed(0)
    network = build_model(architecture, norm_momentum=0.1, **options).to(CUDA)
    return network.to(memory_format=torch.channels_last)


def batches(
    dataset: Dataset, recipe: Recipe, count: int, averaging: float = 0.0
) -> list[StepInputs]:
    draws = epoch_draws(recipe.augmentation, len(dataset.train), seed=1)
    rows = [slice(BATCH * index, BATCH * (index + 1)) for index in range(count)]
    return [
        StepInputs(
            dataset.train.images[row].to(CUDA),
            dataset.train.labels[row].to(CUDA),
            {kind: values[row].to(CUDA) for kind, values in draws.items()},
            torch.tensor(averaging, device=CUDA),
        )
        for row in rows
    ]


def weights(network: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in network.parameters()]).clone()


PLAIN = Recipe(batch_size=BATCH, learning_rate=0.05, momentum=0, weight_decay=0)


def test_replays_equal_plain_steps(
    architecture: Architecture, dataset: Dataset, recorded: dict[str, int]
) -> None:
    """Each with its own batch; a loss that was told is not written over by the next one."""
    ours, theirs = network_of(architecture), network_of(architecture)
    graphed, plain = (
        graphed_step(step_of(ours, dataset, PLAIN), CUDA),
        step_of(theirs, dataset, PLAIN),
    )
    inputs = batches(dataset, PLAIN, 10)
    losses = torch.stack([graphed(one) for one in inputs])
    expected = torch.stack([plain(one) for one in inputs])
    assert recorded == {"graphs": 1, "replays": 10 - WARM_UP_STEPS}
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-3, atol=1e-4)
    for (name, one), other in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4, msg=name)
    assert len(set(losses.tolist())) == 10


def test_recording_takes_no_step(
    architecture: Architecture, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(architecture)
    graphed = graphs._GraphedStep(step_of(network, dataset, PLAIN), CUDA)
    inputs = batches(dataset, PLAIN, 1)[0]
    for _ in range(WARM_UP_STEPS):
        graphed(inputs)
    before = copy.deepcopy(network.state_dict())
    graphed._record(inputs)
    torch.cuda.synchronize()
    assert graphed.graph is not None
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_replay_uses_the_current_rate(architecture: Architecture, dataset: Dataset) -> None:
    network = network_of(architecture)
    step = step_of(network, dataset, PLAIN)
    graphed, inputs = graphed_step(step, CUDA), batches(dataset, PLAIN, 8)
    for one in inputs[: WARM_UP_STEPS + 1]:
        graphed(one)
    moved = []
    for rate in (0.0, 0.05, 0.1):
        set_learning_rate(step.optimizer, rate)
        before = weights(network)
        graphed(inputs[-1])
        moved.append((weights(network) - before).norm().item())
    assert moved[0] == 0
    assert 0 < moved[1] < moved[2]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_every_optimiser_is_replayed(
    architecture: Architecture, dataset: Dataset, name: str, recorded: dict[str, int]
) -> None:
    recipe = replace(PLAIN, optimizer=name, momentum=0.9, weight_decay=1e-4, learning_rate=0.01)
    recipe = replace(recipe, clip_norm=1.0)
    ours, theirs = network_of(architecture), network_of(architecture)
    one, other = step_of(ours, dataset, recipe), step_of(theirs, dataset, recipe)
    graphed = graphed_step(one, CUDA)
    for number, inputs in enumerate(batches(dataset, recipe, 10)):
        for step in (one, other):
            set_learning_rate(step.optimizer, 0.01 / (1 + number))
        graphed(inputs)
        other(inputs)
    assert recorded["graphs"] == 1
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-2, atol=1e-3)


def test_a_replay_uses_the_current_weight_of_the_averages(
    architecture: Architecture, dataset: Dataset
) -> None:
    network = network_of(architecture)
    averages = EMA(network, 0.9)
    graphed = graphed_step(step_of(network, dataset, PLAIN, averages), CUDA)
    inputs = batches(dataset, PLAIN, 8, averaging=0.5)
    for one in inputs[: WARM_UP_STEPS + 1]:
        graphed(one)
    for part in (0.0, 0.25, 1.0):
        before = copy.deepcopy(averages.state_dict())
        graphed(replace(inputs[-1], averaging=torch.tensor(part, device=CUDA)))
        now = network.state_dict()
        for name, average in averages.state_dict().items():
            expected = before[name] + part * (now[name] - before[name])
            torch.testing.assert_close(average, expected, msg=name)


def test_a_replay_uses_the_dropout_stream_of_its_own_step(
    architecture: Architecture, dataset: Dataset
) -> None:
    """The weights stand still, so that only what is dropped tells one step from another."""
    network = network_of(architecture, dropout=0.5, drop_connect=0.5)
    step = step_of(network, dataset, replace(PLAIN, learning_rate=1e-30))
    graphed, inputs = graphed_step(step, CUDA), batches(dataset, PLAIN, 1)[0]
    for _ in range(WARM_UP_STEPS + 1):
        graphed(inputs)

    def loss(take: Any, seed: int) -> float:
        torch.manual_seed(seed)
        return take(inputs).item()

    replayed = [loss(graphed, seed) for seed in (1, 2, 3, 1)]
    assert len(set(replayed[:3])) == 3
    assert replayed[3] == replayed[0]
    assert replayed[:3] == pytest.approx([loss(step, seed) for seed in (1, 2, 3)], rel=1e-4)


def test_the_callers_stream_and_generator_stay_unchanged(
    small: TrainingJob, dataset: Dataset
) -> None:
    stream, state = torch.cuda.current_stream(), torch.cuda.get_rng_state()
    epochs_of(replace(small, stop=1), dataset)
    assert torch.cuda.current_stream() == stream
    assert torch.equal(torch.cuda.get_rng_state(), state)


AUGMENTATIONS = [
    Augmentation(crop=0),
    Augmentation(crop=0.125, flip=True),
    Augmentation(resized_crop=0.3),
    Augmentation(rotation=15, shift=0.1),
    Augmentation(jitter=(0.4, 0.4, 0.4, 0.1)),
    Augmentation(cutout=0.5),
    Augmentation(erasing=1.0),
    Augmentation(mixup=0.2),
    Augmentation(cutmix=1.0),
    Augmentation(mixup=0.2, cutmix=1.0, normalisation="imagenet"),
]


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=str)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "mixed"])
def test_a_step_never_waits_and_is_recorded(
    architecture: Architecture,
    dataset: Dataset,
    augmentation: Augmentation,
    precision: Precision,
    recorded: dict[str, int],
) -> None:
    recipe = replace(PLAIN, augmentation=augmentation, clip_norm=1.0, micro_batch=2)
    network = network_of(architecture, dropout=0.2, drop_connect=0.2)
    step = step_of(network, dataset, recipe, EMA(network, 0.9), precision)
    graphed, inputs = graphed_step(step, CUDA), batches(dataset, recipe, 6, averaging=0.1)
    for one in inputs:
        loss = graphed(one)
    assert recorded == {"graphs": 1, "replays": 6 - WARM_UP_STEPS}
    assert loss.isfinite()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(inputs[0])
        graphed(inputs[1])
    finally:
        torch.cuda.set_sync_debug_mode("default")


# What cannot be recorded


class Looking(nn.Module):
    """A network that looks at a value in every pass."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 9 * 9, 2)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        scale = images_BCHW.abs().max().item()
        return self.linear(images_BCHW.flatten(1) / scale)


class Refusing(Looking):
    """A network that fails while it is recorded, and only then."""

    def forward(self, images_BCHW: Tensor) -> Tensor:
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError("not while recording")
        return self.linear(images_BCHW.flatten(1))


@pytest.mark.parametrize("kind", [Looking, Refusing])
def test_a_network_that_cannot_be_recorded_takes_plain_steps(
    kind: type[nn.Module],
    architecture: Architecture,
    dataset: Dataset,
    recorded: dict[str, int],
) -> None:
    torch.manual_seed(0)
    ours = kind().to(CUDA)
    theirs = copy.deepcopy(ours)
    stream = torch.cuda.current_stream()
    graphed, plain = (
        graphed_step(step_of(ours, dataset, PLAIN), CUDA),
        step_of(theirs, dataset, PLAIN),
    )
    for inputs in batches(dataset, PLAIN, 8):
        torch.testing.assert_close(graphed(inputs), plain(inputs), rtol=1e-4, atol=1e-5)
    assert recorded == {"graphs": 0, "replays": 0}
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-3, atol=1e-5)
    assert torch.cuda.current_stream() == stream
    torch.cuda.empty_cache()  # fails where a recording was broken off
    torch.rand(3, device=CUDA)

    after = network_of(architecture)
    graphed = graphed_step(step_of(after, dataset, PLAIN), CUDA)
    for inputs in batches(dataset, PLAIN, 5):
        graphed(inputs)
    assert recorded["graphs"] == 1  # the next network's


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "fp16"},
        {"augmentation": Augmentation(policy="trivialaugment")},
    ],
)
def test_steps_that_read_values_are_not_recorded(
    small: TrainingJob, dataset: Dataset, changes: dict[str, Any], recorded: dict[str, int]
) -> None:
    if "augmentation" in changes:
        pytest.importorskip("kornia")
    epochs_of(replace(changed(small, **changes), stop=1), dataset)
    assert recorded == {"graphs": 0, "replays": 0}


# Whole runs


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_a_run_with_all_options_is_equal_with_and_without_graphs(
    small: TrainingJob,
    dataset: Dataset,
    optimizer: str,
    recorded: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rate = 0.02 if optimizer in ("sgd", "rmsprop") else 0.002
    job = changed(small, **EVERYTHING, optimizer=optimizer, learning_rate=rate)
    expected = eagerly(job, dataset, monkeypatch)
    assert recorded == {"graphs": 0, "replays": 0}
    epochs = epochs_of(job, dataset)
    assert recorded == {"graphs": 3, "replays": 3 * (STEPS - WARM_UP_STEPS)}
    assert_alike(epochs, expected, rel=0.02)


@pytest.mark.parametrize("precision", ["bf16", "mixed", "auto"])
def test_a_run_in_a_narrow_format_is_equal_with_and_without_graphs(
    small: TrainingJob,
    dataset: Dataset,
    precision: Precision,
    recorded: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = changed(small, precision=precision, ema=0.9)
    expected = eagerly(job, dataset, monkeypatch)
    assert_alike(epochs_of(job, dataset), expected, rel=0.05)
    assert recorded == {"graphs": 1, "replays": 3 * STEPS - WARM_UP_STEPS}  # one serves all epochs


def test_each_resolution_of_growing_images_is_recorded_again(
    small: TrainingJob,
    dataset: Dataset,
    recorded: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides: list[tuple[bool, int]] = []
    prepared = graphs.TrainingStep._backward

    def spying(step: TrainingStep, *args: Any, **kwargs: Any) -> Tensor:
        sides.append((torch.cuda.is_current_stream_capturing(), step.resolution))
        return prepared(step, *args, **kwargs)

    monkeypatch.setattr(TrainingStep, "_backward", spying)
    job = changed(small, progressive=ProgressiveResizing(start=0.5, regularisation=0.0))
    epochs = epochs_of(job, dataset)
    assert [side for capturing, side in sides if capturing] == [4, 7, 9]
    assert len(sides) == 3 * (WARM_UP_STEPS + 1)  # all other steps are replays
    assert [epoch.resolution for epoch in epochs] == [4, 7, 9]
    assert_alike(epochs, eagerly(job, dataset, monkeypatch), rel=0.02)


def test_a_rate_of_zero_leaves_the_weights_unchanged(
    small: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second and third epoch replay at rate zero, where only batch norm's statistics move."""
    monkeypatch.setattr(run, "learning_rate", lambda _, step, per: 0.02 if step < per else 0.0)
    made: list[nn.Module] = []
    whole = run.build_initial_model

    def spying(*args: Any) -> nn.Module:
        made.append(whole(*args))
        return made[-1]

    monkeypatch.setattr(run, "build_initial_model", spying)
    running = train(changed(small, weight_decay=0, momentum=0), dataset, device="cuda")
    next(running)
    after = weights(made[0])
    assert len(list(running)) == 2
    assert torch.equal(weights(made[0]), after)


def test_each_seed_together_equals_the_seed_alone(
    small: TrainingJob, dataset: Dataset, recorded: dict[str, int], tmp_path: Path
) -> None:
    """Also with dropout and averages, and in their checkpoints."""
    job = changed(small, ema=0.9)
    jobs = [replace(job, seed=seed, checkpoint=tmp_path / f"{seed}") for seed in range(3)]
    told = list(train_together(jobs, [dataset] * 3, device="cuda"))
    assert recorded == {"graphs": 3, "replays": 3 * (3 * STEPS - WARM_UP_STEPS)}
    assert [(place, epoch.index) for place, epoch in told] == [
        (place, index) for index in (1, 2, 3) for place in range(3)
    ]
    for place, its in enumerate(jobs):
        alone = replace(its, checkpoint=tmp_path / f"alone {place}")
        assert_alike([e for where, e in told if where == place], epochs_of(alone, dataset), 0.01)
        ours, theirs = (
            load_trained_model(one, dataset, "cuda").state_dict() for one in (its, alone)
        )
        for name, value in ours.items():
            torch.testing.assert_close(value, theirs[name], rtol=0.05, atol=5e-3, msg=name)


def test_a_run_resumes_on_cuda(small: TrainingJob, dataset: Dataset, tmp_path: Path) -> None:
    for optimizer in ("sgd", "adamw", "rmsprop"):
        job = changed(small, optimizer=optimizer, learning_rate=0.005, ema=0.9)
        expected = epochs_of(job, dataset)
        parts = replace(job, checkpoint=tmp_path / optimizer)
        told = epochs_of(replace(parts, stop=1), dataset)
        told += epochs_of(replace(parts, start=1), dataset)
        assert_alike(told, expected, rel=0.01)


def test_float16_with_its_scaler_learns_and_resumes(
    small: TrainingJob, dataset: Dataset, tmp_path: Path
) -> None:
    for name, changes in {
        "plain": {},
        "clipped": {"clip_norm": 1.0, "optimizer": "rmsprop"},
    }.items():
        job = changed(small, precision="fp16", epochs=8, dropout=0, drop_connect=0, **changes)
        kept = replace(job, checkpoint=tmp_path / name)
        epochs_of(replace(kept, stop=4), dataset)
        before = run.start_run(kept, dataset, CUDA).scaler.get_scale()
        assert before > 1
        epochs = epochs_of(replace(kept, start=4), dataset)
        assert epochs[-1].accuracy > 0.9
        assert epochs[-1].train_loss < epochs[0].train_loss


def test_epochs_take_no_more_memory_one_after_another(small: TrainingJob, dataset: Dataset) -> None:
    """The graph of a side is gone with it."""
    allocated = []
    progressive = ProgressiveResizing(start=0.5, shape="stepped", stages=3)
    job = changed(small, epochs=9, ema=0.9, progressive=progressive)
    for epoch in train(job, dataset, device="cuda"):
        gc.collect()
        allocated.append((epoch.resolution, torch.cuda.memory_allocated()))
    for side in {side for side, _ in allocated}:
        of_one_side = [count for its, count in allocated if its == side]
        assert len(set(of_one_side[1:])) == 1


def test_a_graph_saves_time(
    small: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of tiny kernels is launched at least half as fast again."""
    many = replace(
        dataset,
        train=replace(
            dataset.train,
            images=dataset.train.images.repeat(20, 1, 1, 1),
            labels=dataset.train.labels.repeat(20),
        ),
    )
    plain = max(e.images_per_second for e in eagerly(small, many, monkeypatch))
    assert max(e.images_per_second for e in epochs_of(small, many)) > 1.5 * plain
