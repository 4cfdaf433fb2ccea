"""One network trained by several processes, each on a device of its own.

The rule: W processes equal one process with ``micro_batch = batch_size / W``. Each process takes
its part of every batch and normalises by that part alone. Gradients are averaged, and the running
statistics of batch norm become those of one process that sees the parts in turn. Only dropout
draws differ, because each process has its own stream.

``torchrun --nproc-per-node 2 -m scalesearch train ...`` starts the processes and gives each its
rank in environment variables.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from scalesearch.config.recipe import Recipe
from scalesearch.errors import SearchError

T = TypeVar("T")

TORCHRUN_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, slots=True)
class DistributedContext:
    """Rank of this process among the processes that train one network."""

    rank: int = 0
    """Number of the process over all machines, from 0."""
    world_size: int = 1
    """Number of processes."""
    local_rank: int = 0
    """Number of the process on this machine, from 0."""

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ValueError(
                f"need 0 <= rank < world_size, got rank={self.rank}, world_size={self.world_size}"
            )

    @property
    def is_main_process(self) -> bool:
        """True if this is the process that prints and writes."""
        return self.rank == 0

    def own_device(self, name: str) -> str:
        """Return the device of this process: ``cuda`` becomes for example ``cuda:1``."""
        return (
            f"cuda:{self.local_rank}" if self.world_size > 1 and name.startswith("cuda") else name
        )


SINGLE_PROCESS = DistributedContext()


@contextmanager
def join_process_group(
    device: str, environment: Mapping[str, str] = os.environ
) -> Iterator[DistributedContext]:
    """Join torchrun's process group within the block; SINGLE_PROCESS without torchrun.

    ``device``: ``cpu`` (gloo) or ``cuda`` (NCCL). Raises SearchError if the other processes cannot
    be reached.
    """
    if not all(name in environment for name in TORCHRUN_VARIABLES):
        yield SINGLE_PROCESS
        return
    rank, size, local = (int(environment[name]) for name in TORCHRUN_VARIABLES[:3])
    context = DistributedContext(rank, size, local)
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(local)
    try:
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            rank=rank,
            world_size=size,
            device_id=torch.device(context.own_device(device)) if cuda else None,
        )
    except dist.DistError as error:
        raise SearchError(
            f"torchrun: process {rank} of {size} cannot reach the others at "
            f"{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}: {error}"
        ) from error
    try:
        yield context
    finally:
        dist.destroy_process_group()


def distributed_recipe(recipe: Recipe, distributed: DistributedContext) -> Recipe:
    """Limit the recipe's micro-batch to one process's part of a batch.

    The result identifies the run. Raises SearchError if a batch cannot be divided evenly.
    """
    if recipe.batch_size % distributed.world_size:
        raise SearchError(
            f"recipe.batch_size: need a multiple of the {distributed.world_size} processes, "
            f"got {recipe.batch_size}"
        )
    images_per_process = recipe.batch_size // distributed.world_size
    micro = recipe.micro_batch or recipe.batch_size
    if distributed.world_size > 1 and images_per_process % min(micro, images_per_process):
        raise SearchError(
            f"recipe.micro_batch: need a divisor of the {images_per_process} images of one "
            f"process, got {micro}"
        )
    return (
        replace(recipe, micro_batch=min(micro, images_per_process))
        if distributed.world_size > 1
        else recipe
    )


def rows_of_process(rows_B: Tensor, distributed: DistributedContext) -> Tensor:
    """Return this process's rows of a batch: the ``rank``-th of equal parts.

    Raises SearchError if the parts would not be equal.
    """
    if len(rows_B) % distributed.world_size:
        raise SearchError(
            f"torchrun: need batches of a multiple of {distributed.world_size} images, the number "
            f"of processes, got {len(rows_B)}; train on more images or with fewer processes"
        )
    return rows_B.chunk(distributed.world_size)[distributed.rank]


def wrap_ddp(network: nn.Module, distributed: DistributedContext) -> nn.Module:
    """Wrap the network in DDP, which averages its gradients over the processes.

    The parameters are shared with the network itself, which is still the one to evaluate and save.
    """
    if distributed.world_size == 1:
        return network
    ddp_network = DistributedDataParallel(network)
    # By attribute: the argument is deprecated in new versions, its successor unknown in old ones.
    # Broadcasting would replace all statistics by rank 0's (see sync_batch_norm_statistics).
    ddp_network.broadcast_buffers = False
    return ddp_network


@contextmanager
def accumulate_gradients(network: nn.Module, is_last: bool) -> Iterator[None]:
    """Run a micro-batch's passes; exchange gradients if ``is_last``."""
    if not isinstance(network, DistributedDataParallel):
        yield
        return
    with warnings.catch_warnings(), nullcontext() if is_last else network.no_sync():
        # A depthwise filter's single channel may have any stride; the memory layout is the same.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        yield


