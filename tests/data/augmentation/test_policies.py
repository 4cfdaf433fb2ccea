"""AutoAugment and its like, through kornia."""

import sys

import pytest
import torch
from refusals import refused

from scalesearch.data.augmentation import pipeline as policies
from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.pipeline import apply_policy, training_inputs
from scalesearch.errors import DataError

POLICIES = ("autoaugment", "randaugment", "trivialaugment")


@pytest.fixture
def same_images() -> torch.Tensor:
    """One picture many times over, so that any difference comes from a policy."""
    pytest.importorskip("kornia")
    levels = torch.linspace(0, 255, 3 * 16 * 16).to(torch.uint8).view(1, 3, 16, 16)
    return levels.roll(3, -1).expand(32, -1, -1, -1)


@pytest.mark.parametrize("policy", POLICIES)
def test_images_of_one_batch_get_different_policies(policy, same_images, monkeypatch):
    chosen = []
    made = policies._load_policy(policy)

    def spying(images):
        result = made(images)
        chosen.append(tuple(operation.name for operation in made._params))
        return result

    monkeypatch.setattr(policies, "_load_policy", lambda _: spying)
    result = apply_policy(same_images, torch.arange(32), policy)
    assert (result.shape, result.dtype) == (same_images.shape, torch.uint8)
    assert len(chosen) == 4
    assert len(set(chosen)) >= 3


@pytest.mark.parametrize("policy", POLICIES)
def test_draws_decide_and_the_callers_random_state_is_left_alone(policy, same_images):
    seeds = torch.arange(32)
    before = torch.get_rng_state()
    first = apply_policy(same_images, seeds, policy)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert torch.equal(apply_policy(same_images, seeds, policy), first)
    assert not torch.equal(apply_policy(same_images, seeds + 1000, policy), first)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_networks_number_format_changes_no_pixel(policy, same_images):
    exact = apply_policy(same_images, torch.arange(32), policy)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(apply_policy(same_images, torch.arange(32), policy), exact)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("policy", POLICIES)
def test_on_cuda_draws_decide_too_and_the_devices_random_state_is_left_alone(policy, same_images):
    images, seeds = same_images.cuda(), torch.arange(32, device="cuda")
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    with torch.autocast("cuda", torch.bfloat16):
        first = apply_policy(images, seeds, policy)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.get_rng_state(), before[1])
    assert first.is_cuda
    torch.cuda.manual_seed(99)
    again = apply_policy(images, seeds, policy)
    assert (again.int() - first.int()).abs().max() <= 1  # sums in another order
    assert not torch.equal(apply_policy(images, seeds + 1000, policy), first)


@pytest.mark.parametrize("policy", POLICIES)
def test_grey_images_come_back_grey(policy, same_images):
    grey = same_images[:, :1]
    assert apply_policy(grey, torch.arange(32), policy).shape == grey.shape


def test_a_policy_comes_before_all_else(same_images, make_view):
    view = make_view(16, policy="randaugment", cutout=0.5)
    rows = epoch_draws(view.augmentation, 32, 3)
    labels = torch.zeros(32, dtype=torch.int64)
    result, _ = training_inputs(same_images, labels, rows, view, 16)
    first = apply_policy(same_images, rows["policy"], "randaugment")
    expected, _ = training_inputs(first, labels, {"cutout": rows["cutout"]}, view, 16)
    assert torch.equal(result, expected)


def test_without_kornia_the_message_says_what_to_install(images, monkeypatch):
    policies._load_policy.cache_clear()
    monkeypatch.setitem(sys.modules, "kornia.augmentation.auto", None)
    with refused(DataError):
        apply_policy(images, torch.arange(24), "randaugment")
