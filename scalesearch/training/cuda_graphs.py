"""A training step as a CUDA graph: recorded once per shape, then replayed.

With small networks a GPU waits for Python, which launches hundreds of kernels per step. The graph
holds all of them, from the stored images to the averaged weights. Inputs that change from step to
step are copied into the tensors of the recording. Unlike compilation, recording takes no longer
than a step.
"""

import warnings
import weakref
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

from scalesearch.training.step import StepInputs, TrainingStep

WARM_UP_STEPS = 3
"""Ordinary steps before recording, in which libraries choose kernels and allocate memory."""

SYNC_WARNING = "called a synchronizing CUDA operation"
"""Part of PyTorch's warning for a step that waits for the device and so cannot be recorded."""

_IDLE_STREAMS: defaultdict[torch.device, list[torch.cuda.Stream]] = defaultdict(list)
"""Streams of deleted graphs, to be used again: each keeps cuBLAS memory until the process ends."""


def graphed_step(step: TrainingStep, device: torch.device) -> Callable[[StepInputs], Tensor]:
    """Return the step for a device: a CUDA graph where possible, else the step itself."""
    return _GraphedStep(step, device) if device.type == "cuda" and _is_recordable(step) else step


def _is_recordable(step: TrainingStep) -> bool:
    """Return whether a step can be recorded: its Python code reads no tensor value.

    With float16 it checks for overflow, augmentation policies read their draws, and several
    processes exchange statistics.
    """
    return (
        step.precision != "fp16"
        and step.transform.augmentation.policy == "none"
        and step.distributed.world_size == 1
    )


class _GraphedStep:
    """Step that runs a few times as it is, is then recorded, and is replayed.

    If a network cannot be recorded (custom code may read a value), every step runs as it is. This
    is found out before recording: PyTorch's allocator does not survive an aborted recording, and
    its next ``empty_cache`` would end the run.

    ``side_stream`` is the stream of these steps and of the recording. No other graph is recorded
    on it during this one's lifetime: a graph uses the cuBLAS memory of its stream
    (github.com/pytorch/pytorch/issues/193402), even when other graphs are replayed beside it.
    """

    def __init__(self, step: TrainingStep, device: torch.device) -> None:
        self.step = step
        self.device = device
        self.step_count = 0
        self.waits_for_device = False
        idle_streams = _IDLE_STREAMS[device]
        self.side_stream = idle_streams.pop() if idle_streams else torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        weakref.finalize(self, idle_streams.append, self.side_stream)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.static_inputs: StepInputs | None = None
        self.static_loss: Tensor | None = None

    def __call__(self, inputs: StepInputs) -> Tensor:
        self.step_count += 1
        if self.step_count < WARM_UP_STEPS:
            return self._run_on_side_stream(inputs)
        if self.step_count == WARM_UP_STEPS:
            return self._run_and_detect_waits(inputs)
        if self.step_count == WARM_UP_STEPS + 1 and not self.waits_for_device:
            self._record(inputs)
        if self.graph is None or self.static_inputs is None or self.static_loss is None:
            return self.step(inputs)
        for static, new in zip(self.static_inputs.tensors(), inputs.tensors(), strict=True):
            static.copy_(new, non_blocking=True)
        self.graph.replay()
        return self.static_loss.clone()  # the next replay overwrites it

    def _run_on_side_stream(self, inputs: StepInputs) -> Tensor:
        """Run a step on the stream of the recording."""
        current_stream = torch.cuda.current_stream(self.device)
        self.side_stream.wait_stream(current_stream)
        with torch.cuda.stream(self.side_stream):
            loss = self.step(inputs)
        current_stream.wait_stream(self.side_stream)
        return loss

    def _run_and_detect_waits(self, inputs: StepInputs) -> Tensor:
        """Run a step on the side stream, and note whether it waits for the device."""
        mode = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as recorded_warnings:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                loss = self._run_on_side_stream(inputs)
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        self.waits_for_device = any(
            SYNC_WARNING in str(warning.message) for warning in recorded_warnings
        )
        return loss

    def _record(self, inputs: StepInputs) -> None:
        """Record a step without executing it; if that fails, keep no graph."""
        static_inputs = StepInputs(
            inputs.images.clone(),
            inputs.labels.clone(),
            {kind: rows.clone() for kind, rows in inputs.draws.items()},
            inputs.ema_weight.clone(),
        )
        graph = torch.cuda.CUDAGraph()
        self.step.optimizer.zero_grad(set_to_none=True)  # gradients belong to the graph's memory
        try:
            # The outer block restores the stream if ``graph`` fails to do so.
            with (
                torch.cuda.stream(torch.cuda.current_stream(self.device)),
                torch.cuda.graph(graph, stream=self.side_stream, capture_error_mode="thread_local"),
            ):
                loss = self.step(static_inputs)
        except RuntimeError:  # out of memory, and other failures with many messages
            torch.cuda.synchronize(self.device)
            self.step.optimizer.zero_grad(set_to_none=True)
            return
        self.graph, self.static_inputs, self.static_loss = graph, static_inputs, loss
