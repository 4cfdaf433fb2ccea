"""CUDA graphs emulated on the CPU, to test recorded training steps without a GPU.

A recording logs the operators of a step. A replay calls them again with the same tensors and the
same constants, so a Python number that should change from step to step keeps its recorded value,
as in a real graph. Operators that read a tensor's value are refused while recording.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from scalesearch.config.recipe import Recipe
from scalesearch.models import cpu_kernels, layers
from scalesearch.training import cuda_graphs, optimisers, trainer
from scalesearch.training.schedules import peak_learning_rate
from scalesearch.training.step import StepInputs, TrainingStep

ALLOCATIONS = tuple(
    f"aten.{name}."
    for name in ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided")
)
UNRECORDED = ("prim.device", "profiler.")
READS_VALUES = ("_local_scalar_dense", "aten.nonzero", "masked_select", "aten.equal.")


@dataclass
class Counts:
    """What the emulator has done."""

    graphs: int = 0
    replays: int = 0


def emulate_cuda_graphs(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Record and replay the steps of all runs on the CPU until the test ends."""
    counts, sync_mode = Counts(), _SyncMode()
    for module in (cpu_kernels, layers):
        monkeypatch.setattr(module, "is_training_on_cpu", lambda *arguments: False)
    stream = _Stream()
    replacements: dict[str, Any] = {
        "Stream": _Stream,
        "current_stream": lambda *arguments: stream,
        "stream": lambda stream: contextlib.nullcontext(),
        "CUDAGraph": lambda: _Graph(counts),
        "graph": _Recording,
        "synchronize": lambda *arguments: None,
        "get_sync_debug_mode": lambda: sync_mode.mode,
        "set_sync_debug_mode": sync_mode.set,
    }
    for name, replacement in replacements.items():
        monkeypatch.setattr(torch.cuda, name, replacement)
    monkeypatch.setattr(torch.Tensor, "item", sync_mode.watched(torch.Tensor.item))
    monkeypatch.setattr(cuda_graphs._GraphedStep, "_record", _recording_that_undoes_the_step)
    monkeypatch.setattr(trainer, "make_optimizer", _capturable_optimizer)
    monkeypatch.setattr(trainer, "graphed_step", _graphed_step_on_cpu)
    return counts


def _graphed_step_on_cpu(
    step: TrainingStep, device: torch.device
) -> Callable[[StepInputs], Tensor]:
    return cuda_graphs._GraphedStep(step, device) if cuda_graphs._is_recordable(step) else step


def _capturable_optimizer(network: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Create the optimiser as on CUDA, with a tensor as its rate."""
    groups = optimisers._parameter_groups(network.parameters(), recipe)
    rate = torch.tensor(peak_learning_rate(recipe))
    if recipe.transfer is not None and recipe.transfer.body_rate != 1:
        groups = list(
            optimisers._slower_body_groups(network, recipe, recipe.transfer.body_rate, rate)
        )
    optimizer = optimisers._optimizer_by_name(groups, recipe, rate, True)
    optimizer.register_load_state_dict_post_hook(optimisers._move_rate_to_device)
    return optimizer


_record_on_device = cuda_graphs._GraphedStep._record


def _recording_that_undoes_the_step(graphed: cuda_graphs._GraphedStep, inputs: StepInputs) -> None:
    """Record a step and restore all tensors, because here a recording executes."""
    tensors = list(_changed_tensors(graphed.step))
    values, rng_state = [tensor.detach().clone() for tensor in tensors], torch.get_rng_state()
    _record_on_device(graphed, inputs)
    with torch.no_grad():
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)
    torch.set_rng_state(rng_state)


def _changed_tensors(step: TrainingStep) -> Iterator[Tensor]:
    yield from step.unwrapped.parameters()
    yield from step.unwrapped.buffers()
    for state in step.optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, Tensor))
    if step.ema is not None:
        yield from step.ema.state_dict().values()
    for group in step.optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            yield group["lr"]


class _Stream:
    """A stream that does everything at once."""

    def __init__(self, device: Any = None) -> None:
        self.device = device

    def wait_stream(self, other: Any) -> None:
        """Wait for nothing."""


@dataclass
class _SyncMode:
    """The debug mode in which reading a value warns, as ``Tensor.item`` does on CUDA."""

    mode: Any = 0

    def set(self, mode: Any) -> None:
        self.mode = mode

    def watched(self, item: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
        def watched_item(tensor: Tensor) -> Any:
            if self.mode in ("warn", 1):
                warnings.warn(cuda_graphs.SYNC_WARNING, stacklevel=2)
            return item(tensor)

        return watched_item


@dataclass
class _Graph:
    counts: Counts
    log: list[tuple[Any, Any, Any, Any]] = field(default_factory=list)

    def replay(self) -> None:
        """Call the recorded operators again; write their results into the recorded tensors."""
        self.counts.replays += 1
        with torch.no_grad(), torch._C._AutoDispatchBelowAutograd():
            for function, arguments, options, outputs in self.log:
                if not str(function).startswith(ALLOCATIONS):
                    _call_again(function, arguments, options, outputs)


def _call_again(function: Any, arguments: Any, options: Any, recorded: Any) -> None:
    outputs = _tensors(recorded)
    input_storages = {_storage(tensor) for tensor in _tensors((arguments, options))}
    writes = any(
        argument.alias_info is not None and argument.alias_info.is_write
        for argument in function._schema.arguments
    )
    if not writes and outputs and all(_storage(output) in input_storages for output in outputs):
        return  # a view
    new_outputs = _tensors(function(*arguments, **options))
    for output, new in zip(outputs, new_outputs, strict=True):
        if output is not new and _storage(output) not in input_storages and output.numel():
            assert (output.shape, output.dtype) == (new.shape, new.dtype)
            output.copy_(new)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


class _Recording(TorchDispatchMode):
    """Stands in for ``torch.cuda.graph``: logs every operator within the block."""

    def __init__(self, graph: _Graph, stream: Any = None, capture_error_mode: str = "") -> None:
        super().__init__()
        self.graph = graph

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if any(part in name for part in READS_VALUES):
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        outputs = func(*args, **(kwargs or {}))
        if not name.startswith(UNRECORDED):
            self.graph.log.append((func, args, kwargs or {}, outputs))
        return outputs

    def __exit__(self, error_type: Any, error: Any, traceback: Any) -> None:
        super().__exit__(error_type, error, traceback)
        if error_type is None:
            self.graph.counts.graphs += 1
