"""Runs that share a device: they do not affect each other and release their memory."""

import gc
import itertools
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from refusals import refused
from torch import nn

from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.data.dataset import Dataset, Split
from scalesearch.results.run_folder import Epoch
from scalesearch.training import loop
from scalesearch.training import trainer as run
from scalesearch.training.inference import load_trained_model
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import OutOfMemory, TrainingDiverged, train, train_together

CPU = torch.device("cpu")
MEBIBYTE = 2**20


def changed(job: TrainingJob, **changes: Any) -> TrainingJob:
    return replace(job, recipe=replace(job.recipe, **changes))


def numbers(epoch: Epoch) -> tuple[float, ...]:
    """All that does not depend on time or on memory."""
    plain = {"seconds": 0, "images_per_second": 0, "peak_bytes": 0, "utilisation": 0}
    return astuple(replace(epoch, **plain))


def other_images(dataset: Dataset) -> Dataset:
    """A data set of the same kind: the same images, upside down."""
    train = Split(dataset.train.images.flip(2), 1 - dataset.train.labels)
    validation = Split(dataset.validation.images.flip(2), 1 - dataset.validation.labels)
    return replace(dataset, train=train, validation=validation, fingerprint="upside-down")


# Side by side


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_each_seed_has_the_same_bits_together_and_alone(
    job: TrainingJob, dataset: Dataset, dropout: float, tmp_path: Path
) -> None:
    job = changed(job, dropout=dropout, drop_connect=dropout, ema=0.9)
    jobs = [replace(job, seed=seed, checkpoint=tmp_path / f"together {seed}") for seed in range(3)]
    datasets = [dataset, other_images(dataset), dataset]
    told = list(train_together(jobs, datasets, device="cpu"))
    assert [(place, epoch.index) for place, epoch in told] == [
        (place, index) for index in (1, 2, 3) for place in range(3)
    ]
    for place, (its, images) in enumerate(zip(jobs, datasets, strict=True)):
        alone = replace(its, checkpoint=tmp_path / f"alone {place}")
        expected = [numbers(epoch) for epoch in train(alone, images, device="cpu")]
        assert [numbers(epoch) for where, epoch in told if where == place] == expected
        ours, theirs = (load_trained_model(one, images, "cpu").state_dict() for one in (its, alone))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert len({epoch.train_loss for _, epoch in told}) == len(told)


def test_networks_with_different_shapes_and_recipes_can_share_a_device(
    job: TrainingJob, architecture: Architecture, dataset: Dataset
) -> None:
    wide = replace(architecture, head=48)
    other = changed(job, epochs=2, batch_size=8, optimizer="adamw", learning_rate=0.005)
    other = replace(other, architecture=wide, fingerprint=fingerprint(wide))
    told = list(train_together([job, other], [dataset, dataset], device="cpu"))
    for place, its in enumerate((job, other)):
        expected = [numbers(epoch) for epoch in train(its, dataset, device="cpu")]
        assert [numbers(epoch) for where, epoch in told if where == place] == expected


def test_runs_together_may_be_at_different_epochs(
    job: TrainingJob, dataset: Dataset, tmp_path: Path
) -> None:
    jobs = [replace(job, seed=seed, checkpoint=tmp_path / f"{seed}") for seed in range(2)]
    first = list(train(replace(jobs[0], stop=2), dataset, device="cpu"))
    told = list(train_together(jobs, [dataset] * 2, device="cpu"))
    assert [(place, epoch.index) for place, epoch in told] == [
        (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3),
    ]  # fmt: skip
    assert [epoch for _, epoch in told[:2]] == first
    for place in range(2):
        alone = [
            numbers(e) for e in train(replace(jobs[place], checkpoint=None), dataset, device="cpu")
        ]
        assert [numbers(epoch) for where, epoch in told if where == place] == alone


def test_early_stopping_of_one_run_does_not_stop_the_others(
    job: TrainingJob, dataset: Dataset
) -> None:
    impatient = changed(job, patience=1, learning_rate=1e-9, epochs=6)
    jobs = [impatient, changed(job, epochs=6)]
    told = list(train_together(jobs, [dataset] * 2, device="cpu"))
    ends = {place: epoch.index for place, epoch in told}
    assert ends[0] < ends[1] == 6


