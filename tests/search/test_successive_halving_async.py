from random import Random

from halving_games import Plot, play, play_on, plots
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesearch.search.halving_state import HalvingConfig, HalvingTrial, JobSpec
from scalesearch.search.successive_halving import SuccessiveHalving

chances = st.integers(0, 10**6).map(Random)
RULES = HalvingConfig(rungs=(1, 3, 9), seeds=(0,), initial_seed_count=1, asynchronous=True)


@given(plots(asynchronous=True), st.integers(1, 9), st.integers(0, 99))
def test_only_the_best_trials_at_a_rung_continue(plot, workers, order):
    schedule, rules = None, plot.rules

    class Watched(SuccessiveHalving):
        def _promote(self, trial):
            if trial.stage < len(rules.rungs) - 1 and not trial.is_reference:
                rung = self.rungs[rules.rungs[trial.stage]]
                assert rung.rank(trial.index) <= rung.count / rules.eta
            super()._promote(trial)

    class Watching(Plot):
        def schedule(self):
            nonlocal schedule
            schedule = Watched(self.rules)
            return schedule

    fields = {name: getattr(plot, name) for name in Plot.__dataclass_fields__}
    play(Watching(**fields), workers=workers, order=order)


@given(plots(asynchronous=True, failing=False), st.integers(1, 9), st.integers(0, 99))
def test_at_the_end_the_best_of_each_rung_have_continued(plot, workers, order):
    ledger = play(plot, workers=workers, order=order)
    rules, epochs = plot.rules, ledger.epochs()
    first = rules.seeds[: rules.initial_seed_count]
    for rung in rules.rungs[:-1]:
        there = [p for p in range(sum(plot.round_sizes)) if epochs.get((p, first[0]), 0) >= rung]
        there = [p for p in there if p not in plot.references]
        value = {
            p: sum(ledger.rows[p][s][rung - 1] for s in first if rung <= len(ledger.rows[p][s]))
            for p in there
        }
        best = sorted(there, key=lambda p: (-value[p], p))[: len(there) // rules.eta]
        assert all(epochs[p, first[0]] > rung for p in best)


@given(plots(asynchronous=True), chances)
def test_a_promoted_trial_stays_promoted_after_a_kill(plot, chance):
    """Further epochs that were trained are not trained in vain."""
    ledger = play_on(plot, chance)
    rungs = plot.rules.rungs
    for (place, _), epochs in ledger.epochs().items():
        if ledger.ends[place].state == "stopped":
            assert epochs in rungs[:-1]
            assert f"epoch {epochs}:" in ledger.ends[place].reason


@settings(max_examples=40)
@given(
    plots(asynchronous=True, pruner="median") | plots(asynchronous=True, pruner="hyperband"),
    chances,
)
def test_with_optunas_pruners_every_trial_ends(plot, chance):
    ledger = play_on(plot, chance)
    assert sorted(ledger.ends) == list(range(sum(plot.round_sizes)))
    assert len(set(ledger.trained)) == len(ledger.trained)


def test_with_one_worker_the_best_third_is_promoted_on_arrival():
    plot = Plot(RULES, (12,), salt=3)
    epochs = play(plot, workers=1).epochs()
    assert sum(n >= 3 for n in epochs.values()) >= 12 // 3
    assert sum(n >= 3 for n in epochs.values()) < 12


def test_no_worker_waits_as_long_as_there_are_candidates():
    schedule = Plot(RULES, (9,)).schedule()
    for place in range(9):
        schedule.start_round(place, [HalvingTrial(place)])
        assert schedule.next_job() is not None
    assert schedule.is_idle


def test_a_waiting_trial_continues_after_a_kill_if_failed_trials_make_room():
    rules = HalvingConfig(rungs=(1, 3), seeds=(0,), initial_seed_count=1, eta=3, asynchronous=True)
    resumed = SuccessiveHalving(rules)
    past = {0: (0.9, "running"), 1: (0.1, "failed"), 2: (0.2, "failed")}
    for place, (accuracy, state) in past.items():
        trial = HalvingTrial(place, accuracies={0: [accuracy]}, state=state)
        resumed.start_round(place, [trial])
    assert resumed.next_job() == JobSpec(0, (0,), 1, 3)
