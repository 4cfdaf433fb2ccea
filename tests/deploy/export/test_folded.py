import copy

import pytest
import torch
from torch import nn

from scalesearch.architectures.baselines import BASELINES, baseline
from scalesearch.deploy.export.fold_bn import fold_batch_norms
from scalesearch.models.cpu_kernels import replace_narrow_strides
from scalesearch.models.network import build_model


def perturbed(network, seed=0):
    """The network with statistics and affine parameters that no norm begins with."""
    generator = torch.Generator().manual_seed(seed)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.3, generator=generator)
            norm.running_var.uniform_(0.3, 3, generator=generator)
            nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(norm.bias, 0, 0.3, generator=generator)
    return network.eval()


def network(name, **options):
    torch.manual_seed(0)
    return perturbed(
        build_model(baseline(name, width=0.25, resolution=32, num_classes=7), **options)
    )


def images(count=3, pixels=32):
    return torch.randn(count, 3, pixels, pixels, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def difference(one, other, images_BCHW):
    """The largest of a logit, relative to the largest logit or to 1."""
    mine, theirs = one(images_BCHW), other(images_BCHW)
    return float((mine - theirs).abs().max() / mine.abs().max().clamp_min(1))


LARGE = {"resnet34", "resnet101", "resnet152", "efficientnetv2_s", "densenet169"}
CASES = [(name, "half") for name in BASELINES if name not in LARGE]
CASES += [("efficientnet_b0", "same"), ("mobilenet_v3_large", "same"), ("resnet18", "same")]


@pytest.mark.parametrize(("name", "padding"), CASES)
def test_folding_norms_changes_no_logit_by_more_than_1e_5(name, padding):
    before = network(name, padding=padding, dropout=0.2, drop_connect=0.2)
    after = fold_batch_norms(before)
    left = [type(module) for module in after.modules()]
    assert nn.Dropout not in left
    # DenseNet's 58 blocks and 3 transitions each begin with a norm, and so does its end.
    assert left.count(nn.BatchNorm2d) == (62 if name == "densenet121" else 0)
    assert difference(before, after, images()) < 1e-5
    assert difference(before, after, images(1, 45)) < 1e-5  # where SAME pads unevenly


def test_folding_leaves_the_network_as_it_was():
    before = network("resnet18").train()
    state = copy.deepcopy(before.state_dict())
    after = fold_batch_norms(before)
    assert before.training
    assert not after.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in before.state_dict().items())
    assert not any(parameter.requires_grad for parameter in after.parameters())


def test_folding_keeps_what_narrow_strides_were_replaced_by():
    pair = nn.Sequential(nn.Conv2d(3, 4, 1, stride=2, bias=False), nn.BatchNorm2d(4))
    before = replace_narrow_strides(perturbed(pair))
    assert difference(before, fold_batch_norms(before), images()) < 1e-6


def test_folding_takes_a_bias_and_a_norm_without_parameters():
    pair = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 2, 1))
    with torch.no_grad():
        pair[1].running_mean.add_(0.5)
    after = fold_batch_norms(pair.eval())
    assert isinstance(after[1], nn.Identity)
    assert difference(pair, after, images()) < 1e-6


def test_a_norm_that_follows_no_convolution_stays():
    lone = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3))
    assert isinstance(fold_batch_norms(perturbed(lone))[1], nn.BatchNorm2d)


def test_a_norm_without_statistics_is_refused():
    pair = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))
    with pytest.raises(ValueError, match="need a batch norm with running statistics"):
        fold_batch_norms(pair)
