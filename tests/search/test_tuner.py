from contextlib import suppress
from dataclasses import replace

import pytest
from tuner_games import Hands, done, engine, experiment, failed, finish, measured

from scalesearch.search import samplers as proposals
from scalesearch.search import study as study_store
from scalesearch.search.jobs import Outcome
from scalesearch.search.study.search_trial import read_trials, trial_records


class Killed(Exception):
    """The driver is no more."""


def table(engine):
    return trial_records(engine.trials_in_order)


def states(engine):
    return {entry.candidate: entry.state for entry in engine.trials_in_order}


def test_every_epoch_is_recorded_once_and_every_candidate_ends():
    ended = finish(engine(experiment()))
    assert not table(ended).duplicated(["candidate", "seed", "epoch"]).any()
    assert set(states(ended).values()) == {"complete", "stopped"}
    trained = sum(len(job.seeds) * (job.stop - job.start) for job in ended.pool.submitted)
    assert trained == len(table(ended))


def test_the_study_holds_what_the_engine_knows():
    ended = finish(engine(experiment()))
    assert trial_records(read_trials(ended.study)).equals(table(ended))


def test_an_outcome_that_comes_again_or_late_counts_once():
    late = []

    def twice(job):
        late.append(done(job))
        return [done(job), *late[-3:-1], done(job)]

    hostile = finish(engine(experiment(), Hands(twice)))
    assert table(hostile).equals(table(finish(engine(experiment()))))
    assert hostile.duplicate_outcomes > 0


def test_epochs_that_were_recorded_before_are_not_recorded_again():
    def overlapping(job):
        return Outcome(key=job.key, rows=measured(replace(job, start=0)) + measured(job))

    ended = finish(engine(experiment(), Hands(overlapping)))
    assert ended.stopping_criteria.epochs == len(table(ended))
    assert table(ended).equals(table(finish(engine(experiment()))))


def test_a_job_that_was_halted_before_its_end_is_offered_for_the_rest():
    def halted(job):
        return Outcome(key=job.key, rows=measured(job, stop=job.start + 1))

    ended = finish(engine(experiment(), Hands(halted)))
    assert table(ended).equals(table(finish(engine(experiment()))))
    assert len(ended.pool.submitted) == len(table(ended))


def test_after_a_halt_nothing_is_begun_and_what_is_under_way_is_recorded():
    told = []
    halting = engine(experiment(), Hands(slots=3), on_halt=lambda: told.append(1))
    steps = halting.run()
    next(steps)
    before = len(halting.pool.submitted)
    halting.halt()
    halting.halt()
    assert len(list(steps)) == 2
    assert len(halting.pool.submitted) == before
    assert len(table(halting)) == sum(job.stop - job.start for job in halting.pool.submitted)
    assert told == [1]
    again = finish(engine(experiment(), study=halting.study))
    assert table(again).equals(table(finish(engine(experiment()))))


def test_where_all_workers_are_gone_the_search_waits_for_others():
    there = iter([3, 0, 0, 0, 0, 3])

    class Leaving(Hands):
        @property
        def slots(self):
            return next(there, 2)

        @slots.setter
        def slots(self, value):
            pass

    ended = finish(engine(experiment(), Leaving()))
    assert table(ended).equals(table(finish(engine(experiment()))))


def test_at_the_end_nobody_is_waited_for():
    class Leaving(Hands):
        @property
        def slots(self):
            return 0 if self.last else 2

        @slots.setter
        def slots(self, value):
            pass

        @property
        def last(self):
            return len(self.submitted) == most and not self.waiting

    usual = finish(engine(experiment()))
    most = len(usual.pool.submitted)
    assert table(finish(engine(experiment(), Leaving()))).equals(table(usual))


def test_no_more_jobs_are_in_flight_than_there_are_slots():
    most = []

    class Counted(Hands):
        def collect(self, timeout):
            most.append(len(self.waiting))
            return super().collect(timeout)

    finish(engine(experiment(), Counted(slots=3)))
    assert max(most) == 3


def test_an_end_that_was_not_followed_by_its_cleaning_is_cleaned_on_resuming():
    ended = finish(engine(experiment()))
    cleaned = []
    again = engine(
        experiment(), study=ended.study, remove_checkpoints=lambda e: cleaned.append(e.candidate)
    )
    finish(again)
    assert sorted(cleaned) == sorted(states(ended))
    assert not again.pool.submitted


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_sampler_proposes_after_a_kill_as_before_though_one_has_failed_meanwhile(
    sampler, monkeypatch
):
    monkeypatch.setattr(proposals, "STARTUP_TRIALS", 2)
    asked = experiment(sampler=sampler, trials=8, cohort=4, step=None)
    enter = study_store.add_trial

    def play(study=None, killed_at=10**6):
        playing = engine(asked, Hands(slots=1), study)
        left = killed_at

        def entered(*args, **options):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return enter(*args, **options)

        def answer(job):
            bad = [e.candidate for e in playing.trials_in_order if e.cell == "proposal 4"]
            return failed(job, "diverged") if job.candidate in bad else done(job)

        playing.pool.answer = answer
        monkeypatch.setattr(study_store, "add_trial", entered)
        with suppress(Killed):
            finish(playing)
        return playing

    whole = play()
    assert "failed" in states(whole).values()
    for killed_at in range(1, len(whole.trials_in_order) + 1):
        again = play(play(killed_at=killed_at).study)
        assert states(again) == states(whole)
        assert table(again).equals(table(whole))


def test_stops_when_so_many_epochs_are_trained():
    ended = finish(engine(experiment(stop={"epochs": 5})))
    assert 5 <= ended.stopping_criteria.epochs < 5 + 2 * 9
    assert "epochs are trained (search.stop.epochs)" in ended.stopping_criteria.reason


def test_stops_when_the_time_is_over():
    ended = finish(engine(experiment(stop={"hours": 3 / 3600})))
    assert ended.stopping_criteria.reason == f"{3 / 3600:g} hours are over (search.stop.hours)"
    assert len(ended.pool.submitted) < 8


def test_stops_when_the_workers_have_spent_their_hours():
    ended = finish(engine(experiment(stop={"device_hours": 20 / 3600})))
    assert "device-hours are spent" in ended.stopping_criteria.reason
    assert ended.stopping_criteria.seconds >= 20


def test_stops_at_an_accuracy_that_is_asked_for():
    asked = experiment(pruner="none", asynchronous=True, stop={"accuracy": 0.4})
    ended = finish(engine(asked, Hands(slots=1)))
    assert "is reached (search.stop.accuracy)" in ended.stopping_criteria.reason
    assert list(states(ended).values()) == ["complete"]


def test_a_candidate_that_was_stopped_says_why_in_the_records():
    reasons = set(table(finish(engine(experiment())))["stopped"])
    assert any(reason.startswith("halved at epoch 1: place ") for reason in reasons)
    assert "" in reasons
