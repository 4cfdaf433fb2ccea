"""Turns, plans and rows with a stopwatch of the test's own; real passes to see that they run."""

import importlib

import pytest
import torch

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.benchmarking import benchmark as benches
from scalesearch.benchmarking.benchmark import run_benchmark as whole
from scalesearch.benchmarking.forward_passes import PreparedPass, SkippedPass, cpu_peak_bytes
from scalesearch.benchmarking.timing import _plan_rounds, time_networks
from scalesearch.errors import ArchitectureError
from scalesearch.models.named import NamedNetwork
from scalesearch.models.network import NetworkOptions, build_model


def tiny(width: int = 8, resolution: int = 8) -> Architecture:
    return Architecture(8, (Stage(1, width),), 16, resolution, num_classes=4)


REFERENCE, OTHER = NamedNetwork("reference", tiny()), NamedNetwork("other", tiny(16))


@pytest.fixture
def module():
    """The module, whose name the function ``bench`` has in its package."""
    return importlib.import_module("scalesearch.benchmarking.timing")


@pytest.fixture
def turns(module, monkeypatch):
    """Passes of two networks, timed by a clock that the test sets: what ran, in order."""
    ran = []
    seconds = {"reference": 0.05, "other": 0.1}

    def passes(entry, size, place):
        yield PreparedPass(
            entry.name, "eager", lambda: ran.append(entry.name), seconds[entry.name], 7
        )

    def timed(run, place):
        run()
        return seconds[ran[-1]] * (2 if len(ran) > 40 else 1)  # the machine gets slower

    monkeypatch.setattr(module, "prepare_passes", passes)
    monkeypatch.setattr("scalesearch.models.stopwatch.time_run", timed)
    return ran


def test_networks_take_turns_in_every_round_and_the_reference_is_first(turns):
    rows = time_networks([OTHER], reference=REFERENCE, target_runs=10, target_seconds=1)
    assert turns == 10 * ["reference", "reference", "other", "other"]  # the first does not count
    assert [(row.name, row.runs) for row in rows] == [("reference", 10), ("other", 10)]


def test_the_ratio_is_of_the_same_round_however_the_machine_changes(turns):
    reference, other = time_networks([OTHER], reference=REFERENCE, target_runs=20, target_seconds=9)
    assert (reference.ratio, other.ratio) == (1, 2)
    assert other.seconds == pytest.approx(0.15)  # the median of slow and fast rounds
    assert other.p90_seconds == pytest.approx(0.2)
    assert other.images_per_second == pytest.approx(1 / 0.15)
    assert other.peak_bytes == 7


def test_a_hundred_passes_or_a_second_whichever_is_first_but_five():
    rounds, counts = _plan_rounds([0.001, 0.05, 3.0], 100, 1.0)
    assert rounds == 5  # as the slowest has them
    assert [rounds * count for count in counts] == [100, 20, 5]
    assert _plan_rounds([1e-4], 100, 1.0) == (20, [5])


def test_a_network_listed_beside_itself_as_the_reference_is_timed_once(turns):
    rows = time_networks([OTHER, REFERENCE], reference=REFERENCE, target_runs=5)
    assert [row.name for row in rows] == ["reference", "other"]


def test_a_batch_that_does_not_fit_is_told_and_the_others_are_timed(module, monkeypatch):
    def passes(entry, size, place):
        if entry == REFERENCE:
            yield SkippedPass(entry.name, "eager", "out of memory")
        else:
            yield PreparedPass(entry.name, "eager", lambda: None, 0.01, None)

    monkeypatch.setattr(module, "prepare_passes", passes)
    full, other = time_networks([OTHER], reference=REFERENCE, batch_sizes=(8,), target_runs=5)
    assert (full.seconds, full.note, full.images_per_second) == (None, "out of memory", None)
    assert other.seconds > 0
    assert other.ratio is None


def test_a_real_network_is_timed_and_its_memory_told():
    (row,) = time_networks(
        [], reference=REFERENCE, batch_sizes=(2,), target_runs=5, target_seconds=0.1
    )
    assert 0 < row.seconds < 60
    assert row.runs >= 5
    weights = 4 * REFERENCE.cost.params
    assert weights < row.peak_bytes < weights + 1_000_000


