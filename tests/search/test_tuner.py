from contextlib import suppress
from dataclasses import replace

import pytest
from fake_tuners import (
    FakePool,
    completed_outcome,
    failed_outcome,
    make_experiment,
    make_tuner,
    measured_rows,
    run_to_end,
)

from scalesearch.search import samplers as proposals
from scalesearch.search import tuner as tuner_module
from scalesearch.search.jobs import Outcome
from scalesearch.search.study.search_trial import read_trials, trial_records


class Killed(Exception):
    """Stands for a kill of the driver."""


def records(tuner):
    return trial_records(tuner.trials_in_order)


def states(tuner):
    return {trial.candidate: trial.state for trial in tuner.trials_in_order}


def test_every_epoch_is_recorded_once_and_every_candidate_ends():
    tuner = run_to_end(make_tuner(make_experiment()))
    assert not records(tuner).duplicated(["candidate", "seed", "epoch"]).any()
    assert set(states(tuner).values()) == {"complete", "stopped"}
    trained_epochs = sum(len(job.seeds) * (job.stop - job.start) for job in tuner.pool.submitted)
    assert trained_epochs == len(records(tuner))


def test_the_study_holds_the_records_of_the_tuner():
    tuner = run_to_end(make_tuner(make_experiment()))
    assert trial_records(read_trials(tuner.study)).equals(records(tuner))


def test_an_outcome_that_arrives_twice_or_late_counts_once():
    outcomes = []

    def respond(job):
        outcomes.append(completed_outcome(job))
        return [completed_outcome(job), *outcomes[-3:-1], completed_outcome(job)]

    tuner = run_to_end(make_tuner(make_experiment(), FakePool(respond)))
    assert records(tuner).equals(records(run_to_end(make_tuner(make_experiment()))))
    assert tuner.duplicate_outcomes > 0


def test_epochs_that_were_recorded_before_are_not_recorded_again():
    def overlapping(job):
        return Outcome(key=job.key, rows=measured_rows(replace(job, start=0)) + measured_rows(job))

    tuner = run_to_end(make_tuner(make_experiment(), FakePool(overlapping)))
    assert tuner.stopping_criteria.epochs == len(records(tuner))
    assert records(tuner).equals(records(run_to_end(make_tuner(make_experiment()))))


def test_the_rest_of_a_halted_job_is_queued_again():
    def halted(job):
        return Outcome(key=job.key, rows=measured_rows(job, stop=job.start + 1))

    tuner = run_to_end(make_tuner(make_experiment(), FakePool(halted)))
    assert records(tuner).equals(records(run_to_end(make_tuner(make_experiment()))))
    assert len(tuner.pool.submitted) == len(records(tuner))


def test_after_a_halt_no_job_starts_and_running_jobs_are_recorded():
    halt_calls = []
    tuner = make_tuner(make_experiment(), FakePool(slots=3), on_halt=lambda: halt_calls.append(1))
    steps = tuner.run()
    next(steps)
    jobs_before = len(tuner.pool.submitted)
    tuner.halt()
    tuner.halt()
    assert len(list(steps)) == 2
    assert len(tuner.pool.submitted) == jobs_before
    assert len(records(tuner)) == sum(job.stop - job.start for job in tuner.pool.submitted)
    assert halt_calls == [1]
    resumed = run_to_end(make_tuner(make_experiment(), study=tuner.study))
    assert records(resumed).equals(records(run_to_end(make_tuner(make_experiment()))))


def test_a_search_without_workers_waits_for_new_ones():
    slot_counts = iter([3, 0, 0, 0, 0, 3])

    class ChangingPool(FakePool):
        @property
        def slots(self):
            return next(slot_counts, 2)

        @slots.setter
        def slots(self, value):
            pass

    tuner = run_to_end(make_tuner(make_experiment(), ChangingPool()))
    assert records(tuner).equals(records(run_to_end(make_tuner(make_experiment()))))


