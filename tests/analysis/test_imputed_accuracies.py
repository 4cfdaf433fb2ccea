"""Imputed accuracies of candidates that were stopped at different epochs."""

import time

import numpy as np
import pytest
from refusals import refused

from scalesearch.analysis.observations import imputed_accuracies
from scalesearch.errors import SearchError

GAIN = {1: 0.0, 3: 0.2, 9: 0.35}


def halved(rng, count, noise=0.0):
    """A third goes on from 1 to 3, a third of these to 9; and what each would have come to."""
    truth = dict(zip((f"c{n:03}" for n in range(count)), rng.normal(0.3, 0.03, count), strict=True))
    values = {name: {} for name in truth}
    alive = list(truth)
    for epoch, gain in GAIN.items():
        for name in alive:
            values[name][epoch] = truth[name] + gain + rng.normal(0, noise)
        alive = sorted(alive, key=lambda name: -values[name][epoch])[: max(1, len(alive) // 3)]
    return values, {name: value + GAIN[9] for name, value in truth.items()}


def test_without_noise_the_stopped_are_predicted_exactly():
    values, truth = halved(np.random.default_rng(0), 27)
    assert imputed_accuracies(values) == pytest.approx(truth)


def test_with_noise_the_prediction_is_off_by_the_noise_and_not_much_above_the_truth():
    rng, errors = np.random.default_rng(1), []
    for _ in range(200):
        values, truth = halved(rng, 27, noise=0.01)
        found = imputed_accuracies(values)
        errors += [found[name] - truth[name] for name in truth if 9 not in values[name]]
    assert np.std(errors) < 0.016
    assert -0.015 < np.mean(errors) < 0.002  # the luck of those that went on


def test_candidates_with_the_last_epoch_keep_their_accuracy():
    values, _ = halved(np.random.default_rng(2), 27, noise=0.01)
    found = imputed_accuracies(values)
    done = {name: cells[9] for name, cells in values.items() if 9 in cells}
    assert done
    assert {name: found[name] for name in done} == done


def test_a_candidate_that_shares_no_epoch_with_those_that_went_on_is_left_out():
    assert imputed_accuracies({"a": {1: 0.2, 3: 0.4}, "b": {1: 0.1}, "c": {2: 0.9}, "d": {}}) == (
        {"a": 0.4, "b": pytest.approx(0.3)}
    )
    assert imputed_accuracies({}) == {}
    assert imputed_accuracies({"a": {}}) == {}


def test_a_chain_of_shared_epochs_is_enough():
    assert imputed_accuracies({"a": {1: 0.2}, "b": {1: 0.3, 2: 0.5}, "c": {2: 0.4, 3: 0.6}})[
        "a"
    ] == (pytest.approx(0.6))


def test_the_order_of_candidates_and_epochs_changes_nothing():
    values, _ = halved(np.random.default_rng(3), 27, noise=0.01)
    other = {name: dict(reversed(values[name].items())) for name in reversed(values)}
    assert imputed_accuracies(other) == imputed_accuracies(values)


def test_a_non_finite_accuracy_is_refused():
    with refused(SearchError):
        imputed_accuracies({"a": {1: 0.2}, "b": {1: float("nan")}})


def test_a_hundred_candidates_are_levelled_in_milliseconds():
    rng, laps = np.random.default_rng(4), []
    for values, _ in [halved(rng, 100, noise=0.01) for _ in range(40)]:
        began = time.perf_counter()
        imputed_accuracies(values)
        laps.append(time.perf_counter() - began)
    assert min(laps) < 0.006  # a third of a millisecond where nothing else runs
