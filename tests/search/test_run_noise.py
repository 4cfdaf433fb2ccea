"""The noise of a planned search: measured, read from records, or guessed."""

import numpy as np
import pytest
from refusals import refused

from scalesearch.analysis.statistical_power import detectable_difference
from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.candidates.budget import Budget
from scalesearch.config.reading import experiment_from_document
from scalesearch.errors import SearchError
from scalesearch.results.records import records_frame, write_records
from scalesearch.search import run_noise as noise
from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.design import search_space
from scalesearch.search.run_noise import (
    guessed_noise,
    measure_noise,
    min_measurement_seconds,
    networks_to_measure,
    noise_from_records,
    planned_power,
)

DATA = {"channels": 1, "classes": [str(i) for i in range(10)]}
PROXY = efficientnet_b0(width=0.25, resolution=32, stem_stride=1, num_classes=10)


def row(candidate, seed, epoch, accuracy):
    numbers = "alpha beta gamma factor asked_alpha asked_beta asked_gamma deviation loss seconds"
    shares = {"depth_share": 0.2, "width_share": 0.3, "resolution_share": 0.5}
    return {
        **dict.fromkeys(numbers.split(), 1.0), **shares, "trial": 0, "candidate": candidate,
        "role": "searched", "seed": seed, "epoch": epoch, "accuracy": accuracy, "resolution": 32,
        "macs": 1, "params": 1, "activations": 1, "train_loss": 1.0, "images_per_second": 1.0,
        "device": "cpu", "commit": "",
    }  # fmt: skip


@pytest.fixture
def recorded(tmp_path):
    """Four candidates with three seeds that move all alike, and a noise of .01."""
    random = np.random.default_rng(0)
    rows = [
        row(f"c{index}", seed, epoch, 0.4 + 0.1 * epoch + 0.05 * seed + random.normal(0, 0.01))
        for index in range(4)
        for seed in range(3)
        for epoch in (1, 2)
    ]
    (tmp_path / "r").mkdir()
    write_records(tmp_path / "r" / "records.csv", records_frame(rows))
    return tmp_path / "r"


def test_the_noise_of_another_search_is_the_paired_one_at_its_last_epoch(recorded):
    run_noise = noise_from_records(recorded)
    assert noise_from_records(recorded / "records.csv").value == run_noise.value
    assert 0.004 < run_noise.value < 0.02  # and not the .05 that a seed moves
    assert run_noise.low < run_noise.value < run_noise.high
    assert run_noise.basis == f"{recorded}: 4 candidates after 2 epochs, 6 degrees of freedom"


def test_an_interval_of_the_noise_holds_it_nine_times_of_ten():
    random, is_covered = np.random.default_rng(0), []
    for _ in range(1000):
        variance = 0.01**2 * random.chisquare(4) / 4
        run_noise = noise._noise_with_interval(variance, 4, "")
        is_covered.append(run_noise.low <= 0.01 <= run_noise.high)
    assert np.mean(is_covered) == pytest.approx(0.9, abs=0.03)


def test_a_search_with_one_seed_has_no_noise_to_take(tmp_path):
    write_records(
        tmp_path / "records.csv", records_frame([row(f"c{i}", 0, 1, 0.5) for i in range(3)])
    )
    with refused(SearchError):
        noise_from_records(tmp_path)
    with refused(SearchError):
        noise_from_records(tmp_path / "nowhere")


def test_a_guess_says_that_it_is_one():
    run_noise = guessed_noise(2500)
    assert run_noise.value == pytest.approx(0.01)
    assert (run_noise.low, run_noise.high) == (None, None)
    assert run_noise.basis.startswith(
        "no run but a guess: right answers among 2,500 validation images"
    )
    assert run_noise.basis.endswith("training adds to that, and --noise-from would tell how much")


def test_a_guess_says_how_long_a_measurement_would_take():
    needed = min_measurement_seconds([2.0, 9.0, 3.0])
    assert needed == 17  # 3 seeds of the first and the last, and a tenth
    assert "--measure-noise 17, or --noise-from would tell" in guessed_noise(2500, needed).basis
    assert min_measurement_seconds([2.0]) is None


def test_the_measurement_fits_the_given_time():
    experiment = experiment_from_document({"name": "x", "recipe": {"epochs": 9}})
    candidates = search_space(PROXY, Budget()).candidates[:5]
    seconds = [1.0, 1.0, 1.0, 1.0, 2.0]
    networks = [candidate.architecture for candidate in candidates]
    for max_networks, indices, epochs in (
        (12.0, (0, 2, 4), 1),
        (30.0, (0, 2, 4), 2),
        (1e6, (0, 2, 4), 9),
        (10.0, (0, 4), 1),
        (8.0, (), 0),
        (0.0, (), 0),
    ):
        chosen, epochs_chosen = networks_to_measure(experiment, candidates, seconds, max_networks)
        assert (chosen, epochs_chosen) == ([networks[index] for index in indices], epochs), (
            max_networks
        )
    assert networks_to_measure(experiment, candidates[:1], seconds[:1], 1e6) == ([], 0)


class Told:
    """An epoch, for what is read of one."""

    def __init__(self, accuracy):
        self.accuracy = accuracy


@pytest.fixture
def measured(monkeypatch, tiny):
    """The noise of two networks whose runs end at the accuracies given."""

    def of(accuracies):
        accuracies_left = iter(accuracies)
        monkeypatch.setattr(
            noise, "train", lambda job, images, device: [Told(next(accuracies_left))]
        )
        networks = [
            candidate.architecture for candidate in search_space(PROXY, Budget()).candidates[:2]
        ]
        return measure_noise(tiny(), networks, 1, "cpu", False)

    return of


def test_the_measured_noise_excludes_effects_of_networks_and_seeds(measured):
    run_noise = measured([0.5, 0.6, 0.4, 0.8, 0.3, 0.4])  # by seed, two networks each
    runs = np.array([[0.5, 0.6], [0.4, 0.8], [0.3, 0.4]])
    residuals = runs - runs.mean(axis=1, keepdims=True) - runs.mean(axis=0) + runs.mean()
    assert run_noise.value == pytest.approx(np.sqrt(np.square(residuals).sum() / 2))
    assert run_noise.basis == (
        "a measurement: 2 networks with 3 seeds after 1 of 2 epochs (accuracy 0.50), 2 degrees of "
        "freedom"
    )


def test_networks_that_have_learned_nothing_do_not_count_as_noiseless(measured):
    run_noise = measured([0.1] * 6)
    assert run_noise.value > 0.01
    assert run_noise.high >= run_noise.value
    assert "less than counting right answers gives, so that is taken" in run_noise.basis
    assert measured([0.0] * 6) is None


@pytest.mark.parametrize(
    ("search", "proposed"),
    [({"sampler": "lattice", "step": 3}, 0), ({"sampler": "tpe", "step": None, "trials": 6}, 6)],
)
@pytest.mark.filterwarnings(
    "ignore::scalesearch.candidates.iso_cost.StuckAxisWarning",
    "ignore::scalesearch.search.design.OffTargetWarning",
)
def test_a_plan_has_the_power_of_all_that_is_planned(tiny, search, proposed):
    source = CandidateSource.from_experiment(tiny(**search, seeds=3, references=["depth"]), DATA)
    power = planned_power(source, guessed_noise(2500))
    assert power.noise == pytest.approx(0.01)
    assert (power.seeds, power.comparisons) == (3, 1)
    assert len(source.planned) <= power.candidates <= len(source.planned) + proposed
    assert power.candidates > len(source.planned) or not proposed
    assert power.two == detectable_difference(0.01, 3, power.candidates)
