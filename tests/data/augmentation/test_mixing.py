"""Mixup and cutmix."""

import pytest
import torch

from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.pipeline import training_inputs


def targets_of(labels, own):
    one_hot = torch.nn.functional.one_hot(labels, 10).float()
    return own[:, None] * one_hot + (1 - own[:, None]) * one_hot.roll(-1, 0)


def test_without_mixing_targets_are_the_labels(images, labels, make_view):
    _, targets = training_inputs(images, labels, {}, make_view(), 8)
    assert targets is labels


@pytest.mark.parametrize("options", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1}])
def test_targets_sum_to_one(options, images, labels, make_view):
    view = make_view(**options)
    _, targets = training_inputs(images, labels, epoch_draws(view.augmentation, 24, 0), view, 8)
    assert targets.shape == (24, 10)
    assert torch.allclose(targets.sum(1), torch.ones(24))
    assert (targets >= 0).all()


def test_mixup_is_the_mixture_of_images_and_of_targets(images, labels, make_view):
    own = torch.linspace(0, 1, 24)
    result, targets = training_inputs(images, labels, {"mixup": own}, make_view(mixup=1.0), 8)
    parts = own[:, None, None, None]
    expected = parts * images + (1 - parts) * images.roll(-1, 0)
    assert torch.allclose(result, expected, atol=1e-3)
    assert torch.allclose(targets, targets_of(labels, own))


def test_cutmix_pastes_its_area_of_the_next_image_and_targets_say_how_much(
    images, labels, make_view
):
    sides = torch.tensor([0, 2, 4, 6]).repeat(6)
    own = 1 - (sides / 8) ** 2 - 1e-4  # the box's side is rounded down
    rows = torch.stack([own, torch.full((24,), 0.5), torch.full((24,), 0.5)], dim=1)
    result, targets = training_inputs(images, labels, {"cutmix": rows}, make_view(cutmix=1.0), 8)
    for image, mine, theirs, side in zip(result, images, images.roll(-1, 0), sides, strict=True):
        expected = mine.float()
        box = slice(4 - side // 2, 4 + side // 2)
        expected[:, box, box] = theirs[:, box, box].float()
        assert torch.equal(image, expected)
    assert torch.allclose(targets, targets_of(labels, 1 - (sides / 8) ** 2))


def test_where_the_border_cuts_a_box_off_targets_tell_what_is_left(images, labels, make_view):
    rows = torch.tensor([[0.75 - 1e-4, 0.0, 0.0]]).expand(24, 3)
    _, targets = training_inputs(images, labels, {"cutmix": rows}, make_view(cutmix=1.0), 8)
    assert torch.allclose(targets, targets_of(labels, torch.full((24,), 1 - 4 / 64)))


def test_where_both_are_given_each_image_takes_one_by_a_coin(make_view):
    images = torch.randint(0, 256, (400, 3, 8, 8), dtype=torch.uint8)
    labels = torch.arange(400) % 10
    view = make_view(mixup=1.0, cutmix=1.0)
    rows = epoch_draws(view.augmentation, 400, 0)
    both, targets = training_inputs(images, labels, rows, view, 8)
    alone = {
        kind: training_inputs(images, labels, {kind: rows[kind]}, view, 8)
        for kind in ("mixup", "cutmix")
    }
    heads = rows["mixing"] < 0.5
    assert 160 < heads.sum() < 240
    for kind, taken in (("mixup", heads), ("cutmix", ~heads)):
        assert torch.equal(both[taken], alone[kind][0][taken])
        assert torch.allclose(targets[taken], alone[kind][1][taken])


@pytest.mark.parametrize("as_tensor", [False, True])
def test_strength_scales_the_others_part(as_tensor, images, labels, make_view):
    view = make_view(mixup=1.0, cutmix=1.0)
    rows = epoch_draws(view.augmentation, 24, 0)

    def mixed(strength, rows):
        strength = torch.tensor(strength) if as_tensor else strength
        return training_inputs(images, labels, rows, view, 8, strength)

    result, targets = mixed(0.0, rows)
    assert torch.equal(result, images.float())
    assert torch.equal(targets.argmax(1), labels)
    assert (targets.amax(1) == 1).all()
    _, half = mixed(0.5, {"mixup": rows["mixup"]})
    assert torch.allclose(half, targets_of(labels, 1 - (1 - rows["mixup"]) / 2))


def test_an_image_alone_is_mixed_with_itself(images, labels, make_view):
    view = make_view(mixup=1.0)
    result, targets = training_inputs(
        images[:1], labels[:1], epoch_draws(view.augmentation, 1, 0), view, 8
    )
    assert torch.allclose(result, images[:1].float())
    assert targets[0, labels[0]] == 1
