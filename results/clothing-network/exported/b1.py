"""b1: 328,956 parameters, 7,719,184 multiply-adds at 83 pixels. Written by scalesearch; needs torch
alone.

    model = network("b1.safetensors").eval()
    logits = model(images)  # (B, 3, 83, 83) -> (B, 10)

Images: take the central square, resize it to 160 pixels (bilinear), cut 140 pixels from its centre,
resize them to 83, divide by 255, subtract MEAN, divide by STD.
The network's fingerprint is 5bcffa2b78ed8a46.
"""

import json
import sys
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

Activation = Callable[[], nn.Module]

ACTIVATION = nn.SiLU
NORM_EPS = 0.001
NORM_MOMENTUM = 0.1  # the weight of a new batch
MEAN = (0.5370883905676761, 0.46412597140156325, 0.4536527936105898)
STD = (0.25734230549418247, 0.24979198375407188, 0.23786937573556038)
CLASSES = (
    'dress', 'hat', 'longsleeve', 'outwear', 'pants', 'shirt', 'shoes', 'shorts', 'skirt',
    't-shirt',
)


class Convolution(nn.Conv2d):
    """Padded by half the kernel, without a bias."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(
            inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: Activation | None = None,
) -> nn.Sequential:
    """Convolution, batch norm, and an activation where one is given."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=Convolution(inputs, outputs, kernel, stride, groups),
        norm=nn.BatchNorm2d(outputs, eps=NORM_EPS, momentum=NORM_MOMENTUM),
    )
    if activation is not None:
        layers["activation"] = activation()
    return nn.Sequential(layers)


class DropConnect(nn.Module):
    """In training, each image loses the branch at this rate; what is kept grows to make up."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        keep = 1 - self.rate
        if not self.training or keep == 1:
            return x
        return x * x.new_empty(len(x), 1, 1, 1).bernoulli_(keep).div_(keep)


class SqueezeExcitation(nn.Module):
    """Channels weighed by a gate computed from their means (arXiv:1709.01507)."""

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
    """Expand 1x1 to ``inner`` channels (not at all where that is 0), depthwise,
    squeeze-and-excitation, project 1x1.

    The input is added where it has the output's shape (arXiv:1801.04381, 1905.11946, 1905.02244).
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


class Network(nn.Module):
    def __init__(self, dropout: float = 0.0, drop_connect: float = 0.0) -> None:
        super().__init__()
        self.stem = conv(3, 8, 3, 2, activation=ACTIVATION)
        self.stem_pool = nn.Identity()
        self.stages = nn.Sequential(
            nn.Sequential(  # stage 1
                MBConv(8, 0, 8, squeezed=2),
            ),
            nn.Sequential(  # stage 2
                MBConv(8, 48, 8, stride=2, squeezed=2),
                MBConv(8, 48, 8, squeezed=2, drop=drop_connect * 2 / 16),
            ),
            nn.Sequential(  # stage 3
                MBConv(8, 48, 16, kernel=5, stride=2, squeezed=2),
                MBConv(16, 96, 16, kernel=5, squeezed=4, drop=drop_connect * 4 / 16),
            ),
            nn.Sequential(  # stage 4
                MBConv(16, 96, 24, stride=2, squeezed=4),
                MBConv(24, 144, 24, squeezed=6, drop=drop_connect * 6 / 16),
                MBConv(24, 144, 24, squeezed=6, drop=drop_connect * 7 / 16),
            ),
            nn.Sequential(  # stage 5
                MBConv(24, 144, 32, kernel=5, squeezed=6),
                MBConv(32, 192, 32, kernel=5, squeezed=8, drop=drop_connect * 9 / 16),
                MBConv(32, 192, 32, kernel=5, squeezed=8, drop=drop_connect * 10 / 16),
            ),
            nn.Sequential(  # stage 6
                MBConv(32, 192, 48, kernel=5, stride=2, squeezed=8),
                MBConv(48, 288, 48, kernel=5, squeezed=12, drop=drop_connect * 12 / 16),
                MBConv(48, 288, 48, kernel=5, squeezed=12, drop=drop_connect * 13 / 16),
                MBConv(48, 288, 48, kernel=5, squeezed=12, drop=drop_connect * 14 / 16),
            ),
            nn.Sequential(  # stage 7
                MBConv(48, 288, 80, squeezed=12),
            ),
        )
        self.final = nn.Identity()
        self.head = conv(80, 320, activation=ACTIVATION)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(320, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.final(self.stages(self.stem_pool(self.stem(images))))
        logits: Tensor = self.classifier(self.dropout(self.head(x).mean((2, 3))))
        return logits


def read_safetensors(path: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file: eight bytes with the length of a header, the header, which
    is JSON, and the tensors' bytes, each where the header says."""
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


def network(weights: str | None = None) -> Network:
    """b1, with the weights of a safetensors file where one is named."""
    made = Network()
    if weights is not None:
        made.load_state_dict(read_safetensors(weights))
    return made


if __name__ == "__main__":
    made = network(*sys.argv[1:2]).eval()
    images = torch.zeros(1, 3, 83, 83)
    print(f"{sum(one.numel() for one in made.parameters()):,} parameters")
    print("logits of a black image:", made(images)[0, :5].tolist(), "...")
