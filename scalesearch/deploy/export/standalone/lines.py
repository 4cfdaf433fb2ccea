"""Blocks of a built network as lines of Python that build them again."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.errors import ExportError
from scalesearch.models.network import Network


def require_representable(name: str, library_model: str, reasons: Iterable[str]) -> None:
    """Raise ExportError if there are reasons against ``library_model``."""
    if reason_text := "; ".join(reasons):
        raise ExportError(
            f"{name}: need a network that {library_model} can build, got one with {reason_text}; "
            "export it as `python`, which can be any network"
        )


def reasons_by_stage(
    architecture: Architecture, reasons: Callable[[int, Stage], Iterable[str]]
) -> Iterator[str]:
    """Return the reasons of all stages, each with the numbers of its stages.

    ``reasons`` takes a stage and the channels of its input.
    """
    stage_numbers: dict[str, list[int]] = {}
    for number, (inputs, stage) in enumerate(architecture.transitions(), start=1):
        for reason in reasons(inputs, stage):
            stage_numbers.setdefault(reason, []).append(number)
    for reason, numbers in stage_numbers.items():
        stages = "stage" if len(numbers) == 1 else "stages"
        yield f"in {stages} {', '.join(map(str, numbers))} {reason}"


ACTIVATION_CLASSES = {
    "silu": "nn.SiLU",
    "relu": "nn.ReLU",
    "relu6": "nn.ReLU6",
    "hard_swish": "nn.Hardswish",
}
"""Classes of activations."""


@dataclass(frozen=True, slots=True)
class BuiltBlock:
    """A block as it was built. ``activation``: its class, if not the network's own."""

    module: nn.Module
    stage: Stage
    inputs: int
    stride: int
    drop_connect: str
    activation: str

    @property
    def unusual_shape(self) -> dict[str, object]:
        """Keywords of most blocks, without those of usual value."""
        return {
            "kernel": self.stage.kernel if self.stage.kernel != 3 else None,
            "stride": self.stride if self.stride != 1 else None,
        }

    def output_channels(self, layer: str) -> int:
        """Output channels of a layer; 0 without one."""
        module = dict(self.module.named_modules()).get(layer)
        return module.out_channels if isinstance(module, nn.Conv2d) else 0


def block_lines(name: str, network: Network) -> Iterator[str]:
    """Return a line for every block, in order. Raises ExportError for an unknown kind."""
    for block in _built_blocks(network):
        if block.stage.block not in BLOCK_WRITERS:
            raise ExportError(
                f"{name}: need blocks of {', '.join(BLOCK_WRITERS)} for a file that needs torch "
                f"alone, got {block.stage.block}; export it as `exported` or `onnx`"
            )
        yield BLOCK_WRITERS[block.stage.block](block)


def call_text(callable_name: str, *positional: object, **keywords: object) -> str:
    """Return a call in Python with the keywords that are not None."""
    arguments = [str(value) for value in positional]
    arguments += [f"{key}={value}" for key, value in keywords.items() if value not in ("", None)]
    return f"{callable_name}({', '.join(arguments)})"


def _built_blocks(network: Network) -> Iterator[BuiltBlock]:
    architecture, index = network.architecture, 0
    stages = zip(architecture.transitions(), network.stages.children(), strict=True)
    for (inputs, stage), stage_module in stages:
        input_channels = inputs
        for number, module in enumerate(stage_module.children()):
            stride = stage.stride if number == 0 else 1
            has_own_activation = stage.activation and stage.activation != architecture.activation
            yield BuiltBlock(
                module=module,
                stage=stage,
                inputs=input_channels,
                stride=stride,
                drop_connect=f"drop_connect * {index} / {architecture.num_blocks}" if index else "",
                activation=ACTIVATION_CLASSES[stage.activation] if has_own_activation else "",
            )
            input_channels, index = stage.channels(input_channels), index + 1


def _mbconv_line(callable_name: str, block: BuiltBlock) -> str:
    """Line of MBConv and similar blocks: inputs, inner channels, outputs."""
    squeezed_channels = block.output_channels("squeeze.reduce")
    is_residual = block.stride == 1 and block.inputs == block.stage.width
    is_fused = block.stage.block == "fused_mbconv"
    has_expansion = block.output_channels("project.conv" if is_fused else "expand.conv")
    return call_text(
        callable_name,
        block.inputs,
        block.output_channels("expand.conv") if has_expansion else 0,
        block.stage.width,
        **block.unusual_shape,
        squeezed=squeezed_channels or None,
        drop=block.drop_connect if is_residual else "",
        activation=block.activation,
    )


def _plain_line(callable_name: str, block: BuiltBlock) -> str:
    """Line of blocks without inner channels."""
    drop = block.drop_connect if callable_name == "basic" else ""
    return call_text(
        callable_name,
        block.inputs,
        block.stage.width,
        **block.unusual_shape,
        drop=drop,
        activation=block.activation,
    )


def _conv_line(block: BuiltBlock) -> str:
    shape = (block.inputs, block.stage.width, block.stage.kernel, block.stride)
    return call_text("conv", *shape, activation=block.activation or "ACTIVATION")


def _bottleneck_line(block: BuiltBlock) -> str:
    return call_text(
        "bottleneck",
        block.inputs,
        block.output_channels("branch.0.conv"),
        block.stage.width,
        **block.unusual_shape,
        drop=block.drop_connect,
        activation=block.activation,
    )


def _dense_line(block: BuiltBlock) -> str:
    inner_channels = block.output_channels("reduce.conv")
    return call_text(
        "Dense",
        block.inputs,
        inner_channels,
        block.stage.width,
        **block.unusual_shape,
        activation=block.activation,
    )


BLOCK_WRITERS: dict[str, Callable[[BuiltBlock], str]] = {
    "mbconv": lambda block: _mbconv_line("MBConv", block),
    "fused_mbconv": lambda block: _mbconv_line("FusedMBConv", block),
    "bneck": lambda block: _mbconv_line("bneck", block),
    "separable": lambda block: _plain_line("Separable", block),
    "conv": _conv_line,
    "basic": lambda block: _plain_line("basic", block),
    "bottleneck": _bottleneck_line,
    "dense": _dense_line,
    "transition": lambda block: _plain_line("Transition", block),
}
"""Writers by the kind of a block, as stages name it."""