def test_the_time_of_an_epoch_is_divided_among_the_runs(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(sharing: int) -> Epoch:
        ticks = itertools.count(start=0.0, step=6.0)  # begun, trained, validated
        monkeypatch.setattr(run.time, "perf_counter", lambda: next(ticks))
        steps = run.start_run(job, dataset, CPU).train_epoch(sharing)
        for _ in range(4 + 1):  # and once before validation
            next(steps)
        with pytest.raises(StopIteration) as end:
            next(steps)
        return end.value.value

    monkeypatch.setattr(run, "utilisation", lambda *_: 0.5)  # it has a clock of its own
    alone, one_of_three = ended(1), ended(3)
    assert (alone.seconds, one_of_three.seconds) == (12, 4)
    assert alone.images_per_second == pytest.approx(64 / 6)
    assert one_of_three.images_per_second == pytest.approx(3 * 64 / 6)


def test_all_have_trained_before_the_first_is_validated(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or their pace would be that of others' validation, too."""
    done: list[str] = []
    whole_step, whole_validation = run.set_learning_rate, run.evaluate

    def stepping(*args: Any) -> None:
        done.append("step")
        whole_step(*args)

    def validating(*args: Any) -> tuple[float, float, float]:
        done.append("validation")
        return whole_validation(*args)

    monkeypatch.setattr(run, "set_learning_rate", stepping)
    monkeypatch.setattr(run, "evaluate", validating)
    clock = run.time.perf_counter
    monkeypatch.setattr(run.time, "perf_counter", lambda: done.append("clock") or clock())
    monkeypatch.setattr(run, "utilisation", lambda *_: 0.5)  # it has a clock of its own
    jobs = [replace(changed(job, epochs=1), seed=seed) for seed in range(2)]
    list(train_together(jobs, [dataset] * 2, device="cpu"))
    assert done[done.index("validation") - 2 :] == ["clock"] * 2 + ["validation", "clock"] * 2


@pytest.mark.parametrize("order", [1, -1])
def test_a_diverging_run_costs_the_other_no_epoch(
    job: TrainingJob, dataset: Dataset, order: int, tmp_path: Path
) -> None:
    good = replace(job, checkpoint=tmp_path / "good")
    bad = replace(changed(job, learning_rate=1e30), seed=8, checkpoint=tmp_path / "bad")
    running = train_together([good, bad][::order], [dataset] * 2, device="cpu")
    place, first = next(running)
    assert (place, first.index) == (0 if order == 1 else 1, 1)
    with refused(TrainingDiverged):
        next(running)
    assert not bad.checkpoint.exists()
    assert list(train(replace(good, stop=1), dataset, device="cpu")) == [first]


def test_an_abandoned_generator_loses_no_epoch(
    job: TrainingJob, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [replace(job, seed=seed, stop=1, checkpoint=tmp_path / f"{seed}") for seed in range(2)]
    running = train_together(jobs, [dataset] * 2, device="cpu")
    next(running)
    running.close()
    monkeypatch.setattr(run, "training_batches", None)  # nothing is trained any more
    assert len(list(train_together(jobs, [dataset] * 2, device="cpu"))) == 2


# Memory that is not there


def failing(monkeypatch: pytest.MonkeyPatch, how: Callable[[], object]) -> None:
    """Let the first step end so."""
    monkeypatch.setattr(run, "graphed_step", lambda *_: lambda _: how())


def throwing(error: Exception) -> Callable[[], NoReturn]:
    def throw() -> NoReturn:
        raise error

    return throw


@pytest.mark.parametrize(
    "how",
    [
        throwing(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")),
        throwing(MemoryError()),
        lambda: torch.empty(2**60, dtype=torch.uint8),  # PyTorch's own words
    ],
    ids=["OutOfMemory", "MemoryError", "RuntimeError"],
)
def test_out_of_memory_tells_what_to_set(
    job: TrainingJob,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    how: Callable[[], object],
) -> None:
    failing(monkeypatch, how)
    with refused(OutOfMemory):
        list(train(changed(job, micro_batch=8), dataset, device="cpu"))


def test_out_of_memory_names_all_runs_on_the_device(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, throwing(MemoryError()))
    jobs = [replace(job, seed=seed) for seed in (3, 4)]
    with refused(OutOfMemory):
        list(train_together(jobs, [dataset] * 2, device="cpu"))


def test_a_network_that_cannot_be_built_for_lack_of_memory_is_named(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "start_run", lambda *_: torch.empty(2**60, dtype=torch.uint8))
    with refused(OutOfMemory):
        list(train(job, dataset, device="cpu"))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        NotImplementedError("no kernel for this device"),  # a RuntimeError by its class
        RecursionError("maximum recursion depth exceeded"),
        ValueError("any other"),
    ],
)
def test_other_errors_pass_unchanged(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    failing(monkeypatch, throwing(error))
    with pytest.raises(type(error)) as caught:
        list(train(job, dataset, device="cpu"))
    assert caught.value is error


# Memory that comes back


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many networks are left at each time that memory is given back."""
    made: list[weakref.ref[nn.Module]] = []
    left: list[int] = []
    whole = run.build_initial_model

    def spying(*args: Any) -> nn.Module:
        network = whole(*args)
        made.append(weakref.ref(network))
        return network

    monkeypatch.setattr(run, "build_initial_model", spying)
    monkeypatch.setattr(
        loop, "release_memory", lambda _: left.append(sum(one() is not None for one in made))
    )
    gc.collect()
    gc.disable()  # networks have to go by themselves: nothing may hold itself
    yield left
    gc.enable()


def test_memory_is_released_when_no_network_is_left(
    job: TrainingJob, dataset: Dataset, alive: list[int]
) -> None:
    full = changed(job, ema=0.9, patience=3)
    list(train_together([full, replace(full, seed=8)], [dataset] * 2, device="cpu"))
    list(train(job, dataset, device="cpu"))
    assert alive == [0, 0]


def test_no_network_is_left_when_a_run_is_abandoned(
    job: TrainingJob, dataset: Dataset, alive: list[int]
) -> None:
    running = train_together([job, replace(job, seed=8)], [dataset] * 2, device="cpu")
    next(running)
    running.close()
    alone = train(job, dataset, device="cpu")
    next(alone)
    del alone
    assert alive == [0, 0]


def test_no_network_outlives_the_error_that_ended_it(
    job: TrainingJob, dataset: Dataset, alive: list[int]
) -> None:
    with pytest.raises(TrainingDiverged):
        list(train(changed(job, learning_rate=1e30), dataset, device="cpu"))
    list(train(job, dataset, device="cpu"))
    assert alive[-1] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_one_network_after_another_takes_no_more_memory_than_one(
    job: TrainingJob, dataset: Dataset
) -> None:
    """Each of some 40 MiB, with its gradients, momenta, averages and best weights."""

    def resident() -> int:
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * 4096

    def train_one(width: int) -> None:
        stages = (
            Stage(1, 8, stride=2, expansion=1),
            Stage(1, width, stride=2),
            Stage(1, width, expansion=6),
        )
        network = Architecture(
            stem=8, stages=stages, head=64, resolution=8, stem_stride=2, num_classes=2
        )
        wide = replace(job, architecture=network, fingerprint=fingerprint(network))
        list(
            train(
                changed(wide, epochs=1, batch_size=64, ema=0.9, patience=1), dataset, device="cpu"
            )
        )

    widths = itertools.cycle((360, 344, 368, 352))
    train_one(next(widths))
    before = resident()
    for _ in range(4):
        train_one(next(widths))
    assert resident() - before < 40 * MEBIBYTE


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_all_memory_comes_back(job: TrainingJob, dataset: Dataset) -> None:
    full = changed(job, epochs=2, batch_size=8, ema=0.9, patience=2)
    jobs = [replace(full, seed=seed) for seed in range(2)]
    for count in (2, 1):  # libraries' own memory first, which they keep for each stream
        list(train_together(jobs[:count], [dataset] * count, device="cuda"))
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    for count in (1, 2, 1):
        list(train_together(jobs[:count], [dataset] * count, device="cuda"))
        assert torch.cuda.memory_allocated() <= before[0]
        assert torch.cuda.memory_reserved() <= before[1]
    running = train(full, dataset, device="cuda")
    next(running)
    running.close()
    assert torch.cuda.memory_allocated() <= before[0]
