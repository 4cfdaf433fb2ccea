"""The formats' speeds, measured in a second."""

import pytest
import torch

from scalesearch.training import precision_bench as probing
from scalesearch.training.precision_bench import benchmark_precisions


def test_each_format_is_measured_and_nothing_is_left_behind():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    found = benchmark_precisions("cpu")
    assert found.images_per_second.keys() == {"fp32", "mixed"}
    assert min(found.images_per_second.values()) > 0
    rates = found.images_per_second
    assert found.gain == pytest.approx(rates["mixed"] / rates["fp32"])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("worth", "advice"), [(0.0, "set recipe.precision: mixed"), (1e9, "keep fp32")]
)
def test_only_a_gain_that_is_worth_it_is_advised(monkeypatch, worth, advice):
    monkeypatch.setattr(probing, "MIN_SPEEDUP", worth)
    assert benchmark_precisions("cpu").advice.endswith(advice)
