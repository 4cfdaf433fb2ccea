from dataclasses import replace

import pytest
from refusals import refused

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.benchmarking.benchmark import check_latency_model
from scalesearch.benchmarking.timing import NetworkTiming
from scalesearch.errors import ArchitectureError
from scalesearch.models.named import NamedNetwork

MODEL = LatencyModel(
    seconds_per_mac=1e-10,
    seconds_per_activation=1e-9,
    seconds_per_block=1e-4,
    overhead_seconds=0,
    batch_size=8,
)
NETWORKS = [
    NamedNetwork(f"at {pixels}", efficientnet_b0(resolution=pixels)) for pixels in (64, 128, 224)
]


def timings(factors):
    """Times that differ from those of the model by these factors."""
    return [
        NetworkTiming(named.name, 8, "eager", 10, MODEL.predicted_seconds(named.network) * factor)
        for named, factor in zip(NETWORKS, factors, strict=True)
    ]


def test_a_correct_model_has_correlation_one_and_no_error():
    check = check_latency_model(MODEL, NETWORKS, timings((1, 1, 1)))
    assert check.correlation == pytest.approx(1)
    assert check.median_error == pytest.approx(0)
    assert check.summary == "latency model, 8 images: r 1.000, median error 0.0% over 3 networks"


def test_the_check_has_the_median_error_and_the_correlation_of_logarithms():
    check = check_latency_model(MODEL, NETWORKS, timings((2, 0.8, 1)))
    assert [network.error for network in check.networks] == pytest.approx([-0.5, 0.25, 0])
    assert check.median_error == pytest.approx(0.25)
    assert 0 < check.correlation < 1
    uniform_check = check_latency_model(MODEL, NETWORKS, timings((3, 3, 3)))
    assert uniform_check.correlation == pytest.approx(
        1
    )  # a factor for all is an error, but no disorder


def test_the_check_uses_only_eager_times_of_the_same_batch_and_networks_as_data():
    rows = timings((1, 1, 1))
    custom_network = NamedNetwork("code", CustomModel(factory="some.module:factory"))
    unusable_rows = [
        replace(rows[0], mode="graph"),
        replace(rows[0], batch_size=1),
        NetworkTiming("code", 8, "eager", 10, 1.0),
        replace(rows[0], seconds=None),
    ]
    check = check_latency_model(MODEL, [*NETWORKS, custom_network], [*rows, *unusable_rows])
    assert len(check.networks) == 3
    with refused(ArchitectureError):
        check_latency_model(MODEL, [*NETWORKS, custom_network], unusable_rows)
