"""Networks with random weights and statistics, in which no two tensors are equal."""

import torch
from torch import Tensor, nn


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """Set norms, kernels and biases at random and return the network in evaluation mode.

    After construction, norms and biases are only zeros and ones. The scale of the kernels keeps
    activations about equally large from layer to layer.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw_uniform(tensor: Tensor, low: float, high: float) -> None:
        with torch.no_grad():
            tensor.copy_(torch.empty(tensor.shape).uniform_(low, high, generator=generator))

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            draw_uniform(module.weight, 0.7, 1.3)
            draw_uniform(module.bias, -0.3, 0.3)
            draw_uniform(module.running_mean, -0.3, 0.3)
            draw_uniform(module.running_var, 0.05, 1.0)  # the norms' eps has to show
            module.num_batches_tracked.fill_(17)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            with torch.no_grad():
                inputs = module.weight[0].numel()
                module.weight.copy_(
                    torch.randn(module.weight.shape, generator=generator) * (0.7 / inputs) ** 0.5
                )
            if module.bias is not None:
                draw_uniform(module.bias, -0.5, 0.5)
    return network.eval()


def images(side: int, count: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def logits(network: nn.Module, images_BCHW: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(images_BCHW)


def distance(logits_of_one: Tensor, logits_of_other: Tensor) -> float:
    """The greatest difference, relative to the greatest logit."""
    return float((logits_of_one - logits_of_other).abs().max() / logits_of_other.abs().max())
