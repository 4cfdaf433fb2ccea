"""Architectures: networks as frozen, hashable data."""

from collections.abc import Iterator
from dataclasses import dataclass, field

BLOCK_FIELDS: dict[str, frozenset[str]] = {
    "mbconv": frozenset({"expansion", "squeeze"}),
    "fused_mbconv": frozenset({"expansion", "squeeze"}),
    "bneck": frozenset({"expansion", "squeeze"}),
    "separable": frozenset(),
    "conv": frozenset(),
    "basic": frozenset(),
    "bottleneck": frozenset({"expansion"}),
    "dense": frozenset({"expansion"}),
    "transition": frozenset(),
}
"""Kinds of block, with the fields of a stage that only some of them use."""

PREACTIVATION_BLOCKS = ("dense", "transition")
"""Blocks that normalise and activate their input, not their output."""

ACTIVATIONS = ("silu", "relu", "relu6", "hard_swish")


@dataclass(frozen=True, slots=True)
class Stage:
    """Stage of ``repeats`` equal blocks; the first strides and changes the width.

    ``width``: output channels; for a ``dense`` block those that it appends. ``expansion``: inner
    channels as a multiple of the block's input; in a ``bottleneck``, output channels as a multiple
    of the inner ones, in a ``dense`` block inner ones as a multiple of those it appends. Only a
    ``bneck`` takes a fraction, to two decimals. ``squeeze``: reduction of squeeze-and-excitation,
    relative to the block's input channels, in a ``bneck`` to its inner ones (4: a quarter of them;
    0: no squeeze-and-excitation). ``activation``: another than the network's, if not empty.

    ``fixed_depth``: scaling keeps the repeats. It says how a network is scaled, not what it is,
    and is not part of its identity.

    Blocks: ``mbconv`` (MobileNetV2, EfficientNet), ``fused_mbconv`` (EfficientNetV2), ``bneck``
    (MobileNetV3), ``separable`` (MobileNetV1), ``conv`` (convolution, normalisation, activation),
    ``basic`` and ``bottleneck`` (ResNet), ``dense`` and ``transition`` (DenseNet).
    """

    repeats: int
    width: int
    stride: int = 1
    kernel: int = 3
    expansion: float = 1
    squeeze: int = 4
    block: str = "mbconv"
    activation: str = ""
    fixed_depth: bool = field(default=False, compare=False)

    def channels(self, inputs: int) -> int:
        """Output channels of one block; a ``dense`` one appends its own."""
        return inputs + self.width if self.block == "dense" else self.width

    def __post_init__(self) -> None:
        for name in ("repeats", "width", "stride", "kernel", "expansion"):
            if getattr(self, name) < 1:
                raise ValueError(f"need {name} >= 1, got {name}={getattr(self, name)}")
        if self.kernel % 2 == 0:
            raise ValueError(f"need an odd kernel, got kernel={self.kernel}")
        if self.squeeze < 0:
            raise ValueError(f"need squeeze >= 0, got squeeze={self.squeeze}")
        if self.block not in BLOCK_FIELDS:
            raise ValueError(f"need a block of {', '.join(BLOCK_FIELDS)}, got block={self.block!r}")
        if self.activation:
            _require_activation(self.activation)
        self._require_block_fields()

    def _require_block_fields(self) -> None:
        """Refuse fields that the block does not use: one network must have one fingerprint."""
        block_fields = BLOCK_FIELDS[self.block]
        if self.block == "dense" and self.stride != 1:
            raise ValueError(
                "need stride=1 in a dense block, which appends to its input, got "
                f"stride={self.stride}; stride in a transition"
            )
        if self.squeeze and "squeeze" not in block_fields:
            raise ValueError(
                f"need squeeze=0 in a {self.block} block, which has no squeeze-and-excitation, "
                f"got squeeze={self.squeeze}"
            )
        if self.expansion != 1 and "expansion" not in block_fields:
            raise ValueError(
                f"need expansion=1 in a {self.block} block, got expansion={self.expansion}"
            )
        if isinstance(self.expansion, float):
            if self.expansion.is_integer():
                object.__setattr__(self, "expansion", int(self.expansion))
            elif self.block != "bneck":
                raise ValueError(
                    f"need a whole expansion in a {self.block} block, got {self.expansion}"
                )


