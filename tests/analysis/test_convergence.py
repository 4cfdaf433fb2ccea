"""Convergence: when a search may stop, and the reason if it may not."""

import time

import numpy as np
import pandas as pd
import pytest

from scalesearch.analysis.convergence import check_convergence, expected_gain
from scalesearch.analysis.observations import candidate_estimates
from scalesearch.analysis.polynomials import polynomial_fits, polynomial_terms, simplex_lattice


def of(simulated, seed=0, **case):
    case = {"accuracy": simulated.hill(0.3, 0.3), **case}
    return simulated.records(simulated.Case(**case), np.random.default_rng(seed))


def test_a_search_converges_once_its_widest_interval_is_narrow_enough(simulated):
    table = of(simulated, deviation=0.004)
    found = check_convergence(table, 2.0, max_width=0.9)
    widest = max(found.widths.values())
    assert found
    assert found.widths == {
        axis: interval.width for axis, interval in found.optimum.share_intervals.items()
    }
    assert check_convergence(table, 2.0, max_width=widest * 1.01)
    refused = check_convergence(table, 2.0, max_width=widest * 0.99)
    assert not refused
    assert "not less than" in refused.reason
    axis = max(found.widths, key=found.widths.get)
    assert refused.reason.startswith(f"the interval of the {axis} share is {widest:.2f} wide")


def test_a_search_converges_once_the_expected_gain_is_below_the_noise(simulated):
    """A hill whose top was tried, against one whose top lies where nobody has been."""
    grid = of(simulated)
    found = check_convergence(grid, 2.0, use_expected_gain=True)
    assert found
    assert found.expected_gain < found.noise == pytest.approx(0.008 / 3**0.5, rel=0.3)
    far = grid[(grid.depth_share > 0.4) | (grid.resolution_share < 0.3)]
    open_ = check_convergence(far, 2.0, use_expected_gain=True)
    assert not open_
    assert open_.expected_gain > found.expected_gain
    assert "not less than the noise" in open_.reason


def test_the_expected_gain_is_what_a_simulation_of_the_surface_gains(simulated):
    observed = candidate_estimates(of(simulated, noise=0.02))
    fit = polynomial_fits(observed)["quadratic"]
    place = np.array([[0.2, 0.3, 0.5]])
    random = np.random.default_rng(0)
    credit = fit.deviation / (fit.deviation + observed.noise_variances)
    known = polynomial_terms(observed.shares, "quadratic")
    values = known @ fit.coefficients + credit * fit.residuals
    best = int(values.argmax())
    drawn = random.multivariate_normal(fit.coefficients, fit.covariance, 40_000)
    lead = drawn @ (polynomial_terms(place, "quadratic")[0] - known[best])
    lead -= credit[best] * fit.residuals[best]
    lead += random.normal(0, np.sqrt(fit.deviation * (2 - credit[best])), len(lead))
    assert expected_gain(observed, fit, place) == pytest.approx(
        np.maximum(lead, 0).mean(), rel=0.05
    )
    assert expected_gain(observed, fit, simplex_lattice()) >= expected_gain(
        observed, fit, simplex_lattice()[:40]
    )


def test_either_rule_is_enough_and_without_one_nothing_converges(simulated):
    table = of(simulated)
    assert check_convergence(table, 2.0, max_width=0.001, use_expected_gain=True)
    assert not check_convergence(table, 2.0, max_width=0.001, use_expected_gain=False)
    found = check_convergence(table, 2.0)
    assert (found.is_converged, found.reason) == (False, "no convergence rule was given")
    assert found.optimum is not None


def inner(table):
    """Candidates that scale all three axes."""
    scaled = table[["depth_share", "width_share", "resolution_share"]].min(axis=1) > 0.1
    return sorted(table[scaled].candidate.unique())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table[:0], "need candidates with epoch"),
        (lambda table: table[table.candidate.isin(inner(table)[:5])], "quadratic surface"),
        (lambda table: table[table.candidate < "c009"], "need at least 10 candidates, got 9"),
        (lambda table: table.assign(accuracy=float("nan")), "need finite values"),
    ],
)
def test_too_little_data_does_not_converge_and_states_why(simulated, change, words):
    found = check_convergence(change(of(simulated)), 2.0, max_width=0.9, use_expected_gain=True)
    assert not found
    assert words in found.reason
    assert (found.widths, found.expected_gain, found.noise, found.optimum) == ({}, None, None, None)


def test_an_axis_not_tried_yet_prevents_convergence(simulated):
    table = of(simulated)
    edge = table.assign(depth_share=table.depth_share + table.width_share, width_share=0.0)
    found = check_convergence(edge, 2.0, use_expected_gain=True)
    assert (found.is_converged, found.reason) == (False, "no candidate scales width yet")
    assert (
        check_convergence(
            edge, 2.0, use_expected_gain=True, feasible_shares=simplex_lattice((0, 2))
        ).optimum
        is not None
    )
    assert (
        check_convergence(
            edge, 2.0, use_expected_gain=True, feasible_shares=simplex_lattice()
        ).optimum
        is None
    )


def test_a_single_seed_takes_its_noise_from_the_surface(simulated):
    found = check_convergence(of(simulated, seeds=1), 2.0, use_expected_gain=True)
    assert found.noise == pytest.approx(0.008, rel=0.6)


def test_order_of_rows_and_repeated_rows_change_nothing(simulated):
    table = of(simulated, candidates=27, halved=True)
    other = pd.concat([table, table]).sample(frac=1, random_state=1).assign(note="x")
    one, same = (
        check_convergence(rows, 2.0, max_width=0.3, use_expected_gain=True)
        for rows in (table, other)
    )
    assert (one.is_converged, one.reason, one.widths) == (
        same.is_converged,
        same.reason,
        same.widths,
    )


def test_the_check_is_fast_enough_for_every_candidate(simulated):
    table, laps = of(simulated, candidates=27, halved=True), []
    for _ in range(4):
        began = time.process_time()
        check_convergence(table, 2.0, max_width=0.1, use_expected_gain=True)
        laps.append(time.process_time() - began)
    assert min(laps) < 0.3  # 0.05 where nothing else runs


def test_a_lower_rung_does_not_converge(simulated):
    table = of(simulated, candidates=27, halved=True)
    found = check_convergence(
        table[table.epoch == 1], 2.0, max_width=1.1, use_expected_gain=True, epochs=9
    )
    assert (found.is_converged, found.optimum) == (False, None)
    assert "need candidates with epoch 9, got none" in found.reason
