"""timm's training, where timm imports: its network, loader, optimiser and the loop of its train.py.

github.com/huggingface/pytorch-image-models, 1.0. The loop is a script and no part of the package:
what its ``train_one_epoch`` does by default, on one device and without logging, is told here.
"""

import importlib
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import plain
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from scalesearch.architectures.cost import cost
from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Recipe
from scalesearch.data.dataset import Dataset

OPERATORS = ("nms", "qnms")
"""Of torchvision, which timm imports: they are missing where it was built for another torch.
Declared, they let it load; nothing here calls them."""


def missing() -> str:
    """Why timm does not import; nothing where it does."""
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in (*OPERATORS, None):
        try:
            importlib.import_module("timm")
        except (ImportError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
        else:
            _LIBRARIES.append(library)
            return ""
        if operator is None or f"torchvision::{operator}" not in reason:
            break
        library.define(f"{operator}(Tensor boxes) -> Tensor")  # type: ignore[no-untyped-call]
        for name in [name for name in sys.modules if name.split(".")[0] in ("timm", "torchvision")]:
            del sys.modules[name]
    return reason


_LIBRARIES: list[torch.library.Library] = []  # what they declare goes when they do


def b0(architecture: Architecture) -> nn.Module:
    """timm's own EfficientNet-B0 with the stem's stride and the classes of ``architecture``."""
    timm = importlib.import_module("timm")
    network: nn.Module = timm.create_model(
        "efficientnet_b0", num_classes=architecture.num_classes, in_chans=architecture.in_channels
    )
    stem = network.get_submodule("conv_stem")
    assert isinstance(stem, nn.Conv2d)
    stem.stride = (architecture.stem_stride, architecture.stem_stride)
    weights, wanted = sum(p.numel() for p in network.parameters()), cost(architecture).params
    if weights != wanted:
        raise SystemExit(f"timm's efficientnet_b0 has {weights:,} parameters, not {wanted:,}")
    return network


def loader(dataset: Dataset, recipe: Recipe, workers: int, device: torch.device) -> Any:
    """timm's own, which normalises on the device; the transform is made the same as everybody's."""
    data = importlib.import_module("timm.data")
    images = plain.PillowImages(dataset.train, plain.to_tensor)
    made = data.create_loader(
        images,
        input_size=(dataset.channels, dataset.pixels, dataset.pixels),
        batch_size=recipe.batch_size,
        is_training=True,
        mean=dataset.mean,
        std=dataset.std,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        device=device,
    )
    flip = [plain.random_horizontal_flip] if dataset.allows_flip else []
    padding = plain.random_crop(round(recipe.augmentation.crop * dataset.pixels))
    images.transform = plain.composed(padding, *flip, to_numpy)
    return made


def to_numpy(image: Image.Image) -> Any:
    """Bytes (C, H, W), as timm's transforms end where its loader normalises."""
    pixels = np.array(image, dtype=np.uint8)
    return np.atleast_3d(pixels).transpose(2, 0, 1)


def step(
    network: nn.Module, recipe: Recipe, device: torch.device, *, tuned: bool
) -> Callable[[Tensor, Tensor], Tensor]:
    """One step of its loop; ``tuned``: with ``--channels-last`` and, on CUDA, ``--amp`` (bf16)."""
    optim = importlib.import_module("timm.optim")
    layout = torch.channels_last if tuned else torch.contiguous_format
    network.to(device, memory_format=layout).train()  # type: ignore[call-overload]
    optimizer = optim.create_optimizer_v2(
        network,
        opt="sgd",  # with Nesterov's momentum, which timm calls sgd
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    amp: Callable[[], AbstractContextManager[Any]] = nullcontext
    if tuned and device.type == "cuda":
        amp = partial(torch.autocast, "cuda", torch.bfloat16)

    def act(images: Tensor, labels: Tensor) -> Tensor:
        images = images.contiguous(memory_format=layout)
        with amp():
            loss = F.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return act


def train_one_epoch(
    act: Callable[[Tensor, Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]]
) -> int:
    """The epoch's steps, each with its loss fetched, as train.py does; how many images."""
    meter = importlib.import_module("timm.utils").AverageMeter()
    for images, labels in batches:
        meter.update(act(images, labels).item(), len(labels))
    return int(meter.count)
