"""Order, number and results of timed passes, with a fake clock and with real passes."""

import importlib

import pytest
import torch
from refusals import refused

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.benchmarking import benchmark
from scalesearch.benchmarking.benchmark import run_benchmark
from scalesearch.benchmarking.forward_passes import PreparedPass, SkippedPass, cpu_peak_bytes
from scalesearch.benchmarking.timing import _plan_rounds, time_networks
from scalesearch.errors import ArchitectureError
from scalesearch.models.named import NamedNetwork
from scalesearch.models.network import NetworkOptions, build_model


def tiny_architecture(width: int = 8, resolution: int = 8) -> Architecture:
    return Architecture(8, (Stage(1, width),), 16, resolution, num_classes=4)


REFERENCE, OTHER = (
    NamedNetwork("reference", tiny_architecture()),
    NamedNetwork("other", tiny_architecture(16)),
)


@pytest.fixture
def timing():
    """The module ``timing``."""
    return importlib.import_module("scalesearch.benchmarking.timing")


@pytest.fixture
def fake_runs(timing, monkeypatch):
    """Names of the networks in the order of their fake passes, with times set by the test."""
    names_run = []
    seconds = {"reference": 0.05, "other": 0.1}

    def fake_passes(network, size, device):
        yield PreparedPass(
            network.name, "eager", lambda: names_run.append(network.name), seconds[network.name], 7
        )

    def fake_time(run, device):
        run()
        return seconds[names_run[-1]] * (2 if len(names_run) > 40 else 1)  # the machine gets slower

    monkeypatch.setattr(timing, "prepare_passes", fake_passes)
    monkeypatch.setattr("scalesearch.models.stopwatch.time_run", fake_time)
    return names_run


def test_every_round_times_all_networks_and_the_reference_first(fake_runs):
    rows = time_networks([OTHER], reference=REFERENCE, target_runs=10, target_seconds=1)
    assert fake_runs == 10 * [
        "reference",
        "reference",
        "other",
        "other",
    ]  # the first does not count
    assert [(row.name, row.runs) for row in rows] == [("reference", 10), ("other", 10)]


def test_the_ratio_compares_times_of_the_same_round(fake_runs):
    reference, other = time_networks([OTHER], reference=REFERENCE, target_runs=20, target_seconds=9)
    assert (reference.ratio, other.ratio) == (1, 2)
    assert other.seconds == pytest.approx(0.15)  # the median of slow and fast rounds
    assert other.p90_seconds == pytest.approx(0.2)
    assert other.images_per_second == pytest.approx(1 / 0.15)
    assert other.peak_bytes == 7


def test_rounds_end_after_a_hundred_runs_or_a_second_but_not_before_five_runs():
    rounds, counts = _plan_rounds([0.001, 0.05, 3.0], 100, 1.0)
    assert rounds == 5  # as the slowest has them
    assert [rounds * count for count in counts] == [100, 20, 5]
    assert _plan_rounds([1e-4], 100, 1.0) == (20, [5])


def test_a_network_that_is_also_the_reference_is_timed_once(fake_runs):
    rows = time_networks([OTHER, REFERENCE], reference=REFERENCE, target_runs=5)
    assert [row.name for row in rows] == ["reference", "other"]


def test_a_batch_too_large_for_memory_is_noted_and_the_others_are_timed(timing, monkeypatch):
    def fake_passes(network, size, device):
        if network == REFERENCE:
            yield SkippedPass(network.name, "eager", "out of memory")
        else:
            yield PreparedPass(network.name, "eager", lambda: None, 0.01, None)

    monkeypatch.setattr(timing, "prepare_passes", fake_passes)
    too_large, other = time_networks([OTHER], reference=REFERENCE, batch_sizes=(8,), target_runs=5)
    assert (too_large.seconds, too_large.note, too_large.images_per_second) == (
        None,
        "out of memory",
        None,
    )
    assert other.seconds > 0
    assert other.ratio is None


