"""Parts of standalone network files, copied as they are.

So nothing here may use anything but torch and the standard library, and the names of layers are
those of ``models``, whose weights the files load. The constants are written anew into each file.
"""

import json
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Callable[[], nn.Module]

ACTIVATION: Activation = nn.SiLU
NORM_EPS = 1e-3
NORM_MOMENTUM = 0.01


class Convolution(nn.Conv2d):
    """Convolution padded by half the kernel, without a bias."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(
            inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )


class SamePaddedConvolution(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding, without a bias."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        sides: list[int] = []
        for pixels in reversed(x.shape[2:]):
            missing = max((-(-pixels // stride) - 1) * stride + kernel - pixels, 0)
            sides += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x, sides))


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: Activation | None = None,
) -> nn.Sequential:
    """Convolution, batch norm, and an activation if one is given."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=Convolution(inputs, outputs, kernel, stride, groups),
        norm=nn.BatchNorm2d(outputs, eps=NORM_EPS, momentum=NORM_MOMENTUM),
    )
    if activation is not None:
        layers["activation"] = activation()
    return nn.Sequential(layers)


class DropConnect(nn.Module):
    """In training, drop each image's branch at this rate; kept ones are scaled up."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        keep = 1 - self.rate
        if not self.training or keep == 1:
            return x
        return x * x.new_empty(len(x), 1, 1, 1).bernoulli_(keep).div_(keep)


class SqueezeExcitation(nn.Module):
    """Channels scaled by a gate computed from their means (arXiv:1709.01507)."""

    def __init__(
        self, channels: int, squeezed: int, activation: Activation, gate: Activation
    ) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.activation(self.reduce(x.mean((2, 3), keepdim=True)))
        weighed: Tensor = x * self.gate(self.expand(squeezed))
        return weighed


class MBConv(nn.Module):
    """Expand 1x1 to ``inner`` (0: none), depthwise, squeeze, project 1x1.

    The input is added if it has the output's shape (arXiv:1801.04381, 1905.11946, 1905.02244).
    """

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        squeezed: int = 0,
        drop: float = 0.0,
        activation: Activation = ACTIVATION,
        squeeze_activation: Activation = ACTIVATION,
        gate: Activation = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        self.drop_connect = DropConnect(drop)
        width = inner or inputs
        self.expand = conv(inputs, inner, activation=activation) if inner else nn.Identity()
        self.depthwise = conv(width, width, kernel, stride, groups=width, activation=activation)
        self.squeeze = (
            SqueezeExcitation(width, squeezed, squeeze_activation, gate)
            if squeezed
            else nn.Identity()
        )
        self.project = conv(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.squeeze(self.depthwise(self.expand(x))))
        return x + self.drop_connect(y) if self.residual else y


def bneck(
    inputs: int,
    inner: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    squeezed: int = 0,
    drop: float = 0.0,
    activation: Activation = ACTIVATION,
) -> MBConv:
    """MobileNetV3's block: squeezed with ReLU and a hard sigmoid, for any activation."""
    return MBConv(
        inputs, inner, outputs, kernel, stride, squeezed, drop, activation, nn.ReLU, nn.Hardsigmoid
    )


class FusedMBConv(nn.Module):
    """One full convolution expands and strides, 1x1 projects (arXiv:2104.00298).

    With ``inner`` 0 there is only the full convolution. The input is added if it has the output's
    shape.
    """

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        squeezed: int = 0,
        drop: float = 0.0,
        activation: Activation = ACTIVATION,
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        self.drop_connect = DropConnect(drop)
        width = inner or outputs
        self.expand = conv(inputs, width, kernel, stride, activation=activation)
        self.squeeze = (
            SqueezeExcitation(width, squeezed, activation, nn.Sigmoid)
            if squeezed
            else nn.Identity()
        )
        self.project = conv(width, outputs) if inner else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.squeeze(self.expand(x)))
        return x + self.drop_connect(y) if self.residual else y


class Separable(nn.Module):
    """Depthwise, then 1x1, both activated (arXiv:1704.04861)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        activation: Activation = ACTIVATION,
    ) -> None:
        super().__init__()
        self.depthwise = conv(inputs, inputs, kernel, stride, inputs, activation)
        self.pointwise = conv(inputs, outputs, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


class Shortened(nn.Module):
    """The activated sum of a branch and its shortcut (arXiv:1512.03385).

    The shortcut is a 1x1 convolution if the shapes differ.
    """

    def __init__(
        self,
        branch: nn.Sequential,
        inputs: int,
        outputs: int,
        stride: int,
        drop: float,
        activation: Activation,
    ) -> None:
        super().__init__()
        fits = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if fits else conv(inputs, outputs, stride=stride)
        self.branch = branch
        self.drop_connect = DropConnect(drop)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.shortcut(x) + self.drop_connect(self.branch(x)))
        return y


def basic(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    drop: float = 0.0,
    activation: Activation = ACTIVATION,
) -> Shortened:
    """Two full convolutions; the first one strides."""
    branch = nn.Sequential(
        conv(inputs, outputs, kernel, stride, activation=activation), conv(outputs, outputs, kernel)
    )
    return Shortened(branch, inputs, outputs, stride, drop, activation)


def bottleneck(
    inputs: int,
    inner: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    drop: float = 0.0,
    activation: Activation = ACTIVATION,
) -> Shortened:
    """Reduce 1x1, a full convolution that strides, expand 1x1."""
    branch = nn.Sequential(
        conv(inputs, inner, activation=activation),
        conv(inner, inner, kernel, stride, activation=activation),
        conv(inner, outputs),
    )
    return Shortened(branch, inputs, outputs, stride, drop, activation)


def read_safetensors(path: str) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    It has eight bytes with the length of a header, the header as JSON, and the tensors' bytes at
    the positions in the header.
    """
    types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > 100_000_000:
            raise ValueError(f"{path}: no safetensors file")
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    tensors = {}
    for name, one in header.items():
        if name != "__metadata__":
            begin, end = one["data_offsets"]
            values = torch.frombuffer(data[begin:end], dtype=types[one["dtype"]])
            tensors[name] = values.reshape(one["shape"])
    return tensors
