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

from scalesearch.training.step import Inputs, Step

WARM_UP = 3
"""Ordinary steps before recording, in which libraries choose their kernels and get their memory."""

WAITS = "called a synchronizing CUDA operation"
"""What PyTorch warns of where a step waits for the device, so that no graph can hold it."""

_IDLE: defaultdict[torch.device, list[torch.cuda.Stream]] = defaultdict(list)
"""Streams on which graphs were recorded that are no more. Taken again: each keeps memory for cuBLAS
as long as the process lives."""


def launched(step: Step, device: torch.device) -> Callable[[Inputs], Tensor]:
    """The step as it is best called on a device: on CUDA as a graph, where that can be."""
    return _Graphed(step, device) if device.type == "cuda" and _recordable(step) else step


def _recordable(step: Step) -> bool:
    """Whether a step looks at no value: float16 looks for overflow, policies at their draws, and
    several processes exchange statistics."""
    return (
        step.precision != "fp16"
        and step.view.augmentation.policy == "none"
        and step.processes.size == 1
    )


class _Graphed:
    """Calls that take a few steps as they are, record one, and replay it from then on.

    Where a network cannot be recorded (code of the user's own may look at a value), all steps are
    taken as they are. That is found out before recording: PyTorch's allocator does not survive a
    recording that was broken off, and its next ``empty_cache`` would end the run.

    ``aside``: the stream of these steps and of the recording. No other graph is recorded on it
    while this one lives: a graph uses the memory of cuBLAS that belongs to its stream
    (github.com/pytorch/pytorch/issues/193402), also where it is replayed beside others.
    """

    def __init__(self, step: Step, device: torch.device) -> None:
        self.step = step
        self.device = device
        self.taken = 0
        self.waits = False
        idle = _IDLE[device]
        self.aside = idle.pop() if idle else torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        weakref.finalize(self, idle.append, self.aside)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: Inputs | None = None
        self.loss: Tensor | None = None

    def __call__(self, inputs: Inputs) -> Tensor:
        self.taken += 1
        if self.taken < WARM_UP:
            return self._aside(inputs)
        if self.taken == WARM_UP:
            return self._watched(inputs)
        if self.taken == WARM_UP + 1 and not self.waits:
            self._record(inputs)
        if self.graph is None or self.inputs is None or self.loss is None:
            return self.step(inputs)
        for ours, theirs in zip(self.inputs.tensors(), inputs.tensors(), strict=True):
            ours.copy_(theirs, non_blocking=True)
        self.graph.replay()
        return self.loss.clone()  # the next replay writes over it

    def _aside(self, inputs: Inputs) -> Tensor:
        """A step on the stream that the recording will take place on."""
        here = torch.cuda.current_stream(self.device)
        self.aside.wait_stream(here)
        with torch.cuda.stream(self.aside):
            loss = self.step(inputs)
        here.wait_stream(self.aside)
        return loss

    def _watched(self, inputs: Inputs) -> Tensor:
        """The same, while looking whether it waits for the device anywhere."""
        mode = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                loss = self._aside(inputs)
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        self.waits = any(WAITS in str(warning.message) for warning in caught)
        return loss

    def _record(self, inputs: Inputs) -> None:
        """Record a step, which executes nothing; leave no graph where that fails."""
        fixed = Inputs(
            inputs.images.clone(),
            inputs.labels.clone(),
            {kind: rows.clone() for kind, rows in inputs.drawn.items()},
            inputs.averaging.clone(),
        )
        graph = torch.cuda.CUDAGraph()
        self.step.optimizer.zero_grad(set_to_none=True)  # gradients belong to the graph's memory
        try:
            # The outer block gives the stream back where ``graph`` fails to do so.
            with (
                torch.cuda.stream(torch.cuda.current_stream(self.device)),
                torch.cuda.graph(graph, stream=self.aside, capture_error_mode="thread_local"),
            ):
                loss = self.step(fixed)
        except RuntimeError:  # memory, or what names itself in many ways
            torch.cuda.synchronize(self.device)
            self.step.optimizer.zero_grad(set_to_none=True)
            return
        self.graph, self.inputs, self.loss = graph, fixed, loss
