"""A step as one CUDA graph: recorded once for each shape, then launched by a single call.

Small networks leave a GPU waiting for Python, which launches hundreds of kernels a step. The graph
holds them all, from the stored images to the averaged weights; what differs from step to step is
copied into the tensors it was recorded with. Unlike compiling, recording takes no longer than a
step.
"""

import warnings
import weakref
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

from scalesearch.training.step import StepInputs, TrainingStep

WARM_UP_STEPS = 3
"""Ordinary steps before recording, in which libraries choose their kernels and get their memory."""

SYNC_WARNING = "called a synchronizing CUDA operation"
"""What PyTorch warns of where a step waits for the device, so that no graph can hold it."""

_IDLE_STREAMS: defaultdict[torch.device, list[torch.cuda.Stream]] = defaultdict(list)
"""Streams on which graphs were recorded that are no more. Taken again: each keeps memory for cuBLAS
as long as the process lives."""


def graphed_step(step: TrainingStep, device: torch.device) -> Callable[[StepInputs], Tensor]:
    """The step as it is best called on a device: on CUDA as a graph, where that can be."""
    return _GraphedStep(step, device) if device.type == "cuda" and _is_recordable(step) else step


def _is_recordable(step: TrainingStep) -> bool:
    """Whether a step looks at no value: float16 looks for overflow, policies at their draws, and
    several processes exchange statistics."""
    return (
        step.precision != "fp16"
        and step.transform.augmentation.policy == "none"
        and step.distributed.world_size == 1
    )


class _GraphedStep:
    """Calls that take a few steps as they are, record one, and replay it from then on.

    Where a network cannot be recorded (code of the user's own may look at a value), all steps are
    taken as they are. That is found out before recording: PyTorch's allocator does not survive a
    recording that was broken off, and its next ``empty_cache`` would end the run.

    ``aside``: the stream of these steps and of the recording. No other graph is recorded on it
    while this one lives: a graph uses the memory of cuBLAS that belongs to its stream
    (github.com/pytorch/pytorch/issues/193402), also where it is replayed beside others.
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
        return self.static_loss.clone()  # the next replay writes over it

    def _run_on_side_stream(self, inputs: StepInputs) -> Tensor:
        """A step on the stream that the recording will take place on."""
        current_stream = torch.cuda.current_stream(self.device)
        self.side_stream.wait_stream(current_stream)
        with torch.cuda.stream(self.side_stream):
            loss = self.step(inputs)
        current_stream.wait_stream(self.side_stream)
        return loss

    def _run_and_detect_waits(self, inputs: StepInputs) -> Tensor:
        """The same, while looking whether it waits for the device anywhere."""
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
        """Record a step, which executes nothing; leave no graph where that fails."""
        static_inputs = StepInputs(
            inputs.images.clone(),
            inputs.labels.clone(),
            {kind: rows.clone() for kind, rows in inputs.draws.items()},
            inputs.ema_weight.clone(),
        )
        graph = torch.cuda.CUDAGraph()
        self.step.optimizer.zero_grad(set_to_none=True)  # gradients belong to the graph's memory
        try:
            # The outer block gives the stream back where ``graph`` fails to do so.
            with (
                torch.cuda.stream(torch.cuda.current_stream(self.device)),
                torch.cuda.graph(graph, stream=self.side_stream, capture_error_mode="thread_local"),
            ):
                loss = self.step(static_inputs)
        except RuntimeError:  # memory, or what names itself in many ways
            torch.cuda.synchronize(self.device)
            self.step.optimizer.zero_grad(set_to_none=True)
            return
        self.graph, self.static_inputs, self.static_loss = graph, static_inputs, loss
