"""Phi for a latency, from the model to the command line."""

import json
from dataclasses import asdict

import pytest
import yaml
from refusals import refused

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.latency_model import LatencyModel, latency_document
from scalesearch.architectures.scaled import scale
from scalesearch.benchmarking import latency_fit as calibration
from scalesearch.config.reading import experiment_from_document, read_experiment, write_experiment
from scalesearch.errors import ArchitectureError, ExperimentError
from scalesearch.families.solution import (
    Target,
    format_amount,
    solution_rows,
    solve,
    solve_document,
)
from scalesearch.scaling.published import PAPER_COEFFICIENTS
from scalesearch.scaling.rounding import ROUNDINGS

B0 = efficientnet_b0()
MODEL = LatencyModel(
    seconds_per_mac=3e-11,
    seconds_per_activation=2e-9,
    seconds_per_block=2e-4,
    overhead_seconds=1e-3,
)


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(latency_document(MODEL, [])))
    return path


def test_the_nearest_network_in_latency_is_found_among_all_along_the_direction():
    target = Target("latency", 0.05)
    found = solve(B0, PAPER_COEFFICIENTS, target, "even", MODEL)
    met = {
        MODEL.predicted_seconds(scale(B0, PAPER_COEFFICIENTS.at(i / 500), ROUNDINGS["even"]))
        for i in range(900)
    }
    ordered = sorted(met)
    at = ordered.index(found.nearest.measured_cost)
    assert found.nearest.measured_cost == MODEL.predicted_seconds(found.nearest.architecture)
    assert abs(ordered[at] - 0.05) <= min(abs(s - 0.05) for s in ordered) + 1e-12
    assert ordered[at - 1] == found.smaller.measured_cost
    assert ordered[at + 1] == found.larger.measured_cost
    assert found.nearest.factor == found.nearest.measured_cost / MODEL.predicted_seconds(B0)


def test_the_baselines_own_latency_is_phi_zero():
    found = solve(
        B0, PAPER_COEFFICIENTS, Target("latency", MODEL.predicted_seconds(B0)), "official", MODEL
    )
    assert (found.nearest.phi, found.nearest.architecture, found.deviation) == (0, B0, 0)


def test_the_answer_tells_seconds_and_the_model():
    document = json.loads(
        json.dumps(solve_document(B0, PAPER_COEFFICIENTS, "latency=50ms", "even", MODEL))
    )
    assert document["latency"] == asdict(MODEL)
    assert document["target"] == {"measure": "latency", "value": 0.05}
    assert document["network"]["seconds"] == pytest.approx(0.05, rel=0.02)
    assert "ms latency, " in document["message"]
    assert document["message"].endswith("from 50ms")
    assert "seconds" in solution_rows(document)[0]
    other = solve_document(B0, PAPER_COEFFICIENTS, "macs=1G", "even", MODEL)
    assert other["network"]["seconds"] > 0
    assert "seconds" not in solution_rows(solve_document(B0, PAPER_COEFFICIENTS, "macs=1G"))[0]


def test_a_latency_below_the_overhead_cannot_be_had():
    with refused(ArchitectureError):
        solve(B0, PAPER_COEFFICIENTS, Target("latency", 0.001), "official", MODEL)


def test_a_target_of_latency_needs_a_model():
    with refused(ArchitectureError):
        solve(B0, PAPER_COEFFICIENTS, Target("latency", 0.005))


def test_times_are_written_as_people_write_them():
    seconds = (12, 1, 0.99999, 0.005, 0.0123456, 1e-3, 8e-4, 2e-7)
    assert [format_amount(value, "latency") for value in seconds] == [
        *("12s", "1s", "1s", "5ms", "12.35ms", "1ms", "800us", "0.2us")
    ]
    assert format_amount(1e9, "macs") == "1G"


# Experiments


def test_an_experiment_holds_a_latency_and_is_read_back_the_same(tmp_path, model_file):
    latency = json.loads(model_file.read_text())["latency"]
    path = tmp_path / "fast.yaml"
    # As pasted from the JSON, where a small number has no point: 3e-11.
    path.write_text(f"name: fast\nbudget: {{measure: latency, latency: {json.dumps(latency)}}}\n")
    experiment = read_experiment(path)
    assert experiment.budget.latency == MODEL
    write_experiment(tmp_path / "again.yaml", experiment)
    assert read_experiment(tmp_path / "again.yaml") == experiment
    assert yaml.safe_load((tmp_path / "again.yaml").read_text())["budget"]["latency"] == latency


@pytest.mark.parametrize(
    "budget",
    [
        {"measure": "latency"},
        {"latency": asdict(MODEL) | {"second_per_mac": 1.0}},
        {"latency": asdict(MODEL) | {"seconds_per_mac": -1.0}},
        {"latency": {}},
    ],
)
def test_a_latency_that_cannot_be_is_told_by_its_dotted_path(budget):
    with refused(ExperimentError):
        experiment_from_document({"name": "x", "budget": budget}, "x.yaml")


# Commands


def test_fit_latency_writes_what_solve_reads(run, tmp_path, monkeypatch):
    asked = {}

    def times(networks, **options):
        asked.update(options)
        return [MODEL.predicted_seconds(network) for network in networks]

    monkeypatch.setattr(calibration, "measure_latencies", times)
    path = tmp_path / "b0.json"
    options = ("--threads", 2, "--rounds", 3, "--out", path)
    code, out, err = run("fit-latency", "efficientnet_b0", *options, "--json")
    assert (code, err) == (0, f"wrote {path}\n")
    assert json.loads(out) == json.loads(path.read_text())
    assert asked == {"batch_size": 1, "device": "cpu", "threads": 2, "rounds": 3}
    solved = ("solve", "efficientnet_b0", "--target", "latency=50ms", "--latency-model", path)
    code, out, _ = run(*solved)
    assert code == 0
    assert "ms latency, " in out
    code, out, _ = run("fit-latency", "efficientnet_b0", "--resolution", 64, "--batch-size", 8)
    assert code == 0
    assert "8 images on cpu, 1 thread: each of 15 networks predicted from the others" in out


@pytest.mark.parametrize(
    "arguments",
    [
        "solve efficientnet_b0 --target latency=5ms",
        "solve efficientnet_b0 --target latency=5ms --latency-model nowhere.json",
        "fit-latency efficientnet_bo",
        "fit-latency efficientnet_b0 --device tpu",
    ],
)
def test_what_the_user_can_mend_is_one_message_and_exit_2(run_refused, arguments):
    run_refused(*arguments.split())
