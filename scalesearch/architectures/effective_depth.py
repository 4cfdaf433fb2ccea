"""The depth that decides a learning rate: the shortest way through a network."""

from scalesearch.architectures.foreign import CustomModel
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.errors import ArchitectureError

# (convolutions one behind another, whether the expanding one is left out where it is 1)
CONVOLUTIONS_PER_BLOCK: dict[str, tuple[int, bool]] = {
    "mbconv": (3, True),
    "fused_mbconv": (2, True),
    "bneck": (3, True),
    "separable": (2, False),
    "conv": (1, False),
    "basic": (2, False),
    "bottleneck": (3, False),
    "transition": (1, False),
}
ADDED_TO_INPUT = ("mbconv", "fused_mbconv", "bneck")
ALWAYS_ADDED = ("basic", "bottleneck")
APPENDED = ("dense",)


def effective_depth(architecture: Architecture | CustomModel) -> int:
    """Length of the shortest path from input to output (arXiv:2602.07494), which decides how the
    best learning rate falls: about as L^(-3/2).

    Each convolution, linear layer and residual addition on the path counts one; normalisation,
    activations, pooling and squeeze-and-excitation, which only weighs what passes, count nothing.
    The path takes every shortcut: a block that adds its branch to its input is one long, one whose
    shortcut is a convolution two, any other as long as its convolutions. So each residual block
    more adds one, as does each dense block, past which its input goes too. Neither width nor
    resolution changes the length, unless scaled widths that become equal give a block its shortcut.

    Raises ArchitectureError for a network made by code, whose paths nobody knows.
    """
    if isinstance(architecture, CustomModel):
        raise ArchitectureError(
            f"effective depth: need a network as data, got {architecture.factory}, which is made "
            "by code; set recipe.learning_rate_rule to fixed or tuned"
        )
    stages = sum(
        _block_length(stage, stage.stride == 1 and inputs == stage.width)
        + (stage.repeats - 1) * _block_length(stage, True)
        for inputs, stage in architecture.transitions()
    )
    stem, head, classifier = 1, int(architecture.head > 0), 1
    return stem + stages + head + classifier


def _block_length(stage: Stage, same_shape: bool) -> int:
    """Length of one block, whose output may or may not have its input's shape."""
    if stage.block in ALWAYS_ADDED:
        return 1 if same_shape else 2
    if stage.block in APPENDED:
        return 1
    if stage.block in ADDED_TO_INPUT and same_shape:
        return 1
    convolutions, expands = CONVOLUTIONS_PER_BLOCK[stage.block]
    return convolutions - (expands and stage.expansion == 1)