@dataclass(frozen=True, slots=True)
class Architecture:
    """Everything that decides a network's shape, parameters and cost.

    ``stem``, ``head``: channels of the first and of the last convolution; a head of 0 is none.
    ``head_pooled``: the head is a linear layer with a bias after the pooling, not a convolution
    with a norm before it. ``stem_pool``: stride of a 3x3 max pool after the stem; 1 is none.
    ``resolution``: input pixels per side. Every stride rounds sizes up. Regularisation belongs to
    the recipe.

    Four more fields and ``Stage.fixed_depth`` say how the network is scaled, not what it is, and
    are not part of its identity. ``exact_widths``: unrounded values of ``widths``, if they were
    rounded; scaling starts from them, so a quarter of B0 at twice the width is half of B0, rounded
    once. ``fixed_stem``, ``fixed_head``: channels that do not scale. ``least_head``: channels
    below which scaling does not reduce the head.
    """

    stem: int
    stages: tuple[Stage, ...]
    head: int
    resolution: int
    stem_stride: int = 2
    stem_kernel: int = 3
    in_channels: int = 3
    num_classes: int = 1000
    activation: str = "silu"
    stem_pool: int = 1
    head_pooled: bool = False
    exact_widths: tuple[float, ...] = field(default=(), compare=False, repr=False)
    fixed_stem: bool = field(default=False, compare=False)
    fixed_head: bool = field(default=False, compare=False)
    least_head: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        for name in ("stem", "resolution", "stem_stride", "in_channels", "num_classes"):
            if getattr(self, name) < 1:
                raise ValueError(f"need {name} >= 1, got {name}={getattr(self, name)}")
        if self.stem_pool < 1:
            raise ValueError(f"need stem_pool >= 1, got stem_pool={self.stem_pool}")
        if self.head < 0:
            raise ValueError(f"need head >= 0, got head={self.head}")
        if self.head_pooled and not self.head:
            raise ValueError("need a head to be behind the pooling, got head=0")
        if not self.stages:
            raise ValueError("need at least one stage, got none")
        _require_activation(self.activation)

    @property
    def repeats(self) -> tuple[int, ...]:
        """Blocks per stage."""
        return tuple(stage.repeats for stage in self.stages)

    @property
    def num_blocks(self) -> int:
        """Blocks in total: the "depth"."""
        return sum(stage.repeats for stage in self.stages)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the stem, of each stage and of the head: the "width".

        For dense stages, the channels that each block appends.
        """
        return (self.stem, *(stage.width for stage in self.stages), self.head)

    @property
    def unrounded_widths(self) -> tuple[float, ...]:
        """Unrounded values of ``widths``, which a width multiplier multiplies."""
        return self.exact_widths or self.widths

    @property
    def num_features(self) -> int:
        """Channels that the classifier reads."""
        return self.head or self.last_channels

    @property
    def last_channels(self) -> int:
        """Channels of the last stage's output."""
        *_, (before, stage) = self.transitions()
        return _output_channels(before, stage)

    @property
    def total_stride(self) -> int:
        """Input pixels per pixel of the last feature map, per side."""
        total = self.stem_stride * self.stem_pool
        for stage in self.stages:
            total *= stage.stride
        return total

    def transitions(self) -> Iterator[tuple[int, Stage]]:
        """Each stage with the input channels of its first block."""
        input_channels = self.stem
        for stage in self.stages:
            yield input_channels, stage
            input_channels = _output_channels(input_channels, stage)


def _output_channels(inputs: int, stage: Stage) -> int:
    """Output channels of a whole stage for this many inputs."""
    return inputs + stage.repeats * stage.width if stage.block == "dense" else stage.width


def _require_activation(name: str) -> None:
    if name not in ACTIVATIONS:
        raise ValueError(f"need an activation of {', '.join(ACTIVATIONS)}, got {name!r}")
