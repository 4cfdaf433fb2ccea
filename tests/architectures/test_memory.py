import pytest
import torch
from refusals import refused
from torch.nn.functional import cross_entropy

from scalesearch.architectures.baselines import BASELINES, baseline
from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.memory import training_memory
from scalesearch.architectures.scaled import scale
from scalesearch.models.network import build_model
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.published import PUBLISHED_MODELS
from scalesearch.scaling.rounding import ROUNDINGS

PROXY = efficientnet_b0(width=0.25, resolution=32, stem_stride=1, num_classes=10)


def kept_for_backward(architecture, batch):
    """Bytes of all tensors that autograd saves in a step, each storage once, without the weights.

    Exact, and the same on every machine: shapes suffice for it, so nothing is computed.
    """
    with torch.device("meta"):
        network = build_model(architecture).train()
        size = architecture.resolution
        images = torch.empty(batch, architecture.in_channels, size, size)
        labels = torch.zeros(batch, dtype=torch.long)
    own = {t.untyped_storage()._cdata for t in (*network.parameters(), *network.buffers())}
    saved = {}

    def remember(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            saved[storage._cdata] = storage  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        cross_entropy(network(images), labels)
    return sum(storage.nbytes() for storage in saved.values())


@pytest.mark.parametrize("name", ["b0", "b2", "b5", "b7"])
def test_the_estimate_of_the_published_family_is_within_four_percent(name):
    network = scale(efficientnet_b0(), PUBLISHED_MODELS[name].multipliers, ROUNDINGS["official"])
    estimate = training_memory(network, 16).saved_activations
    assert estimate == pytest.approx(kept_for_backward(network, 16), rel=0.04)


@pytest.mark.parametrize("by", [Multipliers(), Multipliers(2.0), Multipliers(1, 1.5, 1.3)])
def test_the_estimate_of_small_proxies_is_within_four_percent(by):
    network = scale(PROXY, by, ROUNDINGS["even"])
    assert training_memory(network, 64).saved_activations == pytest.approx(
        kept_for_backward(network, 64), rel=0.04
    )


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_the_estimate_of_every_baseline_is_within_fifteen_percent(name):
    network = baseline(name, resolution=96)
    assert training_memory(network, 4).saved_activations == pytest.approx(
        kept_for_backward(network, 4), rel=0.15
    )


def test_weights_gradients_and_state_take_four_bytes_a_parameter():
    params = cost(PROXY).params
    for optimizer, states in (("sgd", 1), ("adamw", 2), ("rmsprop", 2)):
        memory = training_memory(PROXY, 1, optimizer=optimizer)
        assert (memory.weights, memory.gradients) == (4 * params, 4 * params)
        assert memory.optimizer == 4 * params * states
        assert memory.total == memory.saved_activations + 4 * params * (2 + states)


def test_what_is_kept_grows_with_the_batch_and_halves_in_half_precision():
    one = training_memory(PROXY, 1).saved_activations
    assert training_memory(PROXY, 32).saved_activations == pytest.approx(32 * one, rel=1e-5)
    assert training_memory(PROXY, 32, value_bytes=2).saved_activations == pytest.approx(
        16 * one, rel=1e-5
    )


def test_a_batch_or_optimiser_that_cannot_be_is_refused():
    with refused(ValueError):
        training_memory(PROXY, 0)
    with refused(ValueError):
        training_memory(PROXY, 1, optimizer="adam")
