from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from halving_games import Plot, play, play_on, plots
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesearch.search.trial_progress import HalvingConfig

chances = st.integers(0, 10**6).map(Random)


def ends(ledger):
    return {place: (v.state, v.reason, v.kind) for place, v in ledger.ends.items()}


@given(plots(), st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_the_order_of_completion_changes_neither_verdicts_nor_records(plot, few, many, order):
    one = play(plot, workers=few)
    other = play(plot, workers=many, order=order)
    assert ends(one) == ends(other)
    assert one.rows == other.rows


@given(plots(), chances)
def test_a_search_that_is_killed_again_and_again_ends_as_if_it_had_not_been(plot, chance):
    undisturbed, resumed = play(plot), play_on(plot, chance)
    assert ends(resumed) == ends(undisturbed)
    assert resumed.rows == undisturbed.rows


@settings(max_examples=40)
@given(st.sampled_from(["median", "hyperband"]).flatmap(lambda p: plots(pruner=p)), chances)
def test_optunas_pruners_decide_the_same_after_a_kill(plot, chance):
    undisturbed, resumed = play(plot), play_on(plot, chance)
    assert ends(resumed) == ends(undisturbed)
    assert resumed.rows == undisturbed.rows


@given(plots() | plots(asynchronous=True), chances, st.booleans())
def test_every_epoch_is_trained_once_and_every_candidate_ends(plot, chance, halts):
    ledger = play_on(plot, chance, halts=halts)
    assert len(set(ledger.trained)) == len(ledger.trained)
    assert sorted(ledger.ends) == list(range(sum(plot.cohorts)))
    assert len(ledger.trained) == sum(ledger.epochs().values())


@given(plots() | plots(asynchronous=True), chances)
def test_an_undisturbed_search_sweeps_once_and_before_the_first_epoch(plot, chance):
    ledger = play(plot, order=chance.randrange(99))
    if not plot.rules.tune_learning_rate:
        assert not ledger.sweeps
        return
    assert sorted(ledger.sweeps) == list(range(sum(plot.cohorts)))
    for place in range(sum(plot.cohorts)):
        own = [task for task in ledger.tasks if task.trial == place]
        assert [task.sweep for task in own] == [True] + [False] * (len(own) - 1)


@given(plots(failing=False) | plots(asynchronous=True, failing=False), chances)
def test_references_get_all_seeds_and_all_epochs(plot, chance):
    ledger = play_on(plot, chance)
    for place in plot.references | plot.searched_references:
        assert ledger.ends[place].state == "complete"
        for seed in plot.rules.seeds:
            assert len(ledger.rows[place][seed]) == plot.rules.last_epoch


@given(plots() | plots(asynchronous=True), st.integers(1, 9))
def test_a_task_goes_to_the_next_rung_and_no_further(plot, workers):
    rungs = (0, *plot.rules.rungs)
    for task in play(plot, workers=workers).tasks:
        if not task.sweep:
            assert (task.start, task.stop) in set(pairwise(rungs))


@given(plots(failing=False))
def test_seeds_are_in_one_task_where_they_are_trained_together(plot):
    first = plot.rules.seeds[: plot.rules.initial_seed_count]
    for task in play(plot).tasks:
        if task.sweep:
            continue
        if not plot.rules.together:
            assert len(task.seeds) == 1
        elif task.trial in plot.references | plot.searched_references:
            assert task.seeds == plot.rules.seeds
        else:
            assert task.seeds == first or not set(task.seeds) & set(first)


def halving(n, **changes):
    rules = HalvingConfig(
        **{"rungs": (1, 3, 9), "seeds": (0, 1), "initial_seed_count": 2, **changes}
    )
    return Plot(rules, (n,), salt=7)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 15, 20])
@pytest.mark.parametrize("eta", [2, 3, 4])
@pytest.mark.parametrize("levels", [1, 3, 1000])
def test_of_each_rung_the_best_of_eta_go_on_rounded_up_whatever_is_tied(n, eta, levels):
    plot = replace(halving(n, eta=eta), levels=levels)
    epochs = play(plot).epochs()
    at = [sum(epochs[place, 0] >= rung for place in range(n)) for rung in (1, 3, 9)]
    assert at[0] == n
    assert at[1] == -(-at[0] // eta)
    assert at[2] == -(-at[1] // eta)


@given(plots(failing=False))
def test_who_goes_on_is_at_no_rung_behind_one_of_its_cohort_who_does_not(plot):
    rules, epochs = plot.rules, {}
    ledger = play(plot)
    first, epochs = rules.seeds[: rules.initial_seed_count], ledger.epochs()

    def value(place, rung):
        return sum(ledger.rows[place][seed][rung - 1] for seed in first) / len(first)

    for members in plot.members:
        alone = [p for p in members if p not in plot.references | plot.searched_references]
        for rung in rules.rungs[:-1]:
            there = [p for p in alone if epochs[p, first[0]] >= rung]
            on = [value(p, rung) for p in there if epochs[p, first[0]] > rung]
            off = [value(p, rung) for p in there if epochs[p, first[0]] == rung]
            assert not on or not off or min(on) >= max(off)


def test_why_a_candidate_was_halved_is_told_with_its_place():
    ledger = play(halving(9))
    reasons = sorted(v.reason for v in ledger.ends.values() if "epoch 1:" in v.reason)
    assert reasons == [f"halved at epoch 1: place {place} of 9" for place in range(4, 10)]


def test_of_the_next_cohort_goes_on_who_is_among_the_best_of_all_so_far():
    plot = Plot(
        HalvingConfig(rungs=(1, 2), seeds=(0,), initial_seed_count=1, eta=3), (9, 6), salt=3
    )
    ledger = play(plot)
    ranked = sorted(range(15), key=lambda place: -plot.accuracy(place, 0, 1))
    went_on = {place for place in range(9, 15) if ledger.epochs()[place, 0] == 2}
    assert went_on == set(ranked[:5]) & set(range(9, 15))
    assert went_on


def test_a_failure_amid_a_rung_takes_nobody_else_along():
    plot = replace(halving(9), fails=((4, 1, 1), (6, 0, 1)))
    ledger = play(plot)
    states = {place: v.state for place, v in ledger.ends.items()}
    assert [place for place in states if states[place] == "failed"] == [4, 6]
    assert sum(n >= 3 for (_, seed), n in ledger.epochs().items() if seed == 0) == 3  # of 7


def test_a_cohort_of_which_all_fail_is_over():
    plot = Plot(
        HalvingConfig(rungs=(1, 3), seeds=(0,), initial_seed_count=1),
        (2, 1),
        fails=((0, 0, 1), (1, 0, 2)),
    )
    plot = replace(plot, fails=((0, 0, 1), (1, 0, 1)))
    assert {p: v.state for p, v in play(plot).ends.items()} == {
        0: "failed",
        1: "failed",
        2: "complete",
    }


@given(plots(), st.integers(0, 99))
def test_a_candidate_that_fails_says_so_by_its_first_seed_that_did(plot, order):
    ledger = play(plot, order=order)
    for place, seed, _ in plot.fails:
        verdict = ledger.ends[place]
        if verdict.state == "failed":
            assert verdict.kind == "diverged"
            assert verdict.reason.startswith("seeds (")
        else:
            assert ledger.epochs().get((place, seed), 0) < plot.rules.last_epoch
