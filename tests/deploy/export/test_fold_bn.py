import copy

import pytest
import torch
from refusals import refused
from torch import nn

from scalesearch.architectures.baselines import BASELINES, baseline
from scalesearch.deploy.export.fold_bn import fold_batch_norms
from scalesearch.models.cpu_kernels import replace_narrow_strides
from scalesearch.models.network import build_model


def randomise_norms(network, seed=0):
    """Set random statistics and parameters of norms, unlike those after construction."""
    generator = torch.Generator().manual_seed(seed)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.3, generator=generator)
            norm.running_var.uniform_(0.3, 3, generator=generator)
            nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(norm.bias, 0, 0.3, generator=generator)
    return network.eval()


def random_network(name, **options):
    torch.manual_seed(0)
    return randomise_norms(
        build_model(baseline(name, width=0.25, resolution=32, num_classes=7), **options)
    )


def random_images(count=3, pixels=32):
    return torch.randn(count, 3, pixels, pixels, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def logit_difference(network, other_network, images_BCHW):
    """The largest difference of logits, relative to the largest logit or to 1."""
    logits, other_logits = network(images_BCHW), other_network(images_BCHW)
    return float((logits - other_logits).abs().max() / logits.abs().max().clamp_min(1))


LARGE = {"resnet34", "resnet101", "resnet152", "efficientnetv2_s", "densenet169"}
CASES = [(name, "half") for name in BASELINES if name not in LARGE]
CASES += [("efficientnet_b0", "same"), ("mobilenet_v3_large", "same"), ("resnet18", "same")]


@pytest.mark.parametrize(("name", "padding"), CASES)
def test_folding_norms_changes_no_logit_by_more_than_1e_5(name, padding):
    original = random_network(name, padding=padding, dropout=0.2, drop_connect=0.2)
    folded = fold_batch_norms(original)
    module_types = [type(module) for module in folded.modules()]
    assert nn.Dropout not in module_types
    # DenseNet's 58 blocks and 3 transitions each begin with a norm, and so does its end.
    assert module_types.count(nn.BatchNorm2d) == (62 if name == "densenet121" else 0)
    assert logit_difference(original, folded, random_images()) < 1e-5
    assert (
        logit_difference(original, folded, random_images(1, 45)) < 1e-5
    )  # where SAME pads unevenly


def test_folding_does_not_change_the_original_network():
    original = random_network("resnet18").train()
    state = copy.deepcopy(original.state_dict())
    folded = fold_batch_norms(original)
    assert original.training
    assert not folded.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in original.state_dict().items())
    assert not any(parameter.requires_grad for parameter in folded.parameters())


def test_folding_keeps_the_replacements_of_narrow_strides():
    convolution_and_norm = nn.Sequential(
        nn.Conv2d(3, 4, 1, stride=2, bias=False), nn.BatchNorm2d(4)
    )
    original = replace_narrow_strides(randomise_norms(convolution_and_norm))
    assert logit_difference(original, fold_batch_norms(original), random_images()) < 1e-6


def test_folding_accepts_a_norm_without_parameters():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 2, 1))
    with torch.no_grad():
        network[1].running_mean.add_(0.5)
    folded = fold_batch_norms(network.eval())
    assert isinstance(folded[1], nn.Identity)
    assert logit_difference(network, folded, random_images()) < 1e-6


def test_a_norm_after_no_convolution_is_kept():
    activation_and_norm = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3))
    assert isinstance(fold_batch_norms(randomise_norms(activation_and_norm))[1], nn.BatchNorm2d)


def test_a_norm_without_statistics_is_refused():
    convolution_and_norm = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)
    )
    with refused(ValueError):
        fold_batch_norms(convolution_and_norm)