def test_the_memory_of_a_pass_is_what_lives_at_once_with_weights_and_images():
    class TwoAtOnce(torch.nn.Module):
        def forward(self, x):
            return ((x + 1) * 2).sum()  # x + 1 and its double live together, 4000 bytes each

    images = torch.zeros(1000)
    with torch.inference_mode():
        assert cpu_peak_bytes(TwoAtOnce(), images) - 4000 in range(8000, 8200)


@pytest.mark.parametrize(
    ("asks", "message"),
    [
        ({"batch_sizes": (0,)}, "batch: need at least 1, got 0"),
        ({"threads": 0}, "threads: need at least 1, got 0"),
        ({"target_runs": 0}, "runs: need at least 1, got 0"),
        ({"target_seconds": 0.0}, "seconds: need a time above 0, got 0"),
        ({"target_seconds": float("nan")}, "seconds: need a time above 0, got nan"),
        ({"device": "cuda:99"}, "device: 'cuda:99' was asked for"),
    ],
)
def test_what_cannot_be_timed_is_refused_by_name(asks, message):
    with pytest.raises(ArchitectureError, match=message):
        time_networks([], reference=REFERENCE, **asks)


# As a whole


@pytest.fixture
def busy(monkeypatch):
    monkeypatch.setattr(benches, "find_disturbances", lambda place: ("others use 2.0 of 2 cores",))


def test_nothing_is_timed_on_a_busy_machine_unless_it_is_asked_for(busy, turns):
    with pytest.raises(ArchitectureError, match="does nothing else, got others use"):
        whole([OTHER], reference=REFERENCE)
    assert turns == []
    found = whole([OTHER], reference=REFERENCE, target_runs=5, anyway=True)
    assert found.warning_texts[0] == "others use 2.0 of 2 cores"
    assert found.document()["warnings"][0] == "others use 2.0 of 2 cores"


MODEL = LatencyModel(
    seconds_per_mac=1e-9, seconds_per_activation=0, seconds_per_block=0, overhead_seconds=0.04
)


def test_a_latency_model_is_checked_against_what_was_timed(busy, turns):
    found = whole([OTHER], reference=REFERENCE, target_runs=5, anyway=True, model_to_check=MODEL)
    (check,) = found.checks
    assert [network.name for network in check.networks] == ["reference", "other"]
    assert check.networks[0].predicted == MODEL.predicted_seconds(REFERENCE.network)
    assert check.correlation is None  # of two networks
    assert check.summary.startswith("latency model, 1 image: r -, median error ")


def test_a_model_with_nothing_to_predict_is_refused_before_anything_is_timed(busy, turns):
    code = NamedNetwork("reference", CustomModel(factory="some.module:factory"))
    with pytest.raises(ArchitectureError, match="need networks as data to check a latency model"):
        whole([], reference=code, model_to_check=tiny(), anyway=True)
    assert turns == []


def test_a_model_of_another_batch_or_machine_is_refused_before_anything_is_timed(busy, turns):
    with pytest.raises(ArchitectureError, match="need its batch of 1 among those measured, got 8"):
        whole([OTHER], reference=REFERENCE, batch_sizes=(8,), anyway=True, model_to_check=MODEL)
    with pytest.raises(ArchitectureError, match=r"need one of this device \(cpu, 2 threads\)"):
        whole([OTHER], reference=REFERENCE, threads=2, anyway=True, model_to_check=MODEL)
    assert turns == []


@pytest.mark.gpu
def test_a_gpu_is_timed_eagerly_and_as_a_graph_and_its_memory_told():
    rows = time_networks([OTHER], reference=REFERENCE, device="cuda", target_runs=5)
    assert [(row.name, row.mode) for row in rows] == [
        ("reference", "eager"),
        ("reference", "graph"),
        ("other", "eager"),
        ("other", "graph"),
    ]
    assert all(row.seconds > 0 and row.ratio > 0 and row.peak_bytes > 0 for row in rows)


def test_an_entry_is_made_as_its_file_says():
    entry = NamedNetwork("same", tiny(), NetworkOptions(padding="same", norm_eps=0.5))
    network = entry.build()
    assert not network.training
    assert network.options.padding == "same"
    assert entry.cost == REFERENCE.cost
    assert [t.shape for t in network.parameters()] == [
        t.shape for t in build_model(tiny()).parameters()
    ]
