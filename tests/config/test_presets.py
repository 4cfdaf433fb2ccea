"""The named recipes, against the settings they stand for."""

from dataclasses import asdict
from typing import Any

import pytest

from scalesearch.config.reading import PRESETS, preset, preset_document
from scalesearch.config.recipe import Augmentation, ProgressiveResizing, Recipe

SETTINGS: dict[str, dict[str, Any]] = {
    "fast": {
        "epochs": 3,
        "batch_size": 32,
        "optimizer": "sgd",
        "learning_rate": 0.05,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
        "schedule": "cosine",
        "warmup_epochs": 0.5,
        "label_smoothing": 0.1,
        "initialisation": "fan_in",
        "augmentation": Augmentation(crop=0.125, flip=None),
    },
    # arXiv:1905.11946, section 5, and github.com/tensorflow/tpu
    "paper": {
        "epochs": 350,
        "optimizer": "rmsprop",
        "rmsprop_decay": 0.9,
        "momentum": 0.9,
        "optimizer_eps": 1e-3,
        "weight_decay": 1e-5,
        "learning_rate": 0.016,
        "learning_rate_batch": 256,
        "schedule": "step",
        "decay_rate": 0.97,
        "decay_epochs": 2.4,
        "warmup_epochs": 5,
        "ema": 0.9999,
        "label_smoothing": 0.1,
        "dropout": 0.2,
        "drop_connect": 0.2,
        "regularisation": "scaled",
        "norm_momentum": 0.01,
        "initialisation": "tf",
        "residual": "tf",
        "augmentation": Augmentation(
            crop=0, resized_crop=0.08, policy="autoaugment", normalisation="imagenet"
        ),
        "patience": None,
    },
    "adamw-cosine": {
        "epochs": 350,
        "optimizer": "adamw",
        "learning_rate": 0.016,
        "weight_decay": 1e-5,
        "schedule": "cosine",
        "label_smoothing": 0.1,
        "augmentation": Augmentation(
            crop=0,
            resized_crop=0.08,
            flip=True,
            jitter=(0.4, 0.4, 0.4, 0.1),
            policy="autoaugment",
            erasing=0.25,
            normalisation="imagenet",
        ),
        "progressive": ProgressiveResizing(start=128 / 224, shape="linear"),
    },
    "cifar-adam": {
        "epochs": 50,
        "batch_size": 32,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 0,
        "schedule": "plateau",
        "decay_rate": 0.5,
        "plateau_patience": 2,
        "warmup_epochs": 0,
        "patience": 5,
        "label_smoothing": 0,
        "augmentation": Augmentation(crop=0, flip=True, rotation=15, shift=0.1),
    },
    "mnist-sgd": {
        "epochs": 10,
        "batch_size": 50,
        "optimizer": "sgd",
        "momentum": 0.8,
        "nesterov": False,
        "learning_rate": 0.01,
        "weight_decay": 0,
        "schedule": "constant",
        "warmup_epochs": 0,
        "label_smoothing": 0,
        "augmentation": Augmentation(crop=0, flip=False),
    },
}


def test_every_preset_is_told_here() -> None:
    assert set(PRESETS) == set(SETTINGS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_settings_it_stands_for(name: str) -> None:
    recipe = preset(name)
    assert {field: getattr(recipe, field) for field in SETTINGS[name]} == SETTINGS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_only_what_a_recipe_has(name: str) -> None:
    assert preset_document(name).keys() <= asdict(Recipe()).keys()


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"adamw-cosine"}))
def test_images_grow_in_the_progressive_recipe_alone(name: str) -> None:
    assert preset(name).progressive == ProgressiveResizing()


def test_the_progressive_recipe_grows_from_128_to_224_pixels() -> None:
    sides = [preset("adamw-cosine").progressive.resolution(224, epoch, 350) for epoch in (1, 350)]
    assert sides == [128, 224]
