from random import Random

from fake_searches import FakeSearch, fake_searches, run_search, run_search_with_kills
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesearch.search.halving_state import HalvingConfig, HalvingTrial, JobSpec
from scalesearch.search.successive_halving import SuccessiveHalving

generators = st.integers(0, 10**6).map(Random)
CONFIG = HalvingConfig(rungs=(1, 3, 9), seeds=(0,), initial_seed_count=1, asynchronous=True)


@given(fake_searches(asynchronous=True), st.integers(1, 9), st.integers(0, 99))
def test_only_the_best_trials_at_a_rung_continue(search, workers, order):
    schedule, config = None, search.config

    class CheckedHalving(SuccessiveHalving):
        def _promote(self, trial):
            if trial.stage < len(config.rungs) - 1 and not trial.is_reference:
                rung = self.rungs[config.rungs[trial.stage]]
                assert rung.rank(trial.index) <= rung.count / config.eta
            super()._promote(trial)

    class CheckedSearch(FakeSearch):
        def schedule(self):
            nonlocal schedule
            schedule = CheckedHalving(self.config)
            return schedule

    fields = {name: getattr(search, name) for name in FakeSearch.__dataclass_fields__}
    run_search(CheckedSearch(**fields), workers=workers, order=order)


@given(fake_searches(asynchronous=True, failing=False), st.integers(1, 9), st.integers(0, 99))
def test_at_the_end_the_best_of_each_rung_have_continued(search, workers, order):
    records = run_search(search, workers=workers, order=order)
    config, epochs = search.config, records.epochs()
    initial_seeds = config.seeds[: config.initial_seed_count]
    for rung in config.rungs[:-1]:
        arrived = [
            number
            for number in range(sum(search.round_sizes))
            if epochs.get((number, initial_seeds[0]), 0) >= rung
        ]
        arrived = [number for number in arrived if number not in search.references]
        total_accuracy = {
            number: sum(
                records.rows[number][seed][rung - 1]
                for seed in initial_seeds
                if rung <= len(records.rows[number][seed])
            )
            for number in arrived
        }
        best = sorted(arrived, key=lambda number: (-total_accuracy[number], number))[
            : len(arrived) // config.eta
        ]
        assert all(epochs[number, initial_seeds[0]] > rung for number in best)


@given(fake_searches(asynchronous=True), generators)
def test_a_promoted_trial_stays_promoted_after_a_kill(search, random):
    """Further epochs that were trained are not trained in vain."""
    records = run_search_with_kills(search, random)
    rungs = search.config.rungs
    for (number, _), epochs in records.epochs().items():
        if records.decisions[number].state == "stopped":
            assert epochs in rungs[:-1]
            assert f"epoch {epochs}:" in records.decisions[number].reason


@settings(max_examples=40)
@given(
    fake_searches(asynchronous=True, pruner="median")
    | fake_searches(asynchronous=True, pruner="hyperband"),
    generators,
)
def test_with_optunas_pruners_every_trial_ends(search, random):
    records = run_search_with_kills(search, random)
    assert sorted(records.decisions) == list(range(sum(search.round_sizes)))
    assert len(set(records.trained)) == len(records.trained)


def test_with_one_worker_the_best_third_is_promoted_on_arrival():
    search = FakeSearch(CONFIG, (12,), salt=3)
    epochs = run_search(search, workers=1).epochs()
    assert sum(epoch_count >= 3 for epoch_count in epochs.values()) >= 12 // 3
    assert sum(epoch_count >= 3 for epoch_count in epochs.values()) < 12


def test_no_worker_waits_as_long_as_there_are_candidates():
    schedule = FakeSearch(CONFIG, (9,)).schedule()
    for number in range(9):
        schedule.start_round(number, [HalvingTrial(number)])
        assert schedule.next_job() is not None
    assert schedule.is_idle


def test_a_waiting_trial_continues_after_a_kill_if_failed_trials_make_room():
    config = HalvingConfig(rungs=(1, 3), seeds=(0,), initial_seed_count=1, eta=3, asynchronous=True)
    resumed = SuccessiveHalving(config)
    recorded = {0: (0.9, "running"), 1: (0.1, "failed"), 2: (0.2, "failed")}
    for number, (accuracy, state) in recorded.items():
        trial = HalvingTrial(number, accuracies={0: [accuracy]}, state=state)
        resumed.start_round(number, [trial])
    assert resumed.next_job() == JobSpec(0, (0,), 1, 3)
