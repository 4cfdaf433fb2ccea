"""Networks whose weights and statistics are drawn, so that no tensor of them may be mistaken for
another unnoticed."""

import torch
from torch import Tensor, nn


def stirred(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network in evaluation mode; its norms' statistics and weights, and all biases, drawn.

    As they are made, all of them are zeros and ones. Kernels get the size that neither drowns the
    image in what the layers add nor lets it grow from layer to layer.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor: Tensor, low: float, high: float) -> None:
        with torch.no_grad():
            tensor.copy_(torch.empty(tensor.shape).uniform_(low, high, generator=generator))

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            draw(module.weight, 0.7, 1.3)
            draw(module.bias, -0.3, 0.3)
            draw(module.running_mean, -0.3, 0.3)
            draw(module.running_var, 0.05, 1.0)  # the norms' eps has to show
            module.num_batches_tracked.fill_(17)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            with torch.no_grad():
                fan = module.weight[0].numel()
                module.weight.copy_(
                    torch.randn(module.weight.shape, generator=generator) * (0.7 / fan) ** 0.5
                )
            if module.bias is not None:
                draw(module.bias, -0.5, 0.5)
    return network.eval()


def images(side: int, count: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def logits(network: nn.Module, images_BCHW: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(images_BCHW)


def distance(a: Tensor, b: Tensor) -> float:
    """The greatest difference, relative to the greatest logit."""
    return float((a - b).abs().max() / b.abs().max())