@contextmanager
def sync_batch_norm_statistics(
    network: nn.Module, distributed: DistributedContext, passes: int = 1
) -> Iterator[None]:
    """Combine running statistics after the ``passes`` forward passes within the block.

    The result equals that of one process that sees the parts of all processes in turn.

    One pass moves a statistic r to d*r + (1 - d)*s with d = 1 - momentum, so k passes to
    d^k * r + own, where ``own`` is the contribution of this process's images. W processes in turn
    give d^(kW) * r + the sum over ranks i of d^(k(W - 1 - i)) * own_i.
    """
    norms = _training_batch_norms(network) if distributed.world_size > 1 else []
    previous = [statistic.clone() for norm in norms for statistic in _running_statistics(norm)]
    yield
    if not norms:
        return
    current = [statistic for norm in norms for statistic in _running_statistics(norm)]
    decays = [(1 - _momentum(norm)) ** passes for norm in norms for _ in _running_statistics(norm)]
    ranks_after = distributed.world_size - 1 - distributed.rank
    with torch.no_grad():
        contributions = [
            decay**ranks_after * (now - decay * was)
            for now, was, decay in zip(current, previous, decays, strict=True)
        ]
        flat = torch.cat(contributions)
        dist.all_reduce(flat)
        sums = torch.split(flat, [len(statistic) for statistic in current])
        for now, was, decay, total in zip(current, previous, decays, sums, strict=True):
            now.copy_(decay**distributed.world_size * was + total)


def mean_across_processes(value: Tensor | float, distributed: DistributedContext) -> float:
    """Return the mean over processes, with equal bits in all, so all decide alike."""
    if distributed.world_size == 1:
        return float(value)
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    total = torch.as_tensor(value, dtype=torch.float64).detach().to(device, copy=True)
    dist.all_reduce(total)
    return float(total) / distributed.world_size


def run_on_main_process(function: Callable[[], T], distributed: DistributedContext) -> T | None:
    """Run the function in the main process only; the others wait, and return None.

    If it fails, the other processes raise SearchError instead of waiting forever.
    """
    result: T | None = None
    error: Exception | None = None
    if distributed.is_main_process:
        try:
            result = function()
        except Exception as failure:
            error = failure
    any_failed = mean_across_processes(float(error is not None), distributed) > 0
    if error is not None:
        raise error
    if any_failed:
        raise SearchError("torchrun: the main process failed; see its error message")
    return result


def _training_batch_norms(network: nn.Module) -> list[_BatchNorm]:
    return [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm)
        and module.training  # statistics of a frozen norm stay bit for bit
        and module.running_mean is not None
        and module.momentum is not None  # a plain average of all batches stays per process
    ]


def _momentum(norm: _BatchNorm) -> float:
    return 0.0 if norm.momentum is None else norm.momentum


def _running_statistics(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise TypeError(f"need a norm with running statistics, got {norm}")
    return mean, variance
