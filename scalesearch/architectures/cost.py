"""What a network costs, in closed form: convolutions and linear layers, nothing else.

One multiply-add counts once (the paper's "FLOPS"). This equals fvcore's ``conv`` and ``linear``
operators and half of ``torch.utils.flop_counter``, in microseconds instead of tens of milliseconds.

A block's cost is linear in the pixels it reads and in those it writes. ``BlockTerms`` holds these
coefficients, for whole numbers or for numpy arrays of them alike, so that the same formulas count
one network here and a million in ``isocost``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from scalesearch.architectures.stages import Architecture, Stage

Count: TypeAlias = Any
"""int, or an int64 array of as many networks as are counted at once."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Multiply-adds and outputs ("activations", arXiv:2003.13678) of one image, and parameters."""

    macs: int
    params: int
    activations: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.macs + other.macs,
            self.params + other.params,
            self.activations + other.activations,
        )


class BlockTerms(NamedTuple):
    """Coefficients of a block's cost: per pixel read, per pixel written, and once per image."""

    params: Count
    macs_read: Count
    macs_written: Count
    macs_once: Count
    activations_read: Count
    activations_written: Count
    activations_once: Count


def mbconv(stage: Stage, before: Count, after: Count) -> BlockTerms:
    """Expand 1x1, depthwise k x k (which strides), squeeze-and-excite, project 1x1.

    ``before``, ``after``: input and output channels. Every convolution but the two of the
    squeeze has a batch norm (two parameters a channel) in place of a bias.
    """
    inner = before * stage.expansion
    expand = before * inner if stage.expansion > 1 else 0
    expanded = inner if stage.expansion > 1 else 0
    spatial = stage.kernel * stage.kernel * inner
    project = inner * after
    params = expand + 2 * expanded + spatial + 2 * inner + project + 2 * after
    if not stage.squeeze:
        return BlockTerms(params, expand, spatial + project, 0, expanded, inner + after, 0)
    squeezed = before // stage.squeeze + (before < stage.squeeze)  # at least one channel
    gate = 2 * inner * squeezed
    params = params + gate + squeezed + inner
    return BlockTerms(
        params, expand, spatial + project, gate, expanded, inner + after, squeezed + inner
    )


BLOCK_TERMS: dict[str, Callable[[Stage, Count, Count], BlockTerms]] = {"mbconv": mbconv}


def cost(architecture: Architecture) -> Cost:
    """Multiply-adds, parameters and activations of one image at the architecture's resolution."""
    before = architecture.stem
    side = -(-architecture.resolution // architecture.stem_stride)
    pixels = side * side
    weights = architecture.in_channels * before * architecture.stem_kernel**2
    macs, params, activations = weights * pixels, weights + 2 * before, before * pixels
    for stage in architecture.stages:
        terms = BLOCK_TERMS[stage.block]
        side = -(-side // stage.stride)
        read, pixels = pixels, side * side
        block = terms(stage, before, stage.width)
        params += block[0]
        macs += block[1] * read + block[2] * pixels + block[3]
        activations += block[4] * read + block[5] * pixels + block[6]
        before = stage.width
        again = stage.repeats - 1
        if again:
            block = terms(stage, before, before)
            params += again * block[0]
            macs += again * ((block[1] + block[2]) * pixels + block[3])
            activations += again * ((block[4] + block[5]) * pixels + block[6])
    head, classes = architecture.head, architecture.num_classes
    macs += before * head * pixels + head * classes
    params += before * head + 2 * head + head * classes + classes
    return Cost(macs, params, activations + head * pixels + classes)
