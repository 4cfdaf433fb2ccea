"""DenseNet compared with torchvision: equal logits for equal weights, and equal counts."""

from types import ModuleType

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.cost import cost
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.models.blocks import DenseLayer, TransitionLayer
from scalesearch.models.fvcore_count import fvcore_macs
from scalesearch.models.network import build_model


def test_densenet_169_has_torchvisions_logits_and_multiply_adds(torchvision: ModuleType) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.densenet169().eval()
    ours = build_model(baseline("densenet169"), norm_eps=1e-5).eval()
    tensors = zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict({name: tensor for (name, _), tensor in tensors})
    image_BCHW = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(image_BCHW), theirs(image_BCHW), rtol=1e-4, atol=1e-5)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        theirs.to("meta")(torch.empty(1, 3, 224, 224, device="meta"))
    assert counter.get_total_flops() // 2 == cost(baseline("densenet169")).macs == 3_359_843_328


@pytest.mark.slow
def test_fvcore_counts_densenet_169_at_224_pixels_alike() -> None:
    assert fvcore_macs(baseline("densenet169")) == cost(baseline("densenet169")).macs


def test_a_dense_block_appends_to_its_input() -> None:
    network = build_model(
        Architecture(8, (Stage(2, 4, expansion=2, squeeze=0, block="dense"),), 0, 8)
    ).eval()
    first, second = (module for module in network.modules() if isinstance(module, DenseLayer))
    x_BCHW = torch.randn(2, 8, 4, 4)
    y_BCHW = second(first(x_BCHW))
    assert y_BCHW.shape == (2, 16, 4, 4)
    assert torch.equal(y_BCHW[:, :8], x_BCHW)
    assert torch.equal(y_BCHW[:, :12], first(x_BCHW))
    assert network.classifier.in_features == 16


def test_a_transition_averages_at_the_edge_over_the_pixels_there_are() -> None:
    stage = Stage(1, 4, 2, kernel=1, squeeze=0, block="transition")
    network = build_model(Architecture(8, (stage,), 0, 8)).eval()
    (transition,) = (module for module in network.modules() if isinstance(module, TransitionLayer))
    nn.init.constant_(transition.conv.weight, 1 / 8)
    transition.before = nn.Identity()
    ones_BCHW = torch.ones(1, 8, 5, 5)
    torch.testing.assert_close(transition(ones_BCHW), torch.ones(1, 4, 3, 3))
