"""Drift over epochs: a short proxy that favours an axis is detected, and no other."""

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from scalesearch.analysis.drift import accuracy_gain, epoch_drift, shape_change
from scalesearch.analysis.polynomials import polynomial_terms, simplex_lattice
from scalesearch.errors import SearchError

REPEATS = 60


def runs(simulated, top=(0.3, 0.3), *, bias=0.0, fan=1.0, noise=0.006, seeds=3, seed=0, **case):
    """A table of the epochs 1 and 9. ``top``: shares of the optimum, None where all are alike.
    ``bias``: what width alone adds early. ``fan``: differences at epoch 1, of those at 9."""
    random = np.random.default_rng(seed)
    case = simulated.Case(simulated.flat if top is None else simulated.hill(*top), **case)
    shares = simulated.places(case, random)
    late = case.accuracy(shares) + random.normal(0, 0.003, len(shares))
    early = 0.4 + fan * (late - 0.7) + bias * shares[:, 1]
    rows = []
    for place, truth in enumerate(zip(early, late, strict=True)):
        for run in range(seeds):
            lasting = random.normal(0, noise)
            rows += [
                (f"c{place:02}", run, epoch, *shares[place],
                 value + 0.01 * run + lasting + random.normal(0, noise))
                for epoch, value in zip((1, 9), truth, strict=True)
            ]  # fmt: skip
    names = ["candidate", "seed", "epoch", "depth_share", "width_share", "resolution_share"]
    return pd.DataFrame(rows, columns=[*names, "accuracy"])


def rates(simulated, **kind):
    """How often gains depend on shares, what is best drifts, and width is the one favoured."""
    counts = np.zeros(3)
    for seed in range(REPEATS):
        found = accuracy_gain(runs(simulated, seed=seed, **kind), 1, 9)
        width = found.gain_effects["width"].high < 0 < found.early_effects["width"].low
        counts += [found.p <= 0.1, found.is_drift(0.1), found.is_drift(0.1) and width]
    return counts / REPEATS


@pytest.mark.parametrize("top", [(0.3, 0.3), (-0.3, 0.5), None])
def test_a_short_proxy_that_favours_width_is_detected(simulated, top):
    depends, drifts, width = rates(simulated, top=top, bias=0.05)
    assert depends >= 0.95
    assert drifts >= 0.85
    assert width >= 0.8


@pytest.mark.parametrize(("top", "fan"), [((0.3, 0.3), 1.0), ((0.1, 0.25), 0.5), (None, 1.0)])
def test_a_proxy_that_favours_nothing_is_called_so_no_more_often_than_the_level(
    simulated, top, fan
):
    _, drifts, width = rates(simulated, top=top, fan=fan)
    assert drifts <= 0.2  # 0.1 and three standard errors of so few repetitions
    assert width <= 0.07


def test_gains_depend_on_shares_where_curves_only_fan_out_and_that_is_no_drift(simulated):
    table = runs(simulated, (0.1, 0.25), fan=0.4, noise=0.002)
    found = epoch_drift(table, 2.0)
    (only,) = found.gains
    assert only.p < 0.01
    assert only.steepness == pytest.approx(2.5, rel=0.3)
    assert found.has_drift is False
    assert (found.favoured_early, found.penalised_early) == ((), ())
    assert "gains from epoch 1 to 9 depend on the shares (p" in found.sentence
    assert "less on depth" in found.sentence


def test_the_bias_comes_back_as_the_effect_on_gain_with_its_optimum_epoch_by_epoch(simulated):
    found = epoch_drift(runs(simulated, bias=0.15, noise=0.001), 2.0)
    effect = found.gains[0].gain_effects["width"]
    assert effect.low < -0.15 < effect.high
    assert effect.width < 0.03
    assert found.favoured_early == ("width",)
    assert "the best shares drift from epoch 1 to 9" in found.sentence
    assert "width is favoured early" in found.sentence
    early, late = found.optima
    assert (early.epoch, late.epoch) == (1, 9)
    assert early.shares["width"].low > late.shares["width"].high
    assert late.shares["width"].low < 0.35


def test_differences_that_vanish_are_a_drift_too(simulated):
    found = epoch_drift(runs(simulated, None, bias=0.1, noise=0.003), 2.0)
    assert found.gains[0].p_last > 0.1
    assert found.has_drift
    assert found.favoured_early == ("width",)
    assert "at epoch 1 have vanished at 9 (p" in found.sentence


def test_an_axis_that_the_baseline_cannot_scale_is_left_out(simulated):
    table = runs(simulated, bias=0.1)
    depth, width = table.depth_share, table.width_share
    flat = table.assign(resolution_share=0.0, depth_share=depth / (depth + width))
    flat = flat.assign(width_share=1 - flat.depth_share).dropna()
    (only,) = epoch_drift(flat, 2.0).gains
    assert set(only.gain_effects) == {"depth", "width"}
    assert only.gain_effects["depth"].value == pytest.approx(-only.gain_effects["width"].value)


def test_order_of_rows_repeated_rows_and_other_columns_change_nothing(simulated):
    table = runs(simulated, bias=0.05)
    other = pd.concat([table, table]).sample(frac=1, random_state=1).assign(note="x")
    assert epoch_drift(other, 2.0).rows == epoch_drift(table, 2.0).rows


def test_candidates_with_one_epoch_do_not_count_and_luck_of_the_chosen_is_told(simulated):
    table = runs(simulated, bias=0.05)
    gone = (table.candidate < "c05") & (table.epoch == 9)
    found = epoch_drift(table[~gone].assign(stopped=""), 2.0)
    assert found.gains[0].candidates == 12
    assert found.notes == ()
    halved = table[~gone].assign(stopped=np.where(table[~gone].candidate < "c05", "halved", ""))
    assert "because they did well early" in epoch_drift(halved, 2.0).notes[0]


def test_too_few_candidates_or_epochs_are_answered_in_words(simulated):
    table = runs(simulated)
    for few in (table[table.candidate < "c03"], table[table.epoch == 9]):
        found = epoch_drift(few, 2.0)
        assert (found.gains, found.has_drift) == ((), None)
        assert "too few" in found.sentence
    with refused(SearchError):
        epoch_drift(table[:0], 2.0)
    with refused(SearchError):
        epoch_drift(table.assign(accuracy=np.nan), 2.0)


def test_without_any_noise_a_proportional_surface_does_not_drift(simulated):
    table = runs(simulated, fan=0.5, noise=0.0)
    assert accuracy_gain(table, 1, 9).p_shape > 0.5


def test_a_surface_that_is_turned_about_is_no_proportional_one(simulated):
    only = accuracy_gain(runs(simulated, (0.1, 0.25), fan=-1.0, noise=0.002), 1, 9)
    assert only.steepness is None
    assert only.p_shape < 0.01


def test_equal_accuracies_have_one_shape_whatever_their_rounding():
    for count in range(5, 15):
        design = polynomial_terms(simplex_lattice((0, 1, 2), 4), "linear")[:count]
        for level in np.linspace(0.1, 0.9, 9):
            assert shape_change(design, np.full((count, 2), level))[1] == pytest.approx(1)
