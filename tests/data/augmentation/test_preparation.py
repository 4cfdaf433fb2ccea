"""A batch as a whole: order, independence, reproducibility, devices."""

import pytest
import torch

from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.pipeline import evaluation_inputs, training_inputs

ALONE = {
    "default": {"crop": 0.125, "mirrors": True},
    "geometry": {"crop": 0.25, "resized_crop": 0.3, "rotation": 15, "shift": 0.1, "mirrors": True},
    "colour": {"jitter": (0.4, 0.4, 0.4, 0.1)},
    "covering": {"cutout": 0.4, "erasing": 0.5},
}
MIXED = {"mixing": {"mixup": 0.4, "cutmix": 1.0}}
EVERYTHING = {key: value for options in (ALONE | MIXED).values() for key, value in options.items()}


def options_with_flips(options):
    return {"flip": None, **options} if "mirrors" in options else options


@pytest.mark.parametrize("options", ALONE.values(), ids=ALONE)
def test_an_image_depends_on_its_own_row_alone(options, images, labels, make_view):
    view = make_view(**options_with_flips(options))
    rows = epoch_draws(view.augmentation, 24, 5)
    together, _ = training_inputs(images, labels, rows, view, 6)
    some = torch.tensor([17, 3, 8])
    alone, _ = training_inputs(
        images[some], labels[some], {kind: row[some] for kind, row in rows.items()}, view, 6
    )
    assert torch.allclose(alone, together[some], atol=1e-4)


@pytest.mark.parametrize("options", (ALONE | MIXED).values(), ids=ALONE | MIXED)
def test_images_of_one_batch_are_changed_differently(options, make_view):
    view = make_view(**options_with_flips(options))
    images = torch.arange(192, dtype=torch.uint8).view(1, 3, 8, 8).repeat(24, 1, 1, 1)
    images[::2] = 255 - images[::2]
    result, _ = training_inputs(
        images, torch.arange(24) % 10, epoch_draws(view.augmentation, 24, 5), view, 8
    )
    assert len({image.numpy().tobytes() for image in result}) >= 12


def test_equal_draws_give_equal_bits_in_channels_last_and_stored_images_stay(
    images, labels, make_view
):
    view = make_view(**options_with_flips(EVERYTHING))
    before = images.clone()
    first, second = (
        training_inputs(images, labels, epoch_draws(view.augmentation, 24, 5), view, 11)
        for _ in range(2)
    )
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert first[0].dtype == torch.float32
    assert first[0].is_contiguous(memory_format=torch.channels_last)
    assert first[0].isfinite().all()
    assert evaluation_inputs(images, view, 11).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_sees_the_same_images_and_records_them_in_a_graph(images, labels, make_view):
    view = make_view(**options_with_flips(EVERYTHING), zoom=1.14)
    rows = epoch_draws(view.augmentation, 24, 5)
    expected, expected_targets = training_inputs(images, labels, rows, view, 11)
    there = [part.cuda() for part in (images, labels)]
    their_rows = {kind: row.cuda() for kind, row in rows.items()}
    training_inputs(*there, their_rows, view, 11)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result, targets = training_inputs(*there, their_rows, view, 11)
    graph.replay()
    torch.cuda.synchronize()
    close = (result.cpu() - expected).abs() < 0.1
    assert close.float().mean() > 0.999  # a box's edge may round to the next pixel
    assert torch.allclose(targets.cpu(), expected_targets, atol=1e-4)
