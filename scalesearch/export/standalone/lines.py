"""The blocks of a built network as lines of Python that build them again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from scalesearch.architectures import Stage
from scalesearch.errors import ExportError
from scalesearch.export.standalone import dense_parts, parts
from scalesearch.nets import Network

CLASSES = {
    "silu": "nn.SiLU",
    "relu": "nn.ReLU",
    "relu6": "nn.ReLU6",
    "hard_swish": "nn.Hardswish",
}
"""Of activations."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it was built. ``activation``: its class where it is not the network's own."""

    module: nn.Module
    stage: Stage
    inputs: int
    stride: int
    drop: str
    activation: str

    @property
    def shape(self) -> dict[str, object]:
        """What most blocks take, without what is usual."""
        return {
            "kernel": self.stage.kernel if self.stage.kernel != 3 else None,
            "stride": self.stride if self.stride != 1 else None,
        }

    def outputs_of(self, layer: str) -> int:
        """Output channels of a layer; 0 where there is none."""
        found = dict(self.module.named_modules()).get(layer)
        return found.out_channels if isinstance(found, nn.Conv2d) else 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of Python, and the parts that it needs."""

    text: str
    needs: tuple[Any, ...]


def block_lines(name: str, network: Network) -> Iterator[Line]:
    """A line for every block, in order. Raises ExportError for a kind that no part builds."""
    for block in _blocks(network):
        if block.stage.block not in WRITERS:
            raise ExportError(
                f"{name}: need blocks of {', '.join(WRITERS)} for a file that needs torch alone, "
                f"got {block.stage.block}; export it as `exported` or `onnx`"
            )
        yield WRITERS[block.stage.block](block)


def call(called: str, *positional: object, **named: object) -> str:
    """A call in Python; of the keywords those that say something."""
    arguments = [str(value) for value in positional]
    arguments += [f"{key}={value}" for key, value in named.items() if value not in ("", None)]
    return f"{called}({', '.join(arguments)})"


def _blocks(network: Network) -> Iterator[Block]:
    architecture, index = network.architecture, 0
    stages = zip(architecture.transitions(), network.stages.children(), strict=True)
    for (inputs, stage), built in stages:
        before = inputs
        for number, module in enumerate(built.children()):
            stride = stage.stride if number == 0 else 1
            own = stage.activation and stage.activation != architecture.activation
            yield Block(
                module=module,
                stage=stage,
                inputs=before,
                stride=stride,
                drop=f"drop_connect * {index} / {architecture.blocks}" if index else "",
                activation=CLASSES[stage.activation] if own else "",
            )
            before, index = stage.channels(before), index + 1


def _inverted(called: str, block: Block) -> Line:
    """Of MBConv and its like: inputs, inner channels, outputs."""
    squeezed = block.outputs_of("squeeze.reduce")
    residual = block.stride == 1 and block.inputs == block.stage.width
    fused = block.stage.block == "fused_mbconv"
    expands = block.outputs_of("project.conv" if fused else "expand.conv")
    text = call(
        called,
        block.inputs,
        block.outputs_of("expand.conv") if expands else 0,
        block.stage.width,
        **block.shape,
        squeezed=squeezed or None,
        drop=block.drop if residual else "",
        activation=block.activation,
    )
    needs: list[Any] = [parts.DropConnect, getattr(parts, called)]
    needs += [parts.SqueezeExcitation] if squeezed or not fused else []
    needs += [parts.MBConv] if called == "bneck" else []
    return Line(text, tuple(needs))


def _plain(called: str, block: Block) -> Line:
    """Of blocks without inner channels."""
    drop = block.drop if called == "basic" else ""
    shape = block.shape
    text = call(
        called, block.inputs, block.stage.width, **shape, drop=drop, activation=block.activation
    )
    needs: dict[str, tuple[Any, ...]] = {
        "basic": (parts.DropConnect, parts.Shortened),
        "Transition": (dense_parts.norm,),
    }
    home = dense_parts if called == "Transition" else parts
    return Line(text, (*needs.get(called, ()), getattr(home, called)))


def _conv(block: Block) -> Line:
    shape = (block.inputs, block.stage.width, block.stage.kernel, block.stride)
    return Line(call("conv", *shape, activation=block.activation or "ACTIVATION"), ())


def _bottleneck(block: Block) -> Line:
    text = call(
        "bottleneck",
        block.inputs,
        block.outputs_of("branch.0.conv"),
        block.stage.width,
        **block.shape,
        drop=block.drop,
        activation=block.activation,
    )
    return Line(text, (parts.DropConnect, parts.Shortened, parts.bottleneck))


def _dense(block: Block) -> Line:
    inner = block.outputs_of("reduce.conv")
    text = call(
        "Dense",
        block.inputs,
        inner,
        block.stage.width,
        **block.shape,
        activation=block.activation,
    )
    return Line(text, (dense_parts.norm, dense_parts.Dense))


WRITERS: dict[str, Callable[[Block], Line]] = {
    "mbconv": lambda block: _inverted("MBConv", block),
    "fused_mbconv": lambda block: _inverted("FusedMBConv", block),
    "bneck": lambda block: _inverted("bneck", block),
    "separable": lambda block: _plain("Separable", block),
    "conv": _conv,
    "basic": lambda block: _plain("basic", block),
    "bottleneck": _bottleneck,
    "dense": _dense,
    "transition": lambda block: _plain("Transition", block),
}
"""By the kind of a block, as stages name it."""
