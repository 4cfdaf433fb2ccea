"""Optimal designs: better than a lattice, and reproducible."""

import time

import numpy as np
from refusals import refused

from scalesearch.analysis.observations import candidate_estimates
from scalesearch.analysis.optimal_design import (
    i_optimal_design,
    mean_prediction_variance,
    reachable_lattice,
)
from scalesearch.analysis.polynomials import polynomial_terms, simplex_lattice
from scalesearch.analysis.response_model import fit_response_model
from scalesearch.errors import SearchError


def scattered(count, seed=0, axes=(0, 1, 2)):
    """Shares as whole-number networks have them: some on edges and corners, most within."""
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(3, 0.7), count)
    shares[shares < 0.05] = 0.0
    shares[:, [axis for axis in range(3) if axis not in axes]] = 0.0
    shares[shares.sum(axis=1) == 0, axes[0]] = 1.0
    return shares / shares.sum(axis=1, keepdims=True)


def nearest(shares, wanted):
    return [int(np.square(shares - place).sum(axis=1).argmin()) for place in wanted]


def test_a_design_predicts_more_surely_than_as_many_of_a_lattice():
    shares = scattered(400)
    grid = nearest(shares, simplex_lattice((0, 1, 2), 4))
    ours = i_optimal_design(shares, len(grid))
    where = reachable_lattice(shares)
    assert len(ours) == len(set(ours)) == len(set(grid)) == 15
    assert mean_prediction_variance(shares[ours], where) < mean_prediction_variance(
        shares[grid], where
    )
    determining = i_optimal_design(shares, 15)[:12]
    some = [np.random.default_rng(seed).permutation(400)[:12] for seed in range(200)]
    assert mean_prediction_variance(shares[determining], where) < min(
        mean_prediction_variance(shares[one], where) for one in some
    )


def test_no_exchange_of_one_candidate_makes_what_determines_the_surface_better():
    shares = scattered(60)
    where, chosen = reachable_lattice(shares), i_optimal_design(shares, 10)[:8]
    best = mean_prediction_variance(shares[chosen], where)
    for turn in range(8):
        for other in set(range(60)) - set(chosen):
            changed = [*chosen[:turn], other, *chosen[turn + 1 :]]
            assert mean_prediction_variance(shares[changed], where) > best * (1 - 1e-6)


def test_check_points_lie_apart_from_all_that_determine_the_surface():
    shares = scattered(400)
    chosen = i_optimal_design(shares, 15)
    support, checks = shares[chosen[:12]], shares[chosen[12:]]
    apart = np.linalg.norm(checks[:, None] - support, axis=2).min(axis=1)
    assert apart.min() > 0.15
    assert (checks > 0.05).all(axis=1).sum() >= 2  # most of a lattice of 15 is on the boundary


def test_check_points_show_a_surface_that_is_no_quadratic(simulated):
    """Of a bump that the support alone cannot see."""
    shares = scattered(400)
    chosen = i_optimal_design(shares, 12)

    def bump(shares_N3):
        height = 0.05 * 27 * shares_N3.prod(axis=1)
        return 0.6 + height

    random = np.random.default_rng(0)
    case = simulated.Case(bump, noise=0.003)
    rows = simulated.records(case, random)
    few = [f"c{index:03}" for index in range(12)]
    rows = rows[rows.candidate.isin(few)].copy()
    for name, place in zip(few, chosen, strict=True):
        mine = rows.candidate == name
        rows.loc[mine, ["depth_share", "width_share", "resolution_share"]] = shares[place]
        rows.loc[mine, "accuracy"] = bump(shares[[place]])[0] + random.normal(0, 0.003, 3)
    assert candidate_estimates(rows).finished_count == 12
    assert fit_response_model(rows).lack_of_fit["quadratic"].p < 0.01


def test_the_same_candidates_give_the_same_design_and_given_ones_are_not_chosen_again():
    shares = scattered(300)
    given = nearest(shares, [*np.eye(3), np.full(3, 1 / 3)])
    ours = i_optimal_design(shares, 12, included=given)
    assert ours == i_optimal_design(shares.copy(), 12, included=given)
    assert not set(ours) & set(given)
    assert ours != i_optimal_design(shares, 12)
    alone = i_optimal_design(shares, 12)
    where = reachable_lattice(shares)
    together = [
        mean_prediction_variance(shares[[*given, *one[:10]]], where) for one in (ours, alone)
    ]
    assert together[0] < together[1]


def test_an_axis_that_cannot_be_scaled_is_no_part_of_the_design():
    shares = scattered(80, axes=(0, 2))
    chosen = i_optimal_design(shares, 9)
    assert len(set(chosen)) == 9
    assert np.isfinite(mean_prediction_variance(shares[chosen], reachable_lattice(shares, (0, 2))))
    known = polynomial_terms(shares[chosen], "quadratic", (0, 2))
    assert np.linalg.matrix_rank(known) == 3


def test_an_axis_that_has_one_share_only_still_gives_a_design():
    random = np.random.default_rng(0)
    width = random.uniform(0, 0.7, 50)
    shares = np.stack([np.full(50, 0.3), width, 0.7 - width], axis=1)
    chosen = i_optimal_design(shares, 9)
    assert len(set(chosen)) == 9
    assert np.ptp(shares[chosen, 1]) > 0.6
    assert (
        mean_prediction_variance(shares[chosen]) == np.inf
    )  # and says that it determines no surface


def test_thousands_of_candidates_take_less_than_a_second():
    shares = scattered(5000)
    laps = []
    for _ in range(3):  # the first imports a part of scipy
        began = time.process_time()
        assert len(i_optimal_design(shares, 15)) == 15
        laps.append(time.process_time() - began)
    assert min(laps) < 1.5  # 0.2 where nothing else runs


def test_few_candidates_are_all_taken_and_none_is_refused():
    shares = scattered(6)
    assert i_optimal_design(shares, 12) == list(range(6))
    assert i_optimal_design(shares, 12, included=[2]) == [0, 1, 3, 4, 5]
    with refused(SearchError):
        i_optimal_design(shares, 0)
    with refused(SearchError):
        i_optimal_design(np.full((4, 3), np.nan), 2)
