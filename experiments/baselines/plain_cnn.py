"""A network as code: plain residual blocks in three stages, scaled by rules of its own.

The rules are two lines: blocks are rounded, and channels to the nearest even number. The resolution
needs no change of the network. Any callable of (depth, width, resolution, num_classes)
that returns a module will do; ``in_channels`` is passed to one that takes it.
"""

from torch import Tensor, nn

STAGES = ((2, 8, 1), (3, 12, 2), (4, 20, 2))  # blocks, channels, stride


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return (self.shortcut(images_BCHW) + self.branch(images_BCHW)).relu()


def factory(
    depth: float, width: float, resolution: int, num_classes: int, in_channels: int = 3
) -> nn.Module:
    """The network at these multipliers of depth and width."""
    layers: list[nn.Module] = []
    channels = in_channels
    for blocks, stage_channels, stride in STAGES:
        outputs = 2 * max(1, round(stage_channels * width / 2))
        for block in range(max(1, round(blocks * depth))):
            layers.append(Block(channels, outputs, stride if block == 0 else 1))
            channels = outputs
    pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
    return nn.Sequential(*layers, *pooled)
