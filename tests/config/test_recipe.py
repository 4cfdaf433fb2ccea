from dataclasses import FrozenInstanceError, replace

import pytest
from refusals import refused

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
    "bad",
    [
        {"epochs": 0, "warmup_epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"momentum": 1.0},
        {"weight_decay": -1e-4},
        {"warmup_epochs": 4},
        {"label_smoothing": 1},
        {"dropout": -0.1},
        {"drop_connect": 1},
        {"norm_momentum": 0},
        {"threads": 0},
    ],
)
def test_a_value_out_of_range_is_named_with_its_rule(bad):
    with refused(ValueError):
        Recipe(**bad)


def test_all_problems_are_told_at_once():
    with refused(ValueError):
        Recipe(batch_size=0, momentum=1, threads=0)


def test_regularisation_begins_as_small_as_the_images_unless_it_is_said():
    assert ProgressiveResizing(start=0.5).regularisation_strength(1, 4) == 0.5
    assert ProgressiveResizing(start=0.5).regularisation_strength(4, 4) == 1
    assert ProgressiveResizing(start=0.5, regularisation=0.2).regularisation_strength(1, 4) == 0.2
    assert ProgressiveResizing().regularisation_strength(1, 4) == 1


def test_single_images_cannot_be_mixed():
    with refused(ValueError):
        Recipe(micro_batch=1, augmentation=Augmentation(mixup=0.2))
