from dataclasses import FrozenInstanceError, replace

import pytest

from scalesearch.config.reading import PRESETS, preset
from scalesearch.config.recipe import Augmentation, ProgressiveResizing, Recipe


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_changed_in_a_part_and_keeps_the_rest(name):
    named = preset(name)
    longer = replace(named, epochs=named.epochs + 6)
    assert longer != named
    assert replace(longer, epochs=named.epochs) == named


def test_a_recipe_does_not_change():
    with pytest.raises(FrozenInstanceError):
        Recipe().epochs = 4


def test_equal_recipes_are_one_key():
    assert len({Recipe(), Recipe(epochs=3), Recipe(epochs=4)}) == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"epochs": 0, "warmup_epochs": 0}, "epochs: need at least 1, got 0"),
        ({"batch_size": 0}, "batch_size: need at least 1, got 0"),
        ({"learning_rate": 0.0}, r"learning_rate: need a rate above 0, got 0\.0"),
        ({"momentum": 1.0}, r"momentum: need 0 <= momentum < 1, got 1\.0"),
        ({"weight_decay": -1e-4}, r"weight_decay: need at least 0, got -0\.0001"),
        ({"warmup_epochs": 4}, r"warmup_epochs: need 0 to epochs \(3\), got 4"),
        ({"label_smoothing": 1}, "label_smoothing: need 0 <= label_smoothing < 1, got 1"),
        ({"dropout": -0.1}, r"dropout: need 0 <= dropout < 1, got -0\.1"),
        ({"drop_connect": 1}, "drop_connect: need 0 <= drop_connect < 1, got 1"),
        ({"norm_momentum": 0}, "norm_momentum: need 0 < norm_momentum <= 1, got 0"),
        ({"threads": 0}, "threads: need at least 1, got 0"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_rule(bad, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Recipe(**bad)


def test_all_problems_are_told_at_once():
    with pytest.raises(ValueError, match=r"batch_size: .*\nmomentum: .*\nthreads: "):
        Recipe(batch_size=0, momentum=1, threads=0)


def test_regularisation_begins_as_small_as_the_images_unless_it_is_said():
    assert ProgressiveResizing(start=0.5).regularisation_strength(1, 4) == 0.5
    assert ProgressiveResizing(start=0.5).regularisation_strength(4, 4) == 1
    assert ProgressiveResizing(start=0.5, regularisation=0.2).regularisation_strength(1, 4) == 0.2
    assert ProgressiveResizing().regularisation_strength(1, 4) == 1


def test_single_images_cannot_be_mixed():
    with pytest.raises(ValueError, match="micro_batch: need 2 images to mix with one another"):
        Recipe(micro_batch=1, augmentation=Augmentation(mixup=0.2))