def test_a_search_at_its_end_waits_for_no_worker():
    class ShrinkingPool(FakePool):
        @property
        def slots(self):
            return 0 if self.is_last_job_done else 2

        @slots.setter
        def slots(self, value):
            pass

        @property
        def is_last_job_done(self):
            return len(self.submitted) == job_count and not self.waiting

    undisturbed = run_to_end(make_tuner(make_experiment()))
    job_count = len(undisturbed.pool.submitted)
    assert records(run_to_end(make_tuner(make_experiment(), ShrinkingPool()))).equals(
        records(undisturbed)
    )


def test_no_more_jobs_run_than_there_are_slots():
    running_counts = []

    class CountingPool(FakePool):
        def collect(self, timeout):
            running_counts.append(len(self.waiting))
            return super().collect(timeout)

    run_to_end(make_tuner(make_experiment(), CountingPool(slots=3)))
    assert max(running_counts) == 3


def test_checkpoints_left_by_a_killed_driver_are_removed_on_resuming():
    tuner = run_to_end(make_tuner(make_experiment()))
    cleaned_candidates = []
    resumed = make_tuner(
        make_experiment(),
        study=tuner.study,
        remove_checkpoints=lambda trial: cleaned_candidates.append(trial.candidate),
    )
    run_to_end(resumed)
    assert sorted(cleaned_candidates) == sorted(states(tuner))
    assert not resumed.pool.submitted


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_sampler_proposes_the_same_after_a_kill_although_a_trial_has_failed(sampler, monkeypatch):
    monkeypatch.setattr(proposals, "STARTUP_TRIALS", 2)
    experiment = make_experiment(sampler=sampler, trials=8, cohort=4, step=None)
    add_trial = tuner_module.add_trial

    def run_tuner(study=None, killed_at=10**6):
        tuner = make_tuner(experiment, FakePool(slots=1), study)
        trials_left = killed_at

        def add_or_die(*args, **options):
            nonlocal trials_left
            trials_left -= 1
            if trials_left == 0:
                raise Killed
            return add_trial(*args, **options)

        def respond(job):
            failing_candidates = [
                trial.candidate for trial in tuner.trials_in_order if trial.cell == "proposal 4"
            ]
            return (
                failed_outcome(job, "diverged")
                if job.candidate in failing_candidates
                else completed_outcome(job)
            )

        tuner.pool.respond = respond
        monkeypatch.setattr(tuner_module, "add_trial", add_or_die)
        with suppress(Killed):
            run_to_end(tuner)
        return tuner

    undisturbed = run_tuner()
    assert "failed" in states(undisturbed).values()
    for killed_at in range(1, len(undisturbed.trials_in_order) + 1):
        resumed = run_tuner(run_tuner(killed_at=killed_at).study)
        assert states(resumed) == states(undisturbed)
        assert records(resumed).equals(records(undisturbed))


def test_a_search_stops_at_its_number_of_epochs():
    tuner = run_to_end(make_tuner(make_experiment(stop={"epochs": 5})))
    assert 5 <= tuner.stopping_criteria.epochs < 5 + 2 * 9
    assert "epochs are trained (search.stop.epochs)" in tuner.stopping_criteria.reason


def test_a_search_stops_at_its_hours():
    tuner = run_to_end(make_tuner(make_experiment(stop={"hours": 3 / 3600})))
    assert tuner.stopping_criteria.reason == f"{3 / 3600:g} hours are over (search.stop.hours)"
    assert len(tuner.pool.submitted) < 8


def test_a_search_stops_at_its_device_hours():
    tuner = run_to_end(make_tuner(make_experiment(stop={"device_hours": 20 / 3600})))
    assert "device-hours are spent" in tuner.stopping_criteria.reason
    assert tuner.stopping_criteria.seconds >= 20


def test_a_search_stops_at_its_accuracy():
    experiment = make_experiment(pruner="none", asynchronous=True, stop={"accuracy": 0.4})
    tuner = run_to_end(make_tuner(experiment, FakePool(slots=1)))
    assert "is reached (search.stop.accuracy)" in tuner.stopping_criteria.reason
    assert list(states(tuner).values()) == ["complete"]


def test_the_records_have_the_reason_of_a_stopped_trial():
    reasons = set(records(run_to_end(make_tuner(make_experiment())))["stopped"])
    assert any(reason.startswith("halved at epoch 1: place ") for reason in reasons)
    assert "" in reasons
