from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from fake_searches import FakeSearch, fake_searches, run_search, run_search_with_kills
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesearch.search.halving_state import HalvingConfig

generators = st.integers(0, 10**6).map(Random)


def endings(records):
    return {
        number: (decision.state, decision.reason, decision.kind)
        for number, decision in records.decisions.items()
    }


@given(fake_searches(), st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_the_order_of_completion_changes_neither_decisions_nor_records(
    search, few_workers, many_workers, order
):
    first_records = run_search(search, workers=few_workers)
    other_records = run_search(search, workers=many_workers, order=order)
    assert endings(first_records) == endings(other_records)
    assert first_records.rows == other_records.rows


@given(fake_searches(), generators)
def test_a_search_that_is_killed_again_and_again_ends_as_if_it_had_not_been(search, random):
    undisturbed, resumed = run_search(search), run_search_with_kills(search, random)
    assert endings(resumed) == endings(undisturbed)
    assert resumed.rows == undisturbed.rows


@settings(max_examples=40)
@given(
    st.sampled_from(["median", "hyperband"]).flatmap(lambda pruner: fake_searches(pruner=pruner)),
    generators,
)
def test_optunas_pruners_decide_the_same_after_a_kill(search, random):
    undisturbed, resumed = run_search(search), run_search_with_kills(search, random)
    assert endings(resumed) == endings(undisturbed)
    assert resumed.rows == undisturbed.rows


@given(fake_searches() | fake_searches(asynchronous=True), generators, st.booleans())
def test_every_epoch_is_trained_once_and_every_candidate_ends(search, random, halts):
    records = run_search_with_kills(search, random, halts=halts)
    assert len(set(records.trained)) == len(records.trained)
    assert sorted(records.decisions) == list(range(sum(search.round_sizes)))
    assert len(records.trained) == sum(records.epochs().values())


@given(fake_searches() | fake_searches(asynchronous=True), generators)
def test_an_undisturbed_search_sweeps_once_and_before_the_first_epoch(search, random):
    records = run_search(search, order=random.randrange(99))
    if not search.config.tune_learning_rate:
        assert not records.sweeps
        return
    assert sorted(records.sweeps) == list(range(sum(search.round_sizes)))
    for number in range(sum(search.round_sizes)):
        jobs = [job for job in records.jobs if job.trial == number]
        assert [job.sweep for job in jobs] == [True] + [False] * (len(jobs) - 1)


@given(fake_searches(failing=False) | fake_searches(asynchronous=True, failing=False), generators)
def test_references_get_all_seeds_and_all_epochs(search, random):
    records = run_search_with_kills(search, random)
    for number in search.references | search.searched_references:
        assert records.decisions[number].state == "complete"
        for seed in search.config.seeds:
            assert len(records.rows[number][seed]) == search.config.last_epoch


@given(fake_searches() | fake_searches(asynchronous=True), st.integers(1, 9))
def test_a_job_ends_at_the_next_rung(search, workers):
    rungs = (0, *search.config.rungs)
    for job in run_search(search, workers=workers).jobs:
        if not job.sweep:
            assert (job.start, job.stop) in set(pairwise(rungs))


@given(fake_searches(failing=False))
def test_seeds_trained_together_are_in_one_job(search):
    initial_seeds = search.config.seeds[: search.config.initial_seed_count]
    for job in run_search(search).jobs:
        if job.sweep:
            continue
        if not search.config.together:
            assert len(job.seeds) == 1
        elif job.trial in search.references | search.searched_references:
            assert job.seeds == search.config.seeds
        else:
            assert job.seeds == initial_seeds or not set(job.seeds) & set(initial_seeds)


def halving(n, **changes):
    config = HalvingConfig(
        **{"rungs": (1, 3, 9), "seeds": (0, 1), "initial_seed_count": 2, **changes}
    )
    return FakeSearch(config, (n,), salt=7)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 15, 20])
