"""The benchmark of number formats."""

import pytest
import torch

from scalesearch.training import precision_bench as probing
from scalesearch.training.precision_bench import benchmark_precisions


def test_each_format_is_measured_without_side_effects():
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
def test_a_format_is_advised_only_for_a_large_gain(monkeypatch, worth, advice):
    monkeypatch.setattr(probing, "MIN_SPEEDUP", worth)
    assert benchmark_precisions("cpu").advice.endswith(advice)
