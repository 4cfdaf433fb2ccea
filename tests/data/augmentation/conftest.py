"""Views with nothing random but what a test asks for, and images to see them with."""

from collections.abc import Callable

import pytest
import torch

from scalesearch.config.recipe import Augmentation
from scalesearch.data.augmentation.geometry import InputTransform

MakeView = Callable[..., InputTransform]
OFF = {"crop": 0.0, "flip": False}


@pytest.fixture
def make_view() -> MakeView:
    """make_view(pixels, cutout=0.5): levels stay as they are, and only this is switched on."""

    def make(
        pixels: int = 8, *, zoom: float = 1.0, mirrors: bool = False, **options
    ) -> InputTransform:
        return InputTransform(
            pixels=pixels,
            mean=(0.0, 0.0, 0.0),
            std=(1 / 255,) * 3,
            flips=mirrors,
            num_classes=10,
            augmentation=Augmentation(**{**OFF, **options}),
            zoom=zoom,
        )

    return make


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randint(0, 256, (24, 3, 8, 8), dtype=torch.uint8, generator=generator)


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.arange(24) % 10
