"""Calibration with an injected stopwatch: nothing here depends on how fast a machine is."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.latency_model import LatencyModel, read_latency_model
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.benchmarking.latency_fit import (
    fit_latency,
    fit_prices,
    latency_fit_document,
    scaled_networks,
    write_latency_fit,
)
from scalesearch.errors import ArchitectureError, ExportError

B0 = efficientnet_b0()
KNOWN = LatencyModel(
    seconds_per_mac=3e-11,
    seconds_per_activation=2e-9,
    seconds_per_block=2e-4,
    overhead_seconds=1e-3,
    batch_size=8,
)


def exact(networks):
    return [KNOWN.predicted_seconds(network) for network in networks]


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v2", "resnet50"])
def test_known_prices_are_recovered_from_what_they_predict(name):
    found = fit_latency(baseline(name), batch_size=8, measure_latencies_function=exact).model
    assert found.seconds_per_mac == pytest.approx(3e-11, rel=1e-6)
    assert found.seconds_per_activation == pytest.approx(2e-9, rel=1e-6)
    assert found.seconds_per_block == pytest.approx(2e-4, rel=1e-6)
    assert found.overhead_seconds == pytest.approx(1e-3, rel=1e-6)
    assert (found.batch_size, found.device, found.threads) == (8, "cpu", 1)
    assert found.correlation == pytest.approx(1)
    assert found.median_error == pytest.approx(0, abs=1e-6)


def test_a_price_that_would_be_negative_is_zero():
    costs = np.array([[1.0, 4.0], [2.0, 3.0], [3.0, 2.0], [4.0, 1.0]])
    found = fit_prices(costs, costs[:, 0] * 2 - costs[:, 1] * 0.1)
    assert found[0] > 0
    assert found[1] == 0


def test_the_error_told_is_of_networks_that_the_model_was_not_fitted_to():
    noise = random.Random(0)

    def noisy(networks):
        return [seconds * noise.uniform(0.8, 1.25) for seconds in exact(networks)]

    found = fit_latency(B0, batch_size=8, measure_latencies_function=noisy)
    seconds = np.array([timing.seconds for timing in found.predictions])
    told = np.array([timing.predicted for timing in found.predictions])
    fitted = np.array(
        [found.model.predicted_seconds(timing.architecture) for timing in found.predictions]
    )
    assert found.model.median_error == np.median(np.abs(told / seconds - 1))
    assert 0.02 < found.model.median_error < 0.25
    assert np.mean(np.abs(fitted / seconds - 1)) < np.mean(np.abs(told / seconds - 1))
    assert 0.8 < found.model.correlation < 0.9999


def test_one_slow_network_is_not_explained_by_itself():
    def one_slow(networks):
        first, *others = exact(networks)
        return [10 * first, *others]

    found = fit_latency(B0, batch_size=8, measure_latencies_function=one_slow)
    assert found.predictions[0].predicted == pytest.approx(
        found.predictions[0].seconds / 10, rel=1e-6
    )


def test_times_that_do_not_rise_with_cost_are_refused():
    with pytest.raises(ArchitectureError, match="take a larger batch or resolution"):
        fit_latency(B0, measure_latencies_function=lambda networks: [1e-3] * len(networks))


def test_the_networks_are_distinct_and_surround_the_baseline():
    networks = scaled_networks(B0)
    assert networks[0] == B0
    assert len(set(networks)) == len(networks) >= 12
    for part in ("num_blocks", "widths", "resolution"):
        own = getattr(B0, part)
        assert min(getattr(n, part) for n in networks) < own
        assert max(getattr(n, part) for n in networks) > own


def test_a_baseline_too_small_to_be_scaled_is_refused():
    speck = Architecture(stem=1, stages=(Stage(1, 1, fixed_depth=True),), head=1, resolution=1)
    speck = replace(speck, fixed_stem=True, fixed_head=True)
    with pytest.raises(ArchitectureError, match="need 8 distinct networks around the baseline"):
        scaled_networks(speck)


# Documents


def test_a_calibration_is_a_file_that_solve_and_budgets_read(tmp_path):
    found = fit_latency(B0, batch_size=8, measure_latencies_function=exact)
    path = write_latency_fit(tmp_path / "new" / "b0.json", latency_fit_document(found))
    assert read_latency_model(path) == found.model
    rows = json.loads(path.read_text())["networks"]
    assert [row["seconds"] for row in rows] == [timing.seconds for timing in found.predictions]
    assert rows[0]["macs"] == 385_814_752


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        write_latency_fit(tmp_path / "file" / "b0.json", {})


def test_the_summary_says_what_was_measured_and_how_well_it_predicts():
    found = fit_latency(B0, batch_size=8, threads=2, measure_latencies_function=exact)
    assert found.summary == (
        f"8 images on cpu, 2 threads: each of {len(found.predictions)} networks predicted from the "
        "others, median error 0.0%, correlation 1.000"
    )
