"""Networks of other libraries."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def library_networks(
    torchvision: ModuleType, timm: ModuleType
) -> dict[str, Callable[..., nn.Module]]:
    """Functions by layout that build the EfficientNet of a number with its library."""
    from efficientnet_pytorch import EfficientNet

    return {
        "torchvision": lambda number, **options: getattr(
            torchvision.models, f"efficientnet_b{number}"
        )(**options),
        "timm": lambda number, **options: timm.create_model(f"efficientnet_b{number}", **options),
        "timm-tf": lambda number, **options: timm.create_model(
            f"tf_efficientnet_b{number}", **options
        ),
        "lukemelas": lambda number, **options: EfficientNet.from_name(
            f"efficientnet-b{number}", **options
        ),
    }
