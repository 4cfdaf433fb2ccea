"""The order of an epoch, and the batches that come of it."""

import pytest
import torch

from scalesearch.config.recipe import Augmentation
from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.geometry import InputTransform
from scalesearch.data.augmentation.pipeline import evaluation_inputs
from scalesearch.data.batches import epoch_order, evaluation_batches, training_batches
from scalesearch.data.dataset import Split


@pytest.fixture
def split() -> Split:
    generator = torch.Generator().manual_seed(9)
    images = torch.randint(0, 256, (50, 3, 12, 12), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(50))


@pytest.fixture
def view() -> InputTransform:
    return InputTransform(
        pixels=12,
        mean=(0.5, 0.25, 0.75),
        std=(0.2, 0.3, 0.1),
        flips=True,
        num_classes=50,
        augmentation=Augmentation(),
    )


def test_an_epoch_has_each_image_at_most_once_and_drops_what_fills_no_batch():
    order = epoch_order(50, 16, seed=3)
    assert order.shape == (3, 16)
    assert len(order.unique()) == 48
    assert order.flatten().tolist() != sorted(order.flatten().tolist())


def test_a_batch_that_is_not_full_stays_where_it_is_the_only_one():
    assert sorted(epoch_order(50, 64, seed=3).flatten().tolist()) == list(range(50))
    assert epoch_order(50, 64, seed=3).shape == (1, 50)


def test_seeds_decide_on_the_order_and_batch_sizes_only_cut_it():
    assert torch.equal(epoch_order(50, 16, 3), epoch_order(50, 16, 3))
    assert not torch.equal(epoch_order(50, 16, 3), epoch_order(50, 16, 4))
    assert torch.equal(epoch_order(50, 8, 3)[:2].flatten(), epoch_order(50, 16, 3)[0])


def test_labels_and_draws_stay_with_their_images(split):
    order = epoch_order(50, 16, 3)
    rows = epoch_draws(Augmentation(), 50, 3)
    batches = list(training_batches(split, order, rows, "cpu"))
    assert len(batches) == 3
    for (images, labels, drawn_B), rows_B in zip(batches, order, strict=True):
        assert images.dtype == torch.uint8
        assert torch.equal(labels, rows_B)
        assert torch.equal(images, split.images[rows_B])
        assert drawn_B.keys() == rows.keys()
        for kind, rows_of_kind in drawn_B.items():
            assert torch.equal(rows_of_kind, rows[kind][rows_B])


def test_evaluation_keeps_the_order_and_every_image(split, view):
    batches = list(evaluation_batches(split, view, batch_size=16, resolution=9, device="cpu"))
    assert [len(labels) for _, labels in batches] == [16, 16, 16, 2]
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(50))
    images = torch.cat([images for images, _ in batches])
    assert torch.allclose(images, evaluation_inputs(split.images, view, 9), atol=1e-5)


def test_the_images_of_a_split_are_left_untouched(split, view):
    before = split.images.clone()
    list(evaluation_batches(split, view, batch_size=16, resolution=12, device="cpu"))
    list(training_batches(split, epoch_order(50, 16, 0), {}, "cpu"))
    assert torch.equal(split.images, before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_sees_the_same_batches(split):
    order, rows = epoch_order(50, 16, 3), epoch_draws(Augmentation(), 50, 3)
    both = [training_batches(split, order, rows, device) for device in ("cpu", "cuda")]
    for (images, labels, draws), (cuda_images, cuda_labels, cuda_draws) in zip(*both, strict=True):
        assert torch.equal(images, cuda_images.cpu())
        assert torch.equal(labels, cuda_labels.cpu())
        for kind, drawn_B in draws.items():
            assert torch.equal(drawn_B, cuda_draws[kind].cpu())
