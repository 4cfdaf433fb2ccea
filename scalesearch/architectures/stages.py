"""A network as frozen, hashable data: a stem, stages of equal blocks, a head, a classifier."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

BLOCKS = ("mbconv",)
ACTIVATIONS = ("silu", "relu", "relu6")


@dataclass(frozen=True, slots=True)
class Stage:
    """``repeats`` blocks of one kind; the first has the stride and changes the width.

    ``width``: output channels. ``expansion``: inner channels as a multiple of the block's input.
    ``squeeze``: the reduction of squeeze-and-excitation, relative to the block's input channels
    (4: a quarter of them; 0: no squeeze-and-excitation).
    """

    repeats: int
    width: int
    stride: int = 1
    kernel: int = 3
    expansion: int = 1
    squeeze: int = 4
    block: str = "mbconv"

    def __post_init__(self) -> None:
        for name in ("repeats", "width", "stride", "kernel", "expansion"):
            if getattr(self, name) < 1:
                raise ValueError(f"need {name} >= 1, got {name}={getattr(self, name)}")
        if self.kernel % 2 == 0:
            raise ValueError(f"need an odd kernel, got kernel={self.kernel}")
        if self.squeeze < 0:
            raise ValueError(f"need squeeze >= 0, got squeeze={self.squeeze}")
        if self.block not in BLOCKS:
            raise ValueError(f"need a block of {', '.join(BLOCKS)}, got block={self.block!r}")


@dataclass(frozen=True, slots=True)
class Architecture:
    """Everything that decides a network's shape, parameters and cost, and nothing else.

    ``stem``, ``head``: channels of the first and of the last convolution. ``resolution``: input
    pixels per side. Every stride rounds sizes up. Regularisation is part of a recipe, not of this.

    ``exact_widths``: what ``widths`` were rounded from, where they were. It is no part of the
    network's identity, but scaling starts from it: a quarter of B0 at twice the width is half of
    B0, rounded once.
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
    exact_widths: tuple[float, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("stem", "head", "resolution", "stem_stride", "in_channels", "num_classes"):
            if getattr(self, name) < 1:
                raise ValueError(f"need {name} >= 1, got {name}={getattr(self, name)}")
        if not self.stages:
            raise ValueError("need at least one stage, got none")
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"need an activation of {', '.join(ACTIVATIONS)}, got {self.activation!r}"
            )

    @property
    def repeats(self) -> tuple[int, ...]:
        """Blocks per stage."""
        return tuple(stage.repeats for stage in self.stages)

    @property
    def blocks(self) -> int:
        """Blocks in total: what "depth" counts."""
        return sum(stage.repeats for stage in self.stages)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the stem, of each stage and of the head: what "width" scales."""
        return (self.stem, *(stage.width for stage in self.stages), self.head)

    @property
    def stride(self) -> int:
        """Input pixels per pixel of the last feature map, per side."""
        total = self.stem_stride
        for stage in self.stages:
            total *= stage.stride
        return total

    def transitions(self) -> Iterator[tuple[int, Stage]]:
        """Each stage with the channels that flow into its first block."""
        return zip((before for before, _ in pairwise(self.widths[:-1])), self.stages, strict=True)
