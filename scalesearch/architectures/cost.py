"""Cost of a network in closed form: convolutions and linear layers, nothing else.

One multiply-add counts once (the paper's "FLOPS"). This equals fvcore's ``conv`` and ``linear``
operators and half of ``torch.utils.flop_counter``, in microseconds instead of tens of milliseconds.

A block's cost is linear in the pixels it reads and in those it writes. ``BlockTerms`` holds these
coefficients as integers or as numpy arrays, so the same formulas count one network here and a
million in ``grid``.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from scalesearch.architectures.custom import CustomModel, inspect_custom_model
from scalesearch.architectures.stages import PREACTIVATION_BLOCKS, Architecture, Stage
from scalesearch.architectures.totals import Cost

Count: TypeAlias = Any
"""An int, or an int64 array for many networks at once."""


class BlockTerms(NamedTuple):
    """Coefficients of a block's cost: per pixel read, pixel written, and image."""

    params: Count
    macs_read: Count
    macs_written: Count
    macs_once: Count
    activations_read: Count
    activations_written: Count
    activations_once: Count


# Every block: (stage, input channels, output channels, stride). The stride is the stage's in its
# first block and 1 in the others. A convolution has a batch norm (two parameters a channel) instead
# of a bias, except the two of a squeeze-and-excitation.


def mbconv(stage: Stage, inputs: Count, outputs: Count, stride: int) -> BlockTerms:
    """Expand 1x1, depthwise k x k (strided), squeeze-and-excite, project 1x1."""
    inner = inputs * stage.expansion
    squeezed = inputs // stage.squeeze + (inputs < stage.squeeze) if stage.squeeze else 0
    return _inverted_bottleneck(stage, inputs, inner, squeezed, outputs)


