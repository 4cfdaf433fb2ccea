"""Who is timed: each way to train, to take a step and to make batches, as turns of equal work."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import ours
import plain
import timm_loop
import torch
from interleaved import Contender
from torch import nn
from torch.utils.data import DataLoader

from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Precision, Recipe
from scalesearch.data.dataset import Dataset, Split
from scalesearch.models.network import build_model

ENDLESS = 10_000
"""Epochs of the recipes that are timed: more than any benchmark takes."""

REPLICAS = 4

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class Setting:
    """What all contenders share.

    ``batches``: of a turn of the trainers and of the steppers; ``loader_batches``: of the loaders.
    ``workers``: of the plain loop's DataLoader. ``compiled``: the plain loop also compiled.
    ``timm``: whether it takes part. ``other_format``: ours also in mixed precision on a CPU, in
    float32 on CUDA.
    """

    architecture: Architecture
    recipe: Recipe
    device: torch.device
    batches: int
    loader_batches: int
    workers: int
    compiled: bool
    timm: bool
    other_format: bool

    def dataset(self, batches: int) -> Dataset:
        """Random images of the network's resolution; one to validate on, which we cannot help."""
        count, network = batches * self.recipe.batch_size, self.architecture
        generator = torch.Generator().manual_seed(0)
        shape = (count, network.in_channels, network.resolution, network.resolution)
        images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, network.num_classes, (count,), generator=generator)
        return Dataset(
            train=Split(images, labels),
            validation=Split(images[:1], labels[:1]),
            class_names=tuple(str(label) for label in range(network.num_classes)),
            fingerprint="random",
            allows_flip=True,
            mean=(0.5,) * network.in_channels,
            std=(0.25,) * network.in_channels,
        )


def usable_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def trainers(setting: Setting) -> Iterator[Contender]:
    """Whole epochs, from the images in memory to the weights."""
    dataset, device = setting.dataset(setting.batches), setting.device
    for side, name, recipe in _our_recipes(setting):
        job = ours.job(setting.architecture, recipe)
        yield Contender("trainer", side, name, ours.epochs(job, dataset, device))
    yield Contender("trainer", "plain", "plain loop", _plain_epochs(setting, dataset, False))
    if setting.compiled:
        turn = _plain_epochs(setting, dataset, True)
        yield Contender("trainer", "compiled", "plain loop, torch.compile", turn)
    if setting.timm:
        for name, tuned in _timms(setting):
            loader = timm_loop.loader(dataset, setting.recipe, setting.workers, device)
            act = timm_loop.step(_timm(setting), setting.recipe, device, tuned=tuned)
            turn = _timm_epochs(act, loader)
            yield Contender("trainer", "timm", f"{name} loop", turn)


def steppers(setting: Setting) -> Iterator[Contender]:
    """Steps on one batch that is on the device already; only ours augments it each time."""
    dataset, device = setting.dataset(1), setting.device
    for side, name, recipe in _our_recipes(setting):
        job = ours.job(setting.architecture, recipe)
        turn = ours.steps(job, dataset, device, setting.batches)
        yield Contender("step", side, f"{name}, augmentation included", turn)
    images, labels = next(iter(_plain_loader(setting, dataset, 0)))
    images, labels = images.to(device), labels.to(device)
    yield Contender("step", "plain", "plain step", _plain_steps(setting, images, labels, False))
    if setting.compiled:
        turn = _plain_steps(setting, images, labels, True)
        yield Contender("step", "compiled", "plain step, torch.compile", turn)
    if setting.timm:
        for name, tuned in _timms(setting):
            act = timm_loop.step(_timm(setting), setting.recipe, device, tuned=tuned)
            turn = _repeated(act, images, labels, setting.batches)
            yield Contender("step", "timm", f"{name} step", turn)


def replicas(setting: Setting) -> Iterator[Contender]:
    """Seeds of one network: all together, and one after the other."""
    dataset, device = setting.dataset(setting.batches), setting.device
    jobs = [ours.job(setting.architecture, setting.recipe, seed) for seed in range(REPLICAS)]
    turn = ours.together(jobs, dataset, device)
    yield Contender("replicas", "ours", f"{REPLICAS} seeds together", turn)
    turn = ours.in_turn(jobs, dataset, device)
    yield Contender("replicas", "in_turn", f"{REPLICAS} seeds in turn", turn)


