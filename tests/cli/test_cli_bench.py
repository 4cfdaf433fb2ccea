"""bench and compare as commands, with tiny networks."""

import csv
import json

import pytest
import torch
from refusals import refused

from scalesearch.api import timings
from scalesearch.benchmarking import benchmark as benches
from scalesearch.errors import ArchitectureError
from scalesearch.training.network_file import write_network

TINY = "experiments/baselines/tiny_mbconv.yaml"
QUICK = ("--runs", 5, "--seconds", 0.01, "--anyway")


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """No test waits for the machine."""
    monkeypatch.setattr(benches, "find_disturbances", lambda place: ())


def test_networks_are_timed_at_each_batch_beside_the_reference(run, tmp_path):
    code, out, _ = run(
        *("bench", TINY, "--batch", "1,2", "--reference", TINY, *QUICK, "--json"),
        *("--csv", tmp_path / "new" / "bench.csv"),
    )
    assert code == 0
    document = json.loads(out)
    assert [(row["network"], row["batch_size"]) for row in document["rows"]] == [
        (TINY, 1),
        (TINY, 2),
    ]
    assert all(row["ratio"] == 1 and row["seconds"] > 0 for row in document["rows"])
    assert (document["device"], document["threads"]) == ("cpu", 1)
    assert document["environment"]["packages"]["torch"] == torch.__version__
    with (tmp_path / "new" / "bench.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["seconds"]) for row in rows] == [r["seconds"] for r in document["rows"]]


def test_a_busy_machine_is_refused_with_what_it_does_and_the_way_out(run, run_refused, monkeypatch):
    monkeypatch.setattr(benches, "find_disturbances", lambda place: ("others use 1.9 of 2 cores",))
    run_refused("bench", TINY, "--reference", TINY)
    code, out, err = run("bench", TINY, "--reference", TINY, "--batch", 1, *QUICK)
    assert code == 0
    assert "warning: others use 1.9 of 2 cores" in err
    assert f"cpu, 1 thread; ratios to {TINY}" in out


def test_a_saved_network_is_timed_as_it_was_saved(run, tmp_path):
    from scalesearch.architectures.stages import Architecture, Stage
    from scalesearch.models.network import build_model

    path = tmp_path / "mine.safetensors"
    write_network(path, build_model(Architecture(8, (Stage(1, 8),), 8, 8, num_classes=3)))
    code, out, _ = run("bench", path, "--reference", path, "--batch", 1, *QUICK, "--json")
    assert code == 0
    assert json.loads(out)["rows"][0]["network"] == str(path)


def test_a_latency_model_is_calibrated_around_whatever_is_data(tmp_path, monkeypatch):
    from scalesearch.architectures.stages import Architecture, Stage
    from scalesearch.models.named import ExternalNetwork, NamedNetwork
    from scalesearch.models.network import build_model

    network = Architecture(8, (Stage(1, 8),), 8, 8, num_classes=3)
    path = write_network(tmp_path / "mine.safetensors", build_model(network))
    assert timings.latency_model_or_baseline(str(path)) == network
    monkeypatch.setattr(
        timings,
        "read_named_network",
        lambda text: NamedNetwork(text, ExternalNetwork("timm", "x", 224)),
    )
    with refused(ArchitectureError):
        timings.latency_model_or_baseline("timm:x")


@pytest.mark.parametrize("batch", ["", "1,x", "0", "1,-2"])
def test_a_batch_that_is_none_is_refused(run_refused, batch):
    run_refused("bench", TINY, "--batch", batch)


def test_networks_are_compared_as_a_table_a_csv_and_a_figure(run, tmp_path):
    code, out, err = run("compare", "resnet18", "efficientnet_b1", "--out", tmp_path)
    assert code == 0
    assert "7,794,184" in out
    assert "arXiv:1905.11946v5, table 2" in out
    assert {path.name for path in tmp_path.iterdir()} == {
        "compare.csv",
        "compare.png",
        "compare.svg",
    }
    assert "not drawn, as no accuracy is known: resnet18" in err


def test_without_any_accuracy_there_is_a_table_and_no_figure(run, tmp_path):
    code, out, err = run("compare", TINY, "--out", tmp_path)
    assert code == 0
    assert "no figure, as no accuracy is known; --top1" in err
    assert [path.name for path in tmp_path.iterdir()] == ["compare.csv"]
    assert "macs" in out


def test_times_are_compared_where_they_are_asked_for(run, monkeypatch):
    from functools import partial

    quick = partial(benches.run_benchmark, target_runs=5, target_seconds=0.01)
    monkeypatch.setattr(benches, "run_benchmark", quick)
    code, out, _ = run("compare", TINY, "--latency", "--anyway", "--json")
    assert code == 0
    document = json.loads(out)
    (row,) = document["networks"]
    assert row["seconds"] > 0
    assert row["ratio"] < 1
    assert document["latency"]["reference"] == "efficientnet_b0"


def test_a_member_of_a_family_and_a_given_accuracy_are_compared(run, run_refused):
    member = "results/cifar10-lattice/family.json:b2"
    code, out, _ = run("compare", member, "--top1", f"{member}=0.7", "--json")
    assert code == 0
    assert json.loads(out)["networks"][0]["top1"] == 0.7
    run_refused("compare", member, "--top1", f"{member}=70")
