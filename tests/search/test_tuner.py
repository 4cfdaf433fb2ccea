from contextlib import suppress
from dataclasses import replace

import pytest
from tuner_games import FakePool, done, experiment, failed, finish, make_tuner, measured

from scalesearch.search import samplers as proposals
from scalesearch.search import tuner as tuner_module
from scalesearch.search.jobs import Outcome
from scalesearch.search.study.search_trial import read_trials, trial_records


class Killed(Exception):
    """Stands for a kill of the driver."""


def table(tuner):
    return trial_records(tuner.trials_in_order)


def states(tuner):
    return {trial.candidate: trial.state for trial in tuner.trials_in_order}


def test_every_epoch_is_recorded_once_and_every_candidate_ends():
    ended = finish(make_tuner(experiment()))
    assert not table(ended).duplicated(["candidate", "seed", "epoch"]).any()
    assert set(states(ended).values()) == {"complete", "stopped"}
    trained = sum(len(job.seeds) * (job.stop - job.start) for job in ended.pool.submitted)
    assert trained == len(table(ended))


def test_the_study_holds_the_records_of_the_tuner():
    ended = finish(make_tuner(experiment()))
    assert trial_records(read_trials(ended.study)).equals(table(ended))


def test_an_outcome_that_arrives_twice_or_late_counts_once():
    late = []

    def twice(job):
        late.append(done(job))
        return [done(job), *late[-3:-1], done(job)]

    hostile = finish(make_tuner(experiment(), FakePool(twice)))
    assert table(hostile).equals(table(finish(make_tuner(experiment()))))
    assert hostile.duplicate_outcomes > 0


def test_epochs_that_were_recorded_before_are_not_recorded_again():
    def overlapping(job):
        return Outcome(key=job.key, rows=measured(replace(job, start=0)) + measured(job))

    ended = finish(make_tuner(experiment(), FakePool(overlapping)))
    assert ended.stopping_criteria.epochs == len(table(ended))
    assert table(ended).equals(table(finish(make_tuner(experiment()))))


def test_the_rest_of_a_halted_job_is_queued_again():
    def halted(job):
        return Outcome(key=job.key, rows=measured(job, stop=job.start + 1))

    ended = finish(make_tuner(experiment(), FakePool(halted)))
    assert table(ended).equals(table(finish(make_tuner(experiment()))))
    assert len(ended.pool.submitted) == len(table(ended))


def test_after_a_halt_no_job_starts_and_running_jobs_are_recorded():
    told = []
    halting = make_tuner(experiment(), FakePool(slots=3), on_halt=lambda: told.append(1))
    steps = halting.run()
    next(steps)
    before = len(halting.pool.submitted)
    halting.halt()
    halting.halt()
    assert len(list(steps)) == 2
    assert len(halting.pool.submitted) == before
    assert len(table(halting)) == sum(job.stop - job.start for job in halting.pool.submitted)
    assert told == [1]
    again = finish(make_tuner(experiment(), study=halting.study))
    assert table(again).equals(table(finish(make_tuner(experiment()))))


def test_a_search_without_workers_waits_for_new_ones():
    there = iter([3, 0, 0, 0, 0, 3])

    class Leaving(FakePool):
        @property
        def slots(self):
            return next(there, 2)

        @slots.setter
        def slots(self, value):
            pass

    ended = finish(make_tuner(experiment(), Leaving()))
    assert table(ended).equals(table(finish(make_tuner(experiment()))))


def test_a_search_at_its_end_waits_for_no_worker():
    class Leaving(FakePool):
        @property
        def slots(self):
            return 0 if self.last else 2

        @slots.setter
        def slots(self, value):
            pass

        @property
        def last(self):
            return len(self.submitted) == most and not self.waiting

    usual = finish(make_tuner(experiment()))
    most = len(usual.pool.submitted)
    assert table(finish(make_tuner(experiment(), Leaving()))).equals(table(usual))


def test_no_more_jobs_run_than_there_are_slots():
    most = []

    class Counted(FakePool):
        def collect(self, timeout):
            most.append(len(self.waiting))
            return super().collect(timeout)

    finish(make_tuner(experiment(), Counted(slots=3)))
    assert max(most) == 3


def test_checkpoints_left_by_a_killed_driver_are_removed_on_resuming():
    ended = finish(make_tuner(experiment()))
    cleaned = []
    again = make_tuner(
        experiment(), study=ended.study, remove_checkpoints=lambda e: cleaned.append(e.candidate)
    )
    finish(again)
    assert sorted(cleaned) == sorted(states(ended))
    assert not again.pool.submitted


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_sampler_proposes_the_same_after_a_kill_although_a_trial_has_failed(sampler, monkeypatch):
    monkeypatch.setattr(proposals, "STARTUP_TRIALS", 2)
    asked = experiment(sampler=sampler, trials=8, cohort=4, step=None)
    enter = tuner_module.add_trial

    def play(study=None, killed_at=10**6):
        playing = make_tuner(asked, FakePool(slots=1), study)
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
        monkeypatch.setattr(tuner_module, "add_trial", entered)
        with suppress(Killed):
            finish(playing)
        return playing

    whole = play()
    assert "failed" in states(whole).values()
    for killed_at in range(1, len(whole.trials_in_order) + 1):
        again = play(play(killed_at=killed_at).study)
        assert states(again) == states(whole)
        assert table(again).equals(table(whole))


def test_a_search_stops_at_its_number_of_epochs():
    ended = finish(make_tuner(experiment(stop={"epochs": 5})))
    assert 5 <= ended.stopping_criteria.epochs < 5 + 2 * 9
    assert "epochs are trained (search.stop.epochs)" in ended.stopping_criteria.reason


def test_a_search_stops_at_its_hours():
    ended = finish(make_tuner(experiment(stop={"hours": 3 / 3600})))
    assert ended.stopping_criteria.reason == f"{3 / 3600:g} hours are over (search.stop.hours)"
    assert len(ended.pool.submitted) < 8


def test_a_search_stops_at_its_device_hours():
    ended = finish(make_tuner(experiment(stop={"device_hours": 20 / 3600})))
    assert "device-hours are spent" in ended.stopping_criteria.reason
    assert ended.stopping_criteria.seconds >= 20


def test_a_search_stops_at_its_accuracy():
    asked = experiment(pruner="none", asynchronous=True, stop={"accuracy": 0.4})
    ended = finish(make_tuner(asked, FakePool(slots=1)))
    assert "is reached (search.stop.accuracy)" in ended.stopping_criteria.reason
    assert list(states(ended).values()) == ["complete"]


def test_the_records_have_the_reason_of_a_stopped_trial():
    reasons = set(table(finish(make_tuner(experiment())))["stopped"])
    assert any(reason.startswith("halved at epoch 1: place ") for reason in reasons)
    assert "" in reasons
