"""Several networks of one shape as a single network, with their channels side by side.

    python benchmarks/stack.py      compares outputs and gradients with those of the single networks

Convolutions are grouped by network; with ``use_products`` 1x1 convolutions are batched matrix
products instead. Suffix K stands for networks.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


class PointwiseFunction(torch.autograd.Function):
    """1x1 convolutions of K networks without a copy of a feature map.

    The input is (B, K * I, H, W) in channels_last order, the weight (K, O, I), and the output
    (B, K * O, H, W).
    """

    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, weight_KOI: Tensor) -> Tensor:
        networks, outputs, inputs = weight_KOI.shape
        count, _, height, width = x_BCHW.shape
        x_BCHW = x_BCHW.contiguous(memory_format=torch.channels_last)
        weight_KOI = weight_KOI.to(x_BCHW.dtype)
        rows_NKI = x_BCHW.permute(0, 2, 3, 1).reshape(-1, networks, inputs)
        y_NKO = x_BCHW.new_empty(len(rows_NKI), networks, outputs)
        torch.bmm(rows_NKI.transpose(0, 1), weight_KOI.transpose(1, 2), out=y_NKO.transpose(0, 1))
        ctx.save_for_backward(x_BCHW, weight_KOI)
        return y_NKO.view(count, height, width, networks * outputs).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, grad_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        x_BCHW, weight_KOI = ctx.saved_tensors
        networks, outputs, inputs = weight_KOI.shape
        count, _, height, width = x_BCHW.shape
        grad_BCHW = grad_BCHW.contiguous(memory_format=torch.channels_last)
        grad_KNO = grad_BCHW.permute(0, 2, 3, 1).reshape(-1, networks, outputs).transpose(0, 1)
        rows_KNI = x_BCHW.permute(0, 2, 3, 1).reshape(-1, networks, inputs).transpose(0, 1)
        grad_x_NKI = grad_BCHW.new_empty(rows_KNI.shape[1], networks, inputs)
        torch.bmm(grad_KNO, weight_KOI, out=grad_x_NKI.transpose(0, 1))
        grad_x = grad_x_NKI.view(count, height, width, networks * inputs).permute(0, 3, 1, 2)
        return grad_x, torch.bmm(grad_KNO.transpose(1, 2), rows_KNI).float()


class StackedPointwise(nn.Module):
    """1x1 convolutions of several networks as batched matrix products."""

    def __init__(self, convolutions: Sequence[Any]) -> None:
        super().__init__()
        weights = [convolution.weight.detach().flatten(1) for convolution in convolutions]
        self.weight = nn.Parameter(torch.stack(weights))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        device_type = x_BCHW.device.type
        if torch.is_autocast_enabled(device_type):
            x_BCHW = x_BCHW.to(torch.get_autocast_dtype(device_type))
        y_BCHW: Tensor = PointwiseFunction.apply(x_BCHW, self.weight)  # type: ignore[no-untyped-call]
        return y_BCHW


class StackedLinear(nn.Module):
    """Classifiers of several networks: (B, K * features) to (K, B, classes)."""

    def __init__(self, layers: Sequence[Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, x_BC: Tensor) -> Tensor:
        x_KBC = x_BC.view(len(x_BC), len(self.weight), -1).transpose(0, 1)
        bias, weight = self.bias[:, None].to(x_BC.dtype), self.weight.to(x_BC.dtype)
        return torch.baddbmm(bias, x_KBC, weight.transpose(1, 2))


def stack_networks(networks: Sequence[nn.Module], *, use_products: bool = False) -> Any:
    """Stack networks of one shape; the input is (B, K * channels, H, W)."""
    stacked = copy.deepcopy(networks[0])
    for name, module in list(stacked.named_modules()):
        layers: list[Any] = [network.get_submodule(name) for network in networks]
        if isinstance(module, nn.Conv2d):
            is_pointwise = module.kernel_size == (1, 1) and module.bias is None
            new_layer = (
                StackedPointwise(layers)
                if use_products and is_pointwise
                else _grouped_convolution(module, layers)
            )
        elif isinstance(module, nn.BatchNorm2d):
            new_layer = _wide_norm(module, layers)
        elif isinstance(module, nn.Linear):
            new_layer = StackedLinear(layers)
        else:
            continue
        parent, _, leaf = name.rpartition(".")
        setattr(stacked.get_submodule(parent), leaf, new_layer)
    return stacked


def _grouped_convolution(convolution: nn.Conv2d, layers: Sequence[Any]) -> nn.Module:
    count, padding = len(layers), convolution.padding
    grouped = nn.Conv2d(
        count * convolution.in_channels,
        count * convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]
        convolution.stride,  # type: ignore[arg-type]
        padding,  # type: ignore[arg-type]
        groups=count * convolution.groups,
        bias=convolution.bias is not None,
    )
    grouped.weight.data.copy_(torch.cat([layer.weight.detach() for layer in layers]))
    if grouped.bias is not None:
        grouped.bias.data.copy_(torch.cat([layer.bias.detach() for layer in layers]))
    return grouped


def _wide_norm(norm: nn.BatchNorm2d, layers: Sequence[Any]) -> nn.Module:
    wide = nn.BatchNorm2d(len(layers) * norm.num_features, eps=norm.eps, momentum=norm.momentum)
    for name in NORM_TENSORS:
        values = torch.cat([getattr(layer, name).detach() for layer in layers])
        getattr(wide, name).data.copy_(values)
    return wide


def use_plain_layers() -> None:
    """Switch off our backward passes for the CPU, which a stacked network cannot use."""
    from scalesearch.models import cpu_kernels, layers

    for module in (cpu_kernels, layers):
        module.is_training_on_cpu = lambda *arguments: False  # type: ignore[attr-defined]


def main() -> None:
    """Print the largest differences between stacked and single networks."""
    from scalesearch.architectures.baselines import baseline
    from scalesearch.models.initialisation import initialise
    from scalesearch.models.network import build_model

    use_plain_layers()
    architecture = baseline(
        "efficientnet_b0", width=0.25, depth=0.5, resolution=16, stem_stride=1, num_classes=10
    )
    count, batch_size = 3, 8
    networks: list[Any] = []
    for seed in range(count):
        network = build_model(architecture)
        initialise(network, torch.Generator().manual_seed(seed), "fan_in")
        networks.append(network.to(memory_format=torch.channels_last).train())  # type: ignore[call-overload]
    images_KBCHW = torch.randn(count, batch_size, 3, 16, 16)
    labels_KB = torch.randint(0, 10, (count, batch_size))
    stacks = [
        stack_networks([copy.deepcopy(network) for network in networks], use_products=use_products)
        for use_products in (False, True)
    ]
    single_logits = [network(images_KBCHW[k]) for k, network in enumerate(networks)]
    sum(F.cross_entropy(x, labels_KB[k]) for k, x in enumerate(single_logits)).backward()  # type: ignore[union-attr]
    for name, stacked in zip(("grouped", "products"), stacks, strict=True):
        stacked.to(memory_format=torch.channels_last).train()
        images_BCHW = images_KBCHW.transpose(0, 1).reshape(batch_size, count * 3, 16, 16)
        logits = stacked(images_BCHW.contiguous(memory_format=torch.channels_last))
        sum(F.cross_entropy(logits[k], labels_KB[k]) for k in range(count)).backward()  # type: ignore[union-attr]
        differences = [(logits[k] - single_logits[k]).detach() for k in range(count)]
        logits_error = max(float(difference.abs().max()) for difference in differences)
        gradients = stacked.stem.conv.weight.grad.chunk(count)
        gradient_error = max(
            float((gradient - network.stem.conv.weight.grad).abs().max())
            / float(network.stem.conv.weight.grad.abs().max())
            for gradient, network in zip(gradients, networks, strict=True)
        )
        print(
            f"{name}: logits differ by {logits_error:.2g}, stem gradients by {gradient_error:.2g}"
        )


if __name__ == "__main__":
    main()
