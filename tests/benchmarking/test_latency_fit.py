"""Measured latencies and fits of the latency model; no result depends on the machine."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from refusals import refused

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.latency_model import LatencyModel, read_latency_model
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.benchmarking.forward_passes import device_name
from scalesearch.benchmarking.latency_fit import (
    fit_latency,
    fit_prices,
    latency_fit_document,
    measure_latencies,
    scaled_networks,
    write_latency_fit,
)
from scalesearch.errors import ArchitectureError, ExportError

B0 = efficientnet_b0()
TINY_ARCHITECTURE = Architecture(
    stem=8, stages=(Stage(1, 8),), head=16, resolution=8, num_classes=4
)
TRUE_MODEL = LatencyModel(
    seconds_per_mac=3e-11,
    seconds_per_activation=2e-9,
    seconds_per_block=2e-4,
    overhead_seconds=1e-3,
    batch_size=8,
)


def true_latencies(networks):
    return [TRUE_MODEL.predicted_seconds(network) for network in networks]


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v2", "resnet50"])
def test_fit_latency_recovers_known_prices(name):
    fitted = fit_latency(
        baseline(name), batch_size=8, measure_latencies_function=true_latencies
    ).model
    assert fitted.seconds_per_mac == pytest.approx(3e-11, rel=1e-6)
    assert fitted.seconds_per_activation == pytest.approx(2e-9, rel=1e-6)
    assert fitted.seconds_per_block == pytest.approx(2e-4, rel=1e-6)
    assert fitted.overhead_seconds == pytest.approx(1e-3, rel=1e-6)
    assert (fitted.batch_size, fitted.device, fitted.threads) == (8, "cpu", 1)
    assert fitted.correlation == pytest.approx(1)
    assert fitted.median_error == pytest.approx(0, abs=1e-6)


def test_a_price_that_would_be_negative_is_zero():
    costs = np.array([[1.0, 4.0], [2.0, 3.0], [3.0, 2.0], [4.0, 1.0]])
    prices = fit_prices(costs, costs[:, 0] * 2 - costs[:, 1] * 0.1)
    assert prices[0] > 0
    assert prices[1] == 0


def test_the_reported_error_is_measured_on_networks_left_out_of_the_fit():
    noise = random.Random(0)

    def noisy_latencies(networks):
        return [seconds * noise.uniform(0.8, 1.25) for seconds in true_latencies(networks)]

    fit = fit_latency(B0, batch_size=8, measure_latencies_function=noisy_latencies)
    seconds = np.array([timing.seconds for timing in fit.predictions])
    predicted = np.array([timing.predicted for timing in fit.predictions])
    predicted_by_full_fit = np.array(
        [fit.model.predicted_seconds(timing.architecture) for timing in fit.predictions]
    )
    assert fit.model.median_error == np.median(np.abs(predicted / seconds - 1))
    assert 0.02 < fit.model.median_error < 0.25
    assert np.mean(np.abs(predicted_by_full_fit / seconds - 1)) < np.mean(
        np.abs(predicted / seconds - 1)
    )
    assert 0.8 < fit.model.correlation < 0.9999


def test_a_slow_network_does_not_influence_its_own_prediction():
    def one_slow(networks):
        first_time, *rest_of_times = true_latencies(networks)
        return [10 * first_time, *rest_of_times]

    fit = fit_latency(B0, batch_size=8, measure_latencies_function=one_slow)
    assert fit.predictions[0].predicted == pytest.approx(fit.predictions[0].seconds / 10, rel=1e-6)


def test_times_that_do_not_rise_with_cost_are_refused():
    with refused(ArchitectureError):
        fit_latency(B0, measure_latencies_function=lambda networks: [1e-3] * len(networks))


def test_scaled_networks_are_distinct_and_surround_the_baseline():
    networks = scaled_networks(B0)
    assert networks[0] == B0
    assert len(set(networks)) == len(networks) >= 12
    for size in ("num_blocks", "widths", "resolution"):
        baseline_size = getattr(B0, size)
        assert min(getattr(network, size) for network in networks) < baseline_size
        assert max(getattr(network, size) for network in networks) > baseline_size


def test_a_baseline_too_small_to_be_scaled_is_refused():
    smallest = Architecture(stem=1, stages=(Stage(1, 1, fixed_depth=True),), head=1, resolution=1)
    smallest = replace(smallest, fixed_stem=True, fixed_head=True)
    with refused(ArchitectureError):
        scaled_networks(smallest)


# Documents


def test_a_latency_fit_is_written_and_read_as_a_latency_model(tmp_path):
    fit = fit_latency(B0, batch_size=8, measure_latencies_function=true_latencies)
    path = write_latency_fit(tmp_path / "new" / "b0.json", latency_fit_document(fit))
    assert read_latency_model(path) == fit.model
    rows = json.loads(path.read_text())["networks"]
    assert [row["seconds"] for row in rows] == [timing.seconds for timing in fit.predictions]
    assert rows[0]["macs"] == 385_814_752


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with refused(ExportError):
        write_latency_fit(tmp_path / "file" / "b0.json", {})


def test_the_summary_names_the_measurement_and_the_error():
    fit = fit_latency(B0, batch_size=8, threads=2, measure_latencies_function=true_latencies)
    assert fit.summary == (
        f"8 images on cpu, 2 threads: each of {len(fit.predictions)} networks predicted from the "
        "others, median error 0.0%, correlation 1.000"
    )


# Measured latencies


def test_measure_latencies_gives_positive_times():
    assert 0 < measure_latencies([TINY_ARCHITECTURE], rounds=2)[0] < 60


def test_measure_latencies_restores_the_number_of_threads():
    threads_before = torch.get_num_threads()
    measure_latencies([TINY_ARCHITECTURE], threads=threads_before + 1, rounds=1)
    assert torch.get_num_threads() == threads_before


def test_networks_are_measured_in_turn_and_medians_are_returned(monkeypatch):
    passes = []
    clock = iter([1, 10, 3, 30, 2, 900])

    def fake_pass_time(run, device):
        network, (images_BCHW,) = run.func, run.args
        passes.append((network.architecture, tuple(images_BCHW.shape)))
        assert not network.training
        assert torch.is_inference_mode_enabled()
        assert images_BCHW.is_contiguous(memory_format=torch.channels_last)
        return float(next(clock))

    monkeypatch.setattr("scalesearch.models.stopwatch.time_run", fake_pass_time)
    larger_architecture = Architecture(
        stem=8, stages=(Stage(1, 8),), head=16, resolution=12, num_classes=4
    )
    architectures = [TINY_ARCHITECTURE, larger_architecture]
    assert measure_latencies(architectures, batch_size=2, rounds=3) == [2, 30]
    assert passes == 3 * [(TINY_ARCHITECTURE, (2, 3, 8, 8)), (larger_architecture, (2, 3, 12, 12))]


@pytest.mark.parametrize(
    "arguments",
    [
        {"rounds": 0},
        {"batch_size": 0},
        {"threads": -1},
        {"device": "tpu"},
        {"device": "meta"},
        {"device": "cuda:99"},
    ],
)
def test_invalid_latency_arguments_are_refused_by_name(arguments):
    with refused(ArchitectureError):
        measure_latencies([B0], **arguments)


@pytest.mark.gpu
def test_a_gpu_is_synchronised_and_named():
    assert measure_latencies([TINY_ARCHITECTURE], device="cuda", rounds=2)[0] > 0
    assert device_name("cuda").startswith("cuda: ")