def test_a_real_network_is_timed_and_its_memory_measured():
    (row,) = time_networks(
        [], reference=REFERENCE, batch_sizes=(2,), target_runs=5, target_seconds=0.1
    )
    assert 0 < row.seconds < 60
    assert row.runs >= 5
    weights = 4 * REFERENCE.cost.params
    assert weights < row.peak_bytes < weights + 1_000_000


def test_peak_memory_counts_tensors_that_exist_together():
    class TwoAtOnce(torch.nn.Module):
        def forward(self, x):
            return ((x + 1) * 2).sum()  # x + 1 and its double live together, 4000 bytes each

    images = torch.zeros(1000)
    with torch.inference_mode():
        assert cpu_peak_bytes(TwoAtOnce(), images) - 4000 in range(8000, 8200)


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_sizes": (0,)},
        {"threads": 0},
        {"target_runs": 0},
        {"target_seconds": 0.0},
        {"target_seconds": float("nan")},
        {"device": "cuda:99"},
    ],
)
def test_invalid_timing_arguments_are_refused_by_name(arguments):
    with refused(ArchitectureError):
        time_networks([], reference=REFERENCE, **arguments)


# The benchmark


@pytest.fixture
def busy_machine(monkeypatch):
    monkeypatch.setattr(
        benchmark, "find_disturbances", lambda device: ("others use 2.0 of 2 cores",)
    )


def test_a_busy_machine_is_refused_without_anyway(busy_machine, fake_runs):
    with refused(ArchitectureError):
        run_benchmark([OTHER], reference=REFERENCE)
    assert fake_runs == []
    result = run_benchmark([OTHER], reference=REFERENCE, target_runs=5, anyway=True)
    assert result.warning_texts[0] == "others use 2.0 of 2 cores"
    assert result.document()["warnings"][0] == "others use 2.0 of 2 cores"


MODEL = LatencyModel(
    seconds_per_mac=1e-9, seconds_per_activation=0, seconds_per_block=0, overhead_seconds=0.04
)


def test_a_latency_model_is_checked_against_the_measured_times(busy_machine, fake_runs):
    result = run_benchmark(
        [OTHER], reference=REFERENCE, target_runs=5, anyway=True, model_to_check=MODEL
    )
    (check,) = result.checks
    assert [network.name for network in check.networks] == ["reference", "other"]
    assert check.networks[0].predicted == MODEL.predicted_seconds(REFERENCE.network)
    assert check.correlation is None  # of two networks
    assert check.summary.startswith("latency model, 1 image: r -, median error ")


def test_a_latency_model_for_custom_networks_is_refused_before_timing(busy_machine, fake_runs):
    custom_network = NamedNetwork("reference", CustomModel(factory="some.module:factory"))
    with refused(ArchitectureError):
        run_benchmark([], reference=custom_network, model_to_check=tiny_architecture(), anyway=True)
    assert fake_runs == []


def test_a_latency_model_of_another_batch_or_device_is_refused_before_timing(
    busy_machine, fake_runs
):
    with refused(ArchitectureError):
        run_benchmark(
            [OTHER], reference=REFERENCE, batch_sizes=(8,), anyway=True, model_to_check=MODEL
        )
    with refused(ArchitectureError):
        run_benchmark([OTHER], reference=REFERENCE, threads=2, anyway=True, model_to_check=MODEL)
    assert fake_runs == []


@pytest.mark.gpu
def test_a_gpu_is_timed_in_eager_and_graph_mode():
    rows = time_networks([OTHER], reference=REFERENCE, device="cuda", target_runs=5)
    assert [(row.name, row.mode) for row in rows] == [
        ("reference", "eager"),
        ("reference", "graph"),
        ("other", "eager"),
        ("other", "graph"),
    ]
    assert all(row.seconds > 0 and row.ratio > 0 and row.peak_bytes > 0 for row in rows)


def test_a_named_network_is_built_with_its_options():
    named = NamedNetwork("same", tiny_architecture(), NetworkOptions(padding="same", norm_eps=0.5))
    network = named.build()
    assert not network.training
    assert network.options.padding == "same"
    assert named.cost == REFERENCE.cost
    assert [parameter.shape for parameter in network.parameters()] == [
        parameter.shape for parameter in build_model(tiny_architecture()).parameters()
    ]
