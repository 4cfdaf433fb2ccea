from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from halving_games import Plot, play, play_on, plots
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesearch.search.halving_state import HalvingConfig

chances = st.integers(0, 10**6).map(Random)


def ends(ledger):
    return {place: (v.state, v.reason, v.kind) for place, v in ledger.ends.items()}


@given(plots(), st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_the_order_of_completion_changes_neither_decisions_nor_records(plot, few, many, order):
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
    assert sorted(ledger.ends) == list(range(sum(plot.round_sizes)))
    assert len(ledger.trained) == sum(ledger.epochs().values())


@given(plots() | plots(asynchronous=True), chances)
def test_an_undisturbed_search_sweeps_once_and_before_the_first_epoch(plot, chance):
    ledger = play(plot, order=chance.randrange(99))
    if not plot.rules.tune_learning_rate:
        assert not ledger.sweeps
        return
    assert sorted(ledger.sweeps) == list(range(sum(plot.round_sizes)))
    for place in range(sum(plot.round_sizes)):
        own = [job for job in ledger.jobs if job.trial == place]
        assert [job.sweep for job in own] == [True] + [False] * (len(own) - 1)


@given(plots(failing=False) | plots(asynchronous=True, failing=False), chances)
def test_references_get_all_seeds_and_all_epochs(plot, chance):
    ledger = play_on(plot, chance)
    for place in plot.references | plot.searched_references:
        assert ledger.ends[place].state == "complete"
        for seed in plot.rules.seeds:
            assert len(ledger.rows[place][seed]) == plot.rules.last_epoch


@given(plots() | plots(asynchronous=True), st.integers(1, 9))
def test_a_job_ends_at_the_next_rung(plot, workers):
    rungs = (0, *plot.rules.rungs)
    for job in play(plot, workers=workers).jobs:
        if not job.sweep:
            assert (job.start, job.stop) in set(pairwise(rungs))


@given(plots(failing=False))
def test_seeds_trained_together_are_in_one_job(plot):
    first = plot.rules.seeds[: plot.rules.initial_seed_count]
    for job in play(plot).jobs:
        if job.sweep:
            continue
        if not plot.rules.together:
            assert len(job.seeds) == 1
        elif job.trial in plot.references | plot.searched_references:
            assert job.seeds == plot.rules.seeds
        else:
            assert job.seeds == first or not set(job.seeds) & set(first)


def halving(n, **changes):
    rules = HalvingConfig(
        **{"rungs": (1, 3, 9), "seeds": (0, 1), "initial_seed_count": 2, **changes}
    )
    return Plot(rules, (n,), salt=7)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 15, 20])
@pytest.mark.parametrize("eta", [2, 3, 4])
@pytest.mark.parametrize("levels", [1, 3, 1000])
def test_the_best_fraction_of_each_rung_continues_rounded_up_also_with_ties(n, eta, levels):
    plot = replace(halving(n, eta=eta), levels=levels)
    epochs = play(plot).epochs()
    at = [sum(epochs[place, 0] >= rung for place in range(n)) for rung in (1, 3, 9)]
    assert at[0] == n
    assert at[1] == -(-at[0] // eta)
    assert at[2] == -(-at[1] // eta)


@given(plots(failing=False))
def test_no_trial_continues_past_a_better_one_of_its_round(plot):
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


def test_the_reason_of_a_stopped_trial_has_its_rank():
    ledger = play(halving(9))
    reasons = sorted(v.reason for v in ledger.ends.values() if "epoch 1:" in v.reason)
    assert reasons == [f"halved at epoch 1: place {place} of 9" for place in range(4, 10)]


def test_trials_of_a_later_round_are_ranked_among_all_so_far():
    plot = Plot(
        HalvingConfig(rungs=(1, 2), seeds=(0,), initial_seed_count=1, eta=3), (9, 6), salt=3
    )
    ledger = play(plot)
    ranked = sorted(range(15), key=lambda place: -plot.accuracy(place, 0, 1))
    went_on = {place for place in range(9, 15) if ledger.epochs()[place, 0] == 2}
    assert went_on == set(ranked[:5]) & set(range(9, 15))
    assert went_on


def test_a_failure_at_a_rung_affects_no_other_trial():
    plot = replace(halving(9), fails=((4, 1, 1), (6, 0, 1)))
    ledger = play(plot)
    states = {place: v.state for place, v in ledger.ends.items()}
    assert [place for place in states if states[place] == "failed"] == [4, 6]
    assert sum(n >= 3 for (_, seed), n in ledger.epochs().items() if seed == 0) == 3  # of 7


def test_a_round_in_which_all_trials_fail_is_finished():
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
def test_a_failed_trial_has_the_reason_of_its_first_failed_seed(plot, order):
    ledger = play(plot, order=order)
    for place, seed, _ in plot.fails:
        decision = ledger.ends[place]
        if decision.state == "failed":
            assert decision.kind == "diverged"
            assert decision.reason.startswith("seeds (")
        else:
            assert ledger.epochs().get((place, seed), 0) < plot.rules.last_epoch