def bneck(stage: Stage, inputs: Count, outputs: Count, stride: int) -> BlockTerms:
    """As ``mbconv``, with inner and squeezed channels in multiples of eight."""
    inner = expanded_channels(stage, inputs)
    squeezed = round_to_eights(inner // stage.squeeze) if stage.squeeze else 0
    return _inverted_bottleneck(stage, inputs, inner, squeezed, outputs)


def fused_mbconv(stage: Stage, inputs: Count, outputs: Count, stride: int) -> BlockTerms:
    """Expand k x k (strided), squeeze-and-excite, project 1x1.

    Without an expansion: one convolution k x k, then the gate.
    """
    inner = inputs * stage.expansion if stage.expansion > 1 else outputs
    spatial = stage.kernel * stage.kernel * inputs * inner
    project, projected = (inner * outputs, outputs) if stage.expansion > 1 else (0, 0)
    squeezed = inputs // stage.squeeze + (inputs < stage.squeeze) if stage.squeeze else 0
    params, gate, gated = _squeeze_excitation(inner, squeezed)
    params = params + spatial + 2 * inner + project + 2 * projected
    return BlockTerms(params, 0, spatial + project, gate, 0, inner + projected, gated)


def separable(stage: Stage, inputs: Count, outputs: Count, stride: int) -> BlockTerms:
    """Depthwise k x k (strided), then 1x1, each with its activation."""
    return _inverted_bottleneck(stage, inputs, inputs, 0, outputs)


def conv(stage: Stage, inputs: Count, outputs: Count, stride: int) -> BlockTerms:
    """One convolution k x k."""
    weights = stage.kernel * stage.kernel * inputs * outputs
    return BlockTerms(weights + 2 * outputs, 0, weights, 0, 0, outputs, 0)


def basic(stage: Stage, inputs: Count, outputs: Count, stride: int) -> BlockTerms:
    """Two convolutions k x k, the first strided; a 1x1 shortcut if shapes differ."""
    weights = stage.kernel * stage.kernel * (inputs + outputs) * outputs
    shortcut, shortcut_outputs = _shortcut_convolution(inputs, outputs, stride)
    weights, written = weights + shortcut, 2 * outputs + shortcut_outputs
    return BlockTerms(weights + 2 * written, 0, weights, 0, 0, written, 0)


def bottleneck(stage: Stage, inputs: Count, outputs: Count, stride: int) -> BlockTerms:
    """Reduce 1x1, k x k (strided, "v1.5"), expand 1x1; 1x1 shortcut if needed."""
    inner = -(-outputs // stage.expansion)
    reduce = inputs * inner
    shortcut, shortcut_outputs = _shortcut_convolution(inputs, outputs, stride)
    weights = stage.kernel * stage.kernel * inner * inner + inner * outputs + shortcut
    written = inner + outputs + shortcut_outputs
    params = reduce + weights + 2 * (inner + written)
    return BlockTerms(params, reduce, weights, 0, inner, written, 0)


def dense(stage: Stage, inputs: Count, outputs: Count, stride: int) -> BlockTerms:
    """1x1 of all channels before, then k x k to the ``outputs`` new channels.

    The norm before the first convolution has the input's channels; no norm follows the last.
    """
    inner = outputs * stage.expansion
    weights = inputs * inner + stage.kernel * stage.kernel * inner * outputs
    return BlockTerms(weights + 2 * (inputs + inner), 0, weights, 0, 0, inner + outputs, 0)


def transition(stage: Stage, inputs: Count, outputs: Count, stride: int) -> BlockTerms:
    """One convolution k x k with pooled output; the norm is that of the input."""
    weights = stage.kernel * stage.kernel * inputs * outputs
    return BlockTerms(weights + 2 * inputs, weights, 0, 0, outputs, 0, 0)


BLOCK_TERMS: dict[str, Callable[[Stage, Count, Count, int], BlockTerms]] = {
    block.__name__: block
    for block in (
        *(mbconv, fused_mbconv, bneck, separable, conv, basic, bottleneck),
        *(dense, transition),
    )
}


def round_to_eights(channels: Count) -> Count:
    """Nearest multiple of eight, at least 8 and 90% (``make_divisible``)."""
    rounded = (channels + 4) // 8 * 8
    return rounded + 8 * ((10 * rounded < 9 * channels) | (rounded == 0))


def expanded_channels(stage: Stage, inputs: Count) -> Count:
    """Inner channels of a ``bneck``; an expansion of 1 keeps the input's."""
    if stage.expansion == 1:
        return inputs
    return round_to_eights(inputs * round(100 * stage.expansion) // 100)  # whole numbers stay exact


def _inverted_bottleneck(
    stage: Stage, inputs: Count, inner: Count, squeezed: Count, outputs: Count
) -> BlockTerms:
    expand, expanded = (inputs * inner, inner) if stage.expansion > 1 else (0, 0)
    spatial = stage.kernel * stage.kernel * inner
    written = spatial + inner * outputs
    params = expand + 2 * expanded + written + 2 * (inner + outputs)
    if not stage.squeeze:
        return BlockTerms(params, expand, written, 0, expanded, inner + outputs, 0)
    gate_params, gate, gated = _squeeze_excitation(inner, squeezed)
    return BlockTerms(params + gate_params, expand, written, gate, expanded, inner + outputs, gated)


def _squeeze_excitation(inner: Count, squeezed: Count) -> tuple[Count, Count, Count]:
    """Parameters, multiply-adds and outputs of a squeeze-and-excitation."""
    if isinstance(squeezed, int) and not squeezed:
        return 0, 0, 0
    weights, gated = 2 * inner * squeezed, squeezed + inner
    return weights + gated, weights, gated


def _shortcut_convolution(inputs: Count, outputs: Count, stride: int) -> tuple[Count, Count]:
    """Weights and channels of the convolution that fits a block's input to its output."""
    needed = (inputs != outputs) | (stride > 1)
    return inputs * outputs * needed, outputs * needed


CostPart: TypeAlias = tuple[BlockTerms, Count, Count, Stage | None]
"""Terms, pixels read and written, and the stage if this is one of its later blocks."""


def network_parts(
    network: Architecture, widths: Sequence[Count], side: Count
) -> Iterator[CostPart]:
    """Stem, blocks and head of a network with these widths and pixels per side.

    ``widths`` as in ``Architecture.widths``; arrays count many networks at once.
    """
    stem, *stages, head = widths
    side = -(-side // network.stem_stride)
    pixels = side * side
    weights = network.in_channels * network.stem_kernel**2 * stem
    yield BlockTerms(weights + 2 * stem, 0, weights, 0, 0, stem, 0), pixels, pixels, None
    side = -(-side // network.stem_pool)
    pixels = side * side
    inputs = stem
    for stage, outputs in zip(network.stages, stages, strict=True):
        terms = BLOCK_TERMS[stage.block]
        side = -(-side // stage.stride)
        read, pixels = pixels, side * side
        if stage.block == "dense":  # each dense block reads more than the one before
            for _ in range(stage.repeats):
                yield terms(stage, inputs, outputs, 1), pixels, pixels, None
                inputs = inputs + outputs
            continue
        yield terms(stage, inputs, outputs, stage.stride), read, pixels, None
        yield terms(stage, outputs, outputs, 1), pixels, pixels, stage
        inputs = outputs
    yield _head_terms(network, inputs, head), pixels, pixels, None


def _head_terms(network: Architecture, last: Count, head: Count) -> BlockTerms:
    """Terms of the head (if any) and the classifier.

    If the last blocks activate their inputs, the norm of their output is included.
    """
    norm_params = 2 * last * (network.stages[-1].block in PREACTIVATION_BLOCKS)
    classes = network.num_classes
    if not network.head:
        return BlockTerms(norm_params + (last + 1) * classes, 0, 0, last * classes, 0, 0, classes)
    weights, classifier = last * head, head * classes
    if network.head_pooled:
        params = norm_params + weights + head + classifier + classes
        return BlockTerms(params, 0, 0, weights + classifier, 0, 0, head + classes)
    params = norm_params + weights + 2 * head + classifier + classes
    return BlockTerms(params, 0, weights, classifier, 0, head, classes)


def cost(architecture: Architecture | CustomModel) -> Cost:
    """Multiply-adds, parameters and activations at the network's resolution.

    A custom model is built and counted, which raises ArchitectureError unless code may run.
    """
    if isinstance(architecture, CustomModel):
        return inspect_custom_model(architecture).cost
    macs = params = activations = 0
    for terms, read, written, stage in network_parts(
        architecture, architecture.widths, architecture.resolution
    ):
        repetitions = 1 if stage is None else stage.repeats - 1
        if repetitions:
            params += repetitions * terms[0]
            macs += repetitions * (terms[1] * read + terms[2] * written + terms[3])
            activations += repetitions * (terms[4] * read + terms[5] * written + terms[6])
    return Cost(macs, params, activations)