@pytest.mark.parametrize("eta", [2, 3, 4])
@pytest.mark.parametrize("levels", [1, 3, 1000])
def test_the_best_fraction_of_each_rung_continues_rounded_up_also_with_ties(n, eta, levels):
    search = replace(halving(n, eta=eta), levels=levels)
    epochs = run_search(search).epochs()
    counts_at_rungs = [sum(epochs[number, 0] >= rung for number in range(n)) for rung in (1, 3, 9)]
    assert counts_at_rungs[0] == n
    assert counts_at_rungs[1] == -(-counts_at_rungs[0] // eta)
    assert counts_at_rungs[2] == -(-counts_at_rungs[1] // eta)


@given(fake_searches(failing=False))
def test_no_trial_continues_past_a_better_one_of_its_round(search):
    config, epochs = search.config, {}
    records = run_search(search)
    initial_seeds, epochs = config.seeds[: config.initial_seed_count], records.epochs()

    def mean_accuracy(number, rung):
        return sum(records.rows[number][seed][rung - 1] for seed in initial_seeds) / len(
            initial_seeds
        )

    for members in search.members:
        searched = [
            number
            for number in members
            if number not in search.references | search.searched_references
        ]
        for rung in config.rungs[:-1]:
            arrived = [number for number in searched if epochs[number, initial_seeds[0]] >= rung]
            kept = [
                mean_accuracy(number, rung)
                for number in arrived
                if epochs[number, initial_seeds[0]] > rung
            ]
            stopped = [
                mean_accuracy(number, rung)
                for number in arrived
                if epochs[number, initial_seeds[0]] == rung
            ]
            assert not kept or not stopped or min(kept) >= max(stopped)


def test_the_reason_of_a_stopped_trial_has_its_rank():
    records = run_search(halving(9))
    reasons = sorted(
        decision.reason for decision in records.decisions.values() if "epoch 1:" in decision.reason
    )
    assert reasons == [f"halved at epoch 1: place {rank} of 9" for rank in range(4, 10)]


def test_trials_of_a_later_round_are_ranked_among_all_so_far():
    search = FakeSearch(
        HalvingConfig(rungs=(1, 2), seeds=(0,), initial_seed_count=1, eta=3), (9, 6), salt=3
    )
    records = run_search(search)
    ranked = sorted(range(15), key=lambda number: -search.accuracy(number, 0, 1))
    continued = {number for number in range(9, 15) if records.epochs()[number, 0] == 2}
    assert continued == set(ranked[:5]) & set(range(9, 15))
    assert continued


def test_a_failure_at_a_rung_affects_no_other_trial():
    search = replace(halving(9), fails=((4, 1, 1), (6, 0, 1)))
    records = run_search(search)
    states = {number: decision.state for number, decision in records.decisions.items()}
    assert [number for number in states if states[number] == "failed"] == [4, 6]
    assert (
        sum(epoch_count >= 3 for (_, seed), epoch_count in records.epochs().items() if seed == 0)
        == 3
    )  # of 7


def test_a_round_in_which_all_trials_fail_is_finished():
    search = FakeSearch(
        HalvingConfig(rungs=(1, 3), seeds=(0,), initial_seed_count=1),
        (2, 1),
        fails=((0, 0, 1), (1, 0, 2)),
    )
    search = replace(search, fails=((0, 0, 1), (1, 0, 1)))
    assert {
        number: decision.state for number, decision in run_search(search).decisions.items()
    } == {
        0: "failed",
        1: "failed",
        2: "complete",
    }


@given(fake_searches(), st.integers(0, 99))
def test_a_failed_trial_has_the_reason_of_its_first_failed_seed(search, order):
    records = run_search(search, order=order)
    for number, seed, _ in search.fails:
        decision = records.decisions[number]
        if decision.state == "failed":
            assert decision.kind == "diverged"
            assert decision.reason.startswith("seeds (")
        else:
            assert records.epochs().get((number, seed), 0) < search.config.last_epoch
