import numpy as np
import pytest
import torch

from scalesearch.architectures.baselines import baseline
from scalesearch.models.layers import SamePaddedConv2d
from scalesearch.models.network import build_model


def same(image, kernel, stride):
    """TensorFlow's SAME convolution, pixel by pixel (tf.nn, "Notes on padding")."""
    outputs = -(-len(image) // stride)
    missing = max((outputs - 1) * stride + len(kernel) - len(image), 0)
    padded = np.pad(image, (missing // 2, missing - missing // 2))
    return np.array(
        [
            [
                (padded[y : y + len(kernel), x : x + len(kernel)] * kernel).sum()
                for x in range(0, outputs * stride, stride)
            ]
            for y in range(0, outputs * stride, stride)
        ]
    )


@pytest.mark.parametrize("pixels", [6, 7, 8, 11])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [2, 3])
def test_an_odd_pixel_of_padding_is_right_and_below(pixels, kernel, stride):
    convolution = SamePaddedConv2d(1, 1, kernel, stride, 1)
    image = torch.randn(1, 1, pixels, pixels, generator=torch.Generator().manual_seed(0))
    weights = convolution.weight.detach()[0, 0].numpy()
    expected = same(image[0, 0].numpy(), weights, stride)
    np.testing.assert_allclose(convolution(image).detach()[0, 0], expected, atol=1e-5)


def test_padding_changes_outputs_but_no_sizes():
    tiny = baseline("efficientnet_b0", width=0.25, depth=0.3, resolution=32)
    torch.manual_seed(0)
    half, other = build_model(tiny).eval(), build_model(tiny, padding="same").eval()
    other.load_state_dict(half.state_dict())
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        one, two = (net.stages[0](net.stem(images)) for net in (half, other))
    assert one.shape == two.shape
    assert (one - two).abs().max() > 0.1 * one.abs().max()
