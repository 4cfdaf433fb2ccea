"""The choice of one micro-batch for a whole study."""

from dataclasses import replace

import pytest
import torch
from refusals import refused

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.memory import training_memory
from scalesearch.training import preflight
from scalesearch.training.loop import OutOfMemory, TrainingDiverged, train
from scalesearch.training.preflight import fitting_micro_batch


@pytest.fixture
def networks(architecture):
    wide = replace(architecture, head=64, resolution=24)
    return [architecture, wide]


def holding(monkeypatch, images, network, copies=1):
    """A machine with room for so many images of a network in one pass."""
    room = copies * training_memory(network, images).total
    monkeypatch.setattr(preflight, "fits_in_memory", lambda nbytes, device: nbytes <= room)


def test_a_micro_batch_that_fits_stays(networks, job, dataset, monkeypatch):
    holding(monkeypatch, 16, networks[1])
    assert fitting_micro_batch(networks, job.recipe, dataset, device="cpu") is None


@pytest.mark.parametrize(("room", "size"), [(15, 8), (8, 8), (7, 4), (1, 1)])
def test_the_largest_divisor_with_which_the_largest_network_fits_is_chosen(
    networks, job, dataset, monkeypatch, room, size
):
    holding(monkeypatch, room, networks[1])
    assert fitting_micro_batch(networks, job.recipe, dataset, device="cpu") == size
    assert fitting_micro_batch(networks[::-1], job.recipe, dataset, device="cpu") == size


@pytest.mark.parametrize(("precision", "size"), [("bf16", None), ("mixed", 8)])
def test_a_narrow_format_needs_half_the_memory(
    networks, job, dataset, monkeypatch, precision, size
):
    """But not where depthwise convolutions, of the widest layers, keep float32."""
    holding(monkeypatch, 8, networks[1])
    recipe = replace(job.recipe, precision=precision)
    assert fitting_micro_batch(networks, recipe, dataset, device="cpu") == size


def test_real_steps_are_tried_with_gradients_from_the_pass_before(
    architecture, job, dataset, monkeypatch
):
    tried = []
    monkeypatch.setattr(preflight, "train_together", lambda jobs, *a, **k: tried.extend(jobs) or [])
    for micro_batch in (4, None):
        recipe = replace(job.recipe, micro_batch=micro_batch)
        assert preflight._trains_without_overflow(
            architecture, recipe, dataset, torch.device("cpu"), 1
        )
    assert [(job.recipe.batch_size, job.recipe.micro_batch) for job in tried] == [
        (8, 4),
        (16, None),
    ]


@pytest.mark.parametrize(
    ("error", "fits"), [(OutOfMemory("full"), False), (TrainingDiverged("nan", ()), True)]
)
def test_only_a_lack_of_memory_counts_as_not_fitting(
    architecture, job, dataset, monkeypatch, error, fits
):
    def failing(*args, **options):
        raise error

    monkeypatch.setattr(preflight, "train_together", failing)
    found = preflight._trains_without_overflow(
        architecture, job.recipe, dataset, torch.device("cpu"), 1
    )
    assert found is fits


def test_concurrent_runs_share_the_memory(networks, job, dataset, monkeypatch):
    holding(monkeypatch, 8, networks[1], copies=2)
    recipe = job.recipe
    assert fitting_micro_batch(networks, recipe, dataset, device="cpu", concurrent_runs=2) == 8
    assert fitting_micro_batch(networks, recipe, dataset, device="cpu", concurrent_runs=4) == 2


def test_a_smaller_micro_batch_of_the_recipes_own_stays(networks, job, dataset, monkeypatch):
    holding(monkeypatch, 16, networks[1])
    recipe = replace(job.recipe, micro_batch=4)
    assert fitting_micro_batch(networks, recipe, dataset, device="cpu") == 4


def test_if_no_image_fits_the_largest_network_is_named(networks, job, dataset, monkeypatch):
    monkeypatch.setattr(preflight, "fits_in_memory", lambda nbytes, device: False)
    with refused(OutOfMemory):
        fitting_micro_batch(networks, job.recipe, dataset, device="cpu")


def test_a_custom_model_is_assumed_to_fit_on_a_cpu(job, dataset, monkeypatch):
    monkeypatch.setattr(preflight, "fits_in_memory", lambda nbytes, device: False)
    foreign = CustomModel(factory="nobody:knows")
    monkeypatch.setattr(preflight, "cost", lambda network: training_memory)
    monkeypatch.setattr(training_memory, "activations", 1, raising=False)
    assert fitting_micro_batch([foreign], job.recipe, dataset, device="cpu") is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_real_steps_decide(networks, job, dataset):
    """A pass of 16 images takes some 200 MiB, and one of 256 in validation more."""
    assert fitting_micro_batch(networks, job.recipe, dataset, device="cuda") is None
    large = replace(networks[0], resolution=128)
    torch.cuda.empty_cache()
    most = torch.cuda.memory_reserved() + 160 * 2**20
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(most / total)
    try:
        size = fitting_micro_batch([large], job.recipe, dataset, device="cuda")
        recipe = replace(job.recipe, micro_batch=size, epochs=2)
        own = replace(job, architecture=large, recipe=recipe, fingerprint=fingerprint(large))
        epochs = list(train(own, dataset, device="cuda"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert size is not None
    assert size < job.recipe.batch_size
    assert all(0 < epoch.peak_bytes <= most for epoch in epochs)