def loaders(setting: Setting) -> Iterator[Contender]:
    """Batches alone, on the device and ready for the network; on a CPU one core for each."""
    dataset, device, workers = setting.dataset(setting.loader_batches), setting.device, 0
    job = ours.job(setting.architecture, setting.recipe)
    if device.type == "cuda":
        workers = setting.workers
    turn = _on_threads(1, ours.batches(job, dataset, device))
    yield Contender("loader", "ours", "ours, resident", turn)
    turn = _on_threads(1, _drained(_plain_loader(setting, dataset, workers), device))
    yield Contender("loader", "plain", f"DataLoader and Pillow{_workers(workers)}", turn)
    if setting.timm:
        loader = timm_loop.loader(dataset, setting.recipe, workers, device)
        turn = _on_threads(1, _drained(loader, device))
        yield Contender("loader", "timm", f"timm's loader{_workers(workers)}", turn)


def loaders_on_all_cores(setting: Setting) -> Iterator[Contender]:
    """The same on a CPU with all threads, against as many worker processes."""
    threads, device = setting.recipe.threads, setting.device
    if device.type == "cuda" or threads == 1:
        return
    dataset, group = setting.dataset(setting.loader_batches), "loader_all_cores"
    turn = ours.batches(ours.job(setting.architecture, setting.recipe), dataset, device)
    yield Contender(group, "ours", f"ours, resident, {threads} threads", turn)
    turn = _drained(_plain_loader(setting, dataset, threads), device)
    yield Contender(group, "plain", f"DataLoader and Pillow{_workers(threads)}", turn)


def _workers(count: int) -> str:
    return f", {count} workers" if count else ""


def _on_threads(threads: int, turn: Callable[[], int]) -> Callable[[], int]:
    def limited() -> int:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return turn()
        finally:
            torch.set_num_threads(before)

    return limited


def _our_recipes(setting: Setting) -> Iterator[tuple[str, str, Recipe]]:
    """Side, name and recipe: in the device's own number format first, then in another."""
    yield "ours", "ours", setting.recipe
    other: Precision = "fp32" if setting.device.type == "cuda" else "mixed"
    if setting.other_format:
        yield f"ours_{other}", f"ours, {other}", replace(setting.recipe, precision=other)


def _timms(setting: Setting) -> Sequence[tuple[str, bool]]:
    best = "channels_last, amp" if setting.device.type == "cuda" else "channels_last"
    return ("timm's", False), (f"timm's ({best})", True)


def _timm(setting: Setting) -> nn.Module:
    return timm_loop.b0(setting.architecture)


def _plain_network(setting: Setting, compiled: bool) -> nn.Module:
    """The tutorials' network with our weights, so that it must give what ours gives."""
    network = plain.EfficientNet(setting.architecture, setting.recipe.norm_momentum)
    plain.copy_weights(build_model(setting.architecture), network)
    network.to(setting.device)
    return torch.compile(network) if compiled else network  # type: ignore[return-value]


def _plain_loader(setting: Setting, dataset: Dataset, workers: int) -> plain.Loader:
    crop = setting.recipe.augmentation.crop
    return DataLoader(
        plain.PillowImages(dataset.train, plain.training_transform(dataset, crop)),
        batch_size=setting.recipe.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=setting.device.type == "cuda",
    )


def _plain_epochs(setting: Setting, dataset: Dataset, compiled: bool) -> Callable[[], int]:
    network = _plain_network(setting, compiled)
    loader = _plain_loader(setting, dataset, setting.workers)
    optimizer = plain.optimiser(network, setting.recipe)
    scheduler = plain.scheduler(optimizer, setting.recipe, len(loader))
    criterion = nn.CrossEntropyLoss(label_smoothing=setting.recipe.label_smoothing)

    def turn() -> int:
        _, _, images = plain.train_one_epoch(
            network, loader, criterion, optimizer, scheduler, setting.device
        )
        return images

    return turn


def _plain_steps(
    setting: Setting, images: torch.Tensor, labels: torch.Tensor, compiled: bool
) -> Callable[[], int]:
    network = _plain_network(setting, compiled).train()
    optimizer = plain.optimiser(network, setting.recipe)
    criterion = nn.CrossEntropyLoss(label_smoothing=setting.recipe.label_smoothing)

    def act(images: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        criterion(network(images), labels).backward()
        optimizer.step()

    return _repeated(act, images, labels, setting.batches)


def _timm_epochs(
    act: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], batches: Batches
) -> Callable[[], int]:
    return lambda: timm_loop.train_one_epoch(act, batches)


def _repeated(
    act: Callable[[torch.Tensor, torch.Tensor], object],
    images: torch.Tensor,
    labels: torch.Tensor,
    times: int,
) -> Callable[[], int]:
    def turn() -> int:
        for _ in range(times):
            act(images, labels)
        return times * len(labels)

    return turn


def _drained(batches: Batches, device: torch.device) -> Callable[[], int]:
    def turn() -> int:
        seen = 0
        for images, labels in batches:
            images.to(device, non_blocking=True)
            seen += len(labels)
        return seen

    return turn
