"""Training as tutorials write it: the alternative that every reader knows.

Float32 in PyTorch's default layout, a ``DataLoader`` over Pillow images with a transform for each
image, a step, ``loss.item()``. Nothing here is slower than it would be in the tutorials: images
are in memory and decoded, and transforms do what torchvision's of the same names do (which is not
needed, since PyPI's does not import beside every torch).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Augmentation, Recipe
from scalesearch.data.dataset import Dataset as Images
from scalesearch.data.dataset import Split

Transform = Callable[[Image.Image], Any]
Loader = DataLoader[Any]  # of images and labels, both tensors


class SqueezeExcitation(nn.Module):
    """Channels weighed by a gate computed from their means."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = nn.SiLU()
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gates = self.expand(self.activation(self.reduce(self.pool(x))))
        return x * torch.sigmoid(gates)


class MBConv(nn.Module):
    """Expand, depthwise, squeeze-and-excitation, project."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = [conv(inputs, hidden, 1)] if expansion > 1 else []
        layers += [
            conv(hidden, hidden, kernel, stride, groups=hidden),
            SqueezeExcitation(hidden, max(1, inputs // 4)),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3),
        ]
        self.branch = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x)
        return x + y if self.residual else y


class EfficientNet(nn.Module):
    """The paper's network (arXiv:1905.11946), of a baseline's stages."""

    def __init__(self, architecture: Architecture, norm_momentum: float) -> None:
        super().__init__()
        self.stem = conv(architecture.in_channels, architecture.stem, 3, architecture.stem_stride)
        blocks: list[nn.Module] = []
        for inputs, stage in architecture.transitions():
            for index in range(stage.repeats):
                width, stride = (inputs, stage.stride) if index == 0 else (stage.width, 1)
                expansion = int(stage.expansion)
                blocks.append(MBConv(width, stage.width, stage.kernel, stride, expansion))
        self.blocks = nn.Sequential(*blocks)
        self.head = conv(architecture.stages[-1].width, architecture.head, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(architecture.head, architecture.num_classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = norm_momentum

    def forward(self, images: Tensor) -> Tensor:
        features = self.pool(self.head(self.blocks(self.stem(images))))
        logits: Tensor = self.classifier(torch.flatten(features, 1))
        return logits


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3),
        nn.SiLU(),
    )


class PillowImages(Dataset[tuple[Any, int]]):
    """Images that are in memory, as ``torchvision.datasets.CIFAR10`` holds them."""

    def __init__(self, split: Split, transform: Transform) -> None:
        images_NCHW, _ = next(split.batches([torch.arange(len(split))], "cpu"))
        images = images_NCHW.permute(0, 2, 3, 1).contiguous().numpy()
        self.images = images[..., 0] if images.shape[3] == 1 else images  # Pillow's grey is flat
        self.labels: list[int] = split.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def composed(*parts: Callable[[Any], Any]) -> Transform:
    def transform(image: Any) -> Any:
        for part in parts:
            image = part(image)
        return image

    return transform


def training_transform(dataset: Images, crop: float) -> Transform:
    """Random crop from the padded image, flip where that keeps an image's meaning, normalise."""
    flip = [random_horizontal_flip] if dataset.allows_flip else []
    padding = random_crop(round(crop * dataset.pixels))
    return composed(padding, *flip, to_tensor, normalise(dataset.mean, dataset.std))


def evaluation_transform(dataset: Images) -> Transform:
    return composed(to_tensor, normalise(dataset.mean, dataset.std))


def random_crop(padding: int) -> Callable[[Image.Image], Image.Image]:
    """A window of the image's own size, from the image padded by reflection."""

    def crop(image: Image.Image) -> Image.Image:
        if padding == 0:
            return image
        side = image.width
        edges = ((padding, padding), (padding, padding), (0, 0))
        pixels = np.asarray(image)
        padded = Image.fromarray(np.pad(pixels, edges[: pixels.ndim], mode="reflect"))
        top = int(torch.randint(0, 2 * padding + 1, (1,)).item())
        left = int(torch.randint(0, 2 * padding + 1, (1,)).item())
        return padded.crop((left, top, left + side, top + side))

    return crop


def random_horizontal_flip(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if torch.rand(1) < 0.5 else image


def to_tensor(image: Image.Image) -> Tensor:
    """Fractions of full brightness, (C, H, W)."""
    pixels_HWC = torch.from_numpy(np.array(image)).view(image.height, image.width, -1)
    return pixels_HWC.permute(2, 0, 1).contiguous().float().div(255)


def normalise(mean: Sequence[float], std: Sequence[float]) -> Callable[[Tensor], Tensor]:
    def normalised(image: Tensor) -> Tensor:
        center = torch.as_tensor(mean, dtype=image.dtype).view(-1, 1, 1)
        spread = torch.as_tensor(std, dtype=image.dtype).view(-1, 1, 1)
        return image.sub_(center).div_(spread)

    return normalised


def optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """PyTorch's, as it comes; biases and normalisation are spared by the decay, as in the recipe.

    Raises ValueError for a recipe that asks for what this loop does not have.
    """
    can = Recipe(
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        warmup_epochs=recipe.warmup_epochs,
        label_smoothing=recipe.label_smoothing,
        norm_momentum=recipe.norm_momentum,
        initialisation=recipe.initialisation,
        augmentation=Augmentation(crop=recipe.augmentation.crop),
        threads=recipe.threads,
    )
    if recipe != can:
        raise ValueError(f"need SGD on a cosine with crop and flip only, got {recipe}")
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=True)


def scheduler(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Warm-up and cosine, a step at a time."""
    warmup, end = recipe.warmup_epochs * steps_per_epoch, recipe.epochs * steps_per_epoch

    def factor(step: int) -> float:
        if step + 1 <= warmup:
            return (step + 1) / warmup
        progress = max(0.0, step - warmup) / (end - warmup)
        return 0.5 * (1 + math.cos(math.pi * progress))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Fill a network from another of the same layers in the same order.

    Raises ValueError where they are not the same.
    """
    pairs = ([*network.parameters(), *network.buffers()] for network in (source, target))
    for given, taken in zip(*pairs, strict=True):
        if given.shape != taken.shape:
            raise ValueError(f"need equal layers, got {given.shape} for {taken.shape}")
        taken.copy_(given)


def train_one_epoch(
    network: nn.Module,
    loader: Loader,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    device: torch.device,
) -> tuple[float, float, int]:
    """Mean loss, accuracy, and how many images were seen."""
    network.train()
    running_loss, correct, seen = 0.0, 0, 0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        outputs = network(images)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        running_loss += loss.item() * len(labels)
        correct += int((outputs.argmax(1) == labels).sum().item())
        seen += len(labels)
    return running_loss / seen, correct / seen, seen


@torch.no_grad()
def accuracy(network: nn.Module, loader: Loader, device: torch.device) -> float:
    network.eval()
    correct, seen = 0, 0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        correct += int((network(images).argmax(1) == labels).sum().item())
        seen += len(labels)
    return correct / seen
