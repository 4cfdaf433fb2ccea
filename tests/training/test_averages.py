"""Averaged weights: their values, and that the network's own weights are restored."""

import copy
from collections.abc import Callable

import pytest
import torch
from refusals import refused
from torch import nn

from scalesearch.architectures.stages import Architecture
from scalesearch.models.network import build_model
from scalesearch.training.ema import EMA


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def moved(module: nn.Module, by: float) -> None:
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor += tensor.new_tensor(by)


def values(module: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(module.state_dict())


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_averages_start_as_a_copy_of_weights_and_running_statistics() -> None:
    module = network()
    averages, first = EMA(module, 0.9), values(module)
    moved(module, 1)
    del first["1.num_batches_tracked"]
    assert_same(averages.state_dict(), first)


def test_the_decay_rises_with_the_steps_to_its_bound() -> None:
    """After weights 1, 2, 3 from 0, by hand: decays 1/10, 2/11, then the bound 0.2."""
    module = nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(0.0)
    averages, average = EMA(module, 0.2), 0.0
    for step, decay in enumerate([1 / 10, 2 / 11, 0.2]):
        moved(module, 1)
        averages.update(step)
        average = decay * average + (1 - decay) * (step + 1)
        assert averages.state_dict()["weight"].item() == pytest.approx(average)


def test_a_tensor_weight_moves_averages_by_the_same_bits() -> None:
    module = network()
    by_number, by_tensor = EMA(module, 0.99), EMA(module, 0.99)
    for step in range(3):
        moved(module, 0.37)
        by_number.update(step)
        by_tensor.interpolate(torch.tensor(by_tensor.ema_weight(step)))
    assert_same(by_number.state_dict(), by_tensor.state_dict())


def test_swap_weights_uses_averages_within_the_block_and_restores_every_bit() -> None:
    module = network()
    averages = EMA(module, 0.9)
    moved(module, 0.1)
    averages.update(100)
    own, addresses = values(module), [p.data_ptr() for p in module.parameters()]
    expected = values(module) | copy.deepcopy(averages.state_dict())
    with averages.swap_weights():
        assert_same(values(module), expected)
        assert [p.data_ptr() for p in module.parameters()] == addresses
    assert_same(values(module), own)
    assert not torch.equal(expected["0.weight"], own["0.weight"])


def test_swap_weights_restores_the_weights_after_an_error() -> None:
    module = network()
    averages = EMA(module, 0.9)
    moved(module, 0.1)
    own = values(module)
    with pytest.raises(RuntimeError, match="evaluation failed"), averages.swap_weights():
        raise RuntimeError("evaluation failed")
    assert_same(values(module), own)


class Tied(nn.Module):
    """One weight under two names, and a buffer that ``state_dict`` leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(2, 2, bias=False)
        self.other = nn.Linear(2, 2, bias=False)
        self.other.weight = self.one.weight
        self.register_buffer("scale", torch.ones(1), persistent=False)


@pytest.mark.parametrize("made", [network, Tied])
def test_copy_to_network_replaces_weights_and_statistics(made: Callable[[], nn.Module]) -> None:
    module = made()
    averages = EMA(module, 0.9)
    moved(module, 1)
    averages.update(100)
    with averages.swap_weights():
        expected = values(module)
    averages.copy_to_network()
    assert_same(values(module), expected)
    for name, average in averages.state_dict().items():
        assert torch.equal(
            dict([*module.named_parameters(), *module.named_buffers()])[name], average
        )


def test_training_continues_with_the_own_weights_after_an_evaluation() -> None:
    torch.manual_seed(0)
    module = network()
    twin, images = copy.deepcopy(module), torch.rand(5, 3)
    averages = EMA(module, 0.9)
    for one in (module, twin):
        optimizer = torch.optim.SGD(one.parameters(), lr=0.1, momentum=0.9)
        for step in range(3):
            optimizer.zero_grad()
            one(images).square().sum().backward()
            optimizer.step()
            if one is module:
                averages.update(step)
                with averages.swap_weights(), torch.inference_mode():
                    module.eval()(images)
                module.train()
    assert_same(values(module), values(twin))


def test_loaded_averages_continue_without_a_difference() -> None:
    module = network()
    averages = EMA(module, 0.9)
    moved(module, 0.3)
    averages.update(0)
    other = EMA(module, 0.9)
    other.load_state_dict(copy.deepcopy(averages.state_dict()))
    moved(module, 0.3)
    averages.update(1)
    other.update(1)
    assert_same(averages.state_dict(), other.state_dict())


def test_averages_of_another_network_are_refused() -> None:
    saved = EMA(nn.Linear(3, 4), 0.9).state_dict()
    with refused(KeyError):
        EMA(network(), 0.9).load_state_dict(saved)


def test_averages_keep_the_memory_layout(architecture: Architecture) -> None:
    module = build_model(architecture).to(memory_format=torch.channels_last)
    averages = EMA(module, 0.9).state_dict()
    assert all(
        averages[name].stride() == parameter.stride()
        for name, parameter in module.named_parameters()
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_graph_replays_averages_with_new_weights() -> None:
    module = network().cuda()
    averages, eager = EMA(module, 0.99), EMA(module, 0.99)
    weight, graph = torch.zeros((), device="cuda"), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        averages.interpolate(weight)
    for step in range(3):
        moved(module, 0.37)
        weight.fill_(averages.ema_weight(step))
        graph.replay()
        eager.update(step)
    for name, value in averages.state_dict().items():
        torch.testing.assert_close(value, eager.state_dict()[name])
