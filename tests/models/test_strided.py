"""Strided 1x1 convolutions of few channels equal those without the stride."""

import pytest
import torch
from torch import nn

from scalesearch.models.cpu_kernels import replace_narrow_strides


@pytest.mark.parametrize(("channels", "narrow"), [(4, True), (7, True), (8, False)])
def test_a_narrow_strided_convolution_gives_the_same_outputs_and_gradients(channels, narrow):
    torch.manual_seed(0)
    plain, changed = (nn.Conv2d(channels, 6, 1, stride=2) for _ in range(2))
    changed.load_state_dict(plain.state_dict())
    replace_narrow_strides(nn.Sequential(changed))
    assert changed.stride == ((1, 1) if narrow else (2, 2))
    x_BCHW = torch.randn(3, channels, 7, 7)  # in PyTorch's own order, which is safe
    for layer in (plain, changed):
        layer(x_BCHW).square().sum().backward()
    torch.testing.assert_close(changed(x_BCHW), plain(x_BCHW))
    torch.testing.assert_close(changed.weight.grad, plain.weight.grad)


def test_other_convolutions_stay_as_they_are():
    network = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.Conv2d(6, 6, 1))
    replace_narrow_strides(network)
    assert [layer.stride for layer in network] == [(2, 2), (1, 1)]
    assert not any(layer._forward_pre_hooks for layer in network)
