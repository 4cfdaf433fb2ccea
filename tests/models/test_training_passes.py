"""Our own backward passes compared with those of autograd."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from scalesearch.architectures.baselines import baseline
from scalesearch.models.cpu_kernels import DepthwiseConv2d, weight_gradient
from scalesearch.models.layers import SqueezeExcitation
from scalesearch.models.network import build_model


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("pixels", [1, 2, 3, 4, 7, 8])
def test_a_depthwise_convolution_has_autograds_gradients(kernel, stride, pixels):
    torch.manual_seed(0)
    layer = DepthwiseConv2d(6, kernel, stride).double()
    x = torch.randn(3, 6, pixels, pixels, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    expected = F.conv2d(x, layer.weight, None, stride, kernel // 2, 1, 6)
    assert torch.equal(y, expected)
    weigh = torch.randn_like(y)
    ours = torch.autograd.grad((y * weigh).sum(), (x, layer.weight))
    theirs = torch.autograd.grad((expected * weigh).sum(), (x, layer.weight))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("stride", [1, 2])
def test_in_bfloat16_a_depthwise_convolution_rounds_and_no_more(stride):
    torch.manual_seed(0)
    layer = DepthwiseConv2d(16, 5, stride)
    x = torch.randn(4, 16, 8, 8).bfloat16().requires_grad_()
    layer(x).float().square().sum().backward()
    exact = DepthwiseConv2d(16, 5, stride)
    exact.load_state_dict(layer.state_dict())
    wide = x.detach().float().requires_grad_()
    exact(wide).square().sum().backward()
    for ours, theirs in ((layer.weight.grad, exact.weight.grad), (x.grad.float(), wide.grad)):
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


def test_the_weights_gradient_does_not_depend_on_the_memory_layout():
    torch.manual_seed(0)
    x, grad = torch.randn(2, 4, 9, 9), torch.randn(2, 4, 9, 9)
    weight = torch.empty(4, 1, 5, 5)
    last = torch.channels_last
    rows = weight_gradient(grad, x, weight, 1)
    columns = weight_gradient(
        grad.contiguous(memory_format=last), x.contiguous(memory_format=last), weight, 1
    )
    torch.testing.assert_close(rows, columns)


@pytest.mark.parametrize("gate", [torch.sigmoid, F.hardsigmoid])
def test_squeeze_and_excitation_has_autograds_gradients(gate):
    torch.manual_seed(0)
    layer = SqueezeExcitation(8, 3, nn.SiLU(), gate).double()
    x = torch.randn(4, 8, 5, 5, dtype=torch.float64, requires_grad=True)
    expected = x * layer.gates(x.mean((2, 3), keepdim=True))
    y = layer(x)
    torch.testing.assert_close(y, expected)
    weigh = torch.randn_like(y)
    wanted = (x, *layer.parameters())
    ours = torch.autograd.grad((y * weigh).sum(), wanted)
    theirs = torch.autograd.grad((expected * weigh).sum(), wanted)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_squeeze_and_excitation_trains_with_a_part_frozen():
    torch.manual_seed(0)
    layer = SqueezeExcitation(8, 3, nn.SiLU())
    x = torch.randn(4, 8, 5, 5, requires_grad=True)
    layer(x).square().sum().backward()
    whole = {name: weight.grad.clone() for name, weight in layer.named_parameters()}
    layer.zero_grad()
    layer.reduce.requires_grad_(False)
    layer(x).square().sum().backward()
    assert layer.reduce.weight.grad is None
    assert layer.reduce.bias.grad is None
    assert torch.equal(layer.expand.weight.grad, whole["expand.weight"])
    assert torch.equal(layer.expand.bias.grad, whole["expand.bias"])


def test_evaluation_and_training_compute_the_same_outputs():
    torch.manual_seed(0)
    network = build_model(baseline("efficientnet_b0", width=0.25, resolution=32, num_classes=5))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    x = torch.randn(2, 3, 32, 32)
    trained = network(x).detach()
    with torch.no_grad():
        torch.testing.assert_close(network(x), trained)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_tracing_a_training_network_sees_ordinary_convolutions():
    network = build_model(baseline("efficientnet_b0", width=0.25, resolution=32, num_classes=5))
    traced = torch.jit.trace(network, torch.randn(2, 3, 32, 32), check_trace=False)
    kinds = {node.kind() for node in traced.inlined_graph.nodes()}
    assert "aten::_convolution" in kinds
    assert "prim::PythonOp" not in kinds


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_exact_depthwise_convolution_computes_in_float32_also_under_autocast(dtype, training):
    torch.manual_seed(0)
    layer = DepthwiseConv2d(6, 3, 1).train(training)
    x = torch.randn(2, 6, 8, 8).to(dtype)
    with torch.no_grad():
        expected = F.conv2d(x.float(), layer.weight, None, 1, 1, 1, 6).to(dtype)
    layer.keeps_full_precision = True
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == dtype
    assert torch.equal(y, expected)
