from pathlib import Path

import pytest
from fake_tuners import (
    DOCUMENT,
    FakePool,
    completed_outcome,
    failed_outcome,
    make_experiment,
    make_tuner,
    measured_rows,
    run_to_end,
)
from refusals import refused

from scalesearch.config.reading import experiment_from_document
from scalesearch.results.search_folder import SearchPaths
from scalesearch.search.jobs import Outcome
from scalesearch.search.results_writer import ResultsWriter
from scalesearch.search.study.search_trial import read_trials, trial_records
from scalesearch.search.tuner import SearchFailed


class FailingJobs:
    """Fails the first jobs of the first candidate."""

    def __init__(self, kind, times=10**6, **options):
        self.kind, self.left, self.options, self.first = kind, times, options, None

    def __call__(self, job):
        self.first = self.first or job.candidate
        if job.candidate == self.first and self.left:
            self.left -= 1
            return failed_outcome(job, self.kind, **self.options)
        return completed_outcome(job)


def failed_trials(tuner):
    return [
        (trial.state, trial.failure_kind)
        for trial in tuner.trials_in_order
        if trial.state == "failed"
    ]


@pytest.mark.parametrize("kind", ["out_of_memory", "diverged", "worker_lost", "timeout"])
def test_only_the_trial_fails_when_its_failure_is_out_of_retries(kind):
    experiment = make_experiment(failures={kind: {"retries": 1}})
    tuner = run_to_end(make_tuner(experiment, FakePool(FailingJobs(kind))))
    assert failed_trials(tuner) == [("failed", kind)]
    assert tuner.failure_counts == {kind: 1}
    other_states = [trial.state for trial in tuner.trials_in_order if trial.state != "failed"]
    assert set(other_states) == {"complete", "stopped"}
    attempts = [
        job.attempt for job in tuner.pool.submitted if job.candidate == failed_candidate(tuner)
    ]
    assert max(attempts) == 1


def test_a_worker_that_trains_nothing_counts_as_lost():
    candidates = []

    def idle(job):
        candidates.append(job.candidate)
        return Outcome(key=job.key) if job.candidate == candidates[0] else completed_outcome(job)

    tuner = run_to_end(make_tuner(make_experiment(), FakePool(idle)))
    assert failed_trials(tuner) == [("failed", "worker_lost")]
    assert all(trial.state != "running" for trial in tuner.trials_in_order)


def failed_candidate(tuner):
    return next(trial.candidate for trial in tuner.trials_in_order if trial.state == "failed")


def test_a_retried_job_leaves_no_trace_in_the_records():
    tuner = run_to_end(make_tuner(make_experiment(), FakePool(FailingJobs("worker_lost", times=3))))
    undisturbed = run_to_end(make_tuner(make_experiment()))
    assert trial_records(tuner.trials_in_order).equals(trial_records(undisturbed.trials_in_order))


def test_only_the_rest_of_a_lost_job_is_retried():
    lost_jobs = []

    def lose_first_job(job):
        if not lost_jobs and job.stop - job.start > 1:
            lost_jobs.append(job)
            return failed_outcome(job, "worker_lost", rows=measured_rows(job, stop=job.start + 1))
        return completed_outcome(job)

    tuner = run_to_end(make_tuner(make_experiment(), FakePool(lose_first_job)))
    retried = [job for job in tuner.pool.submitted if job.attempt == 1]
    assert [(job.start, job.stop) for job in retried] == [
        (lost_jobs[0].start + 1, lost_jobs[0].stop)
    ]


@pytest.mark.parametrize("kind", ["data", "bug"])
def test_a_fatal_failure_stops_the_search_with_all_epochs_recorded(kind, tmp_path):
    def respond(job):
        return (
            failed_outcome(job, kind, rows=measured_rows(job, stop=2))
            if job.start == 1
            else completed_outcome(job)
        )

    tuner = make_tuner(
        make_experiment(), FakePool(respond), writer=ResultsWriter(SearchPaths(tmp_path))
    )
    with refused(SearchFailed):
        run_to_end(tuner)
    records = trial_records(read_trials(tuner.study))
    assert 2 in set(records["epoch"])
    assert len(records) == len((tmp_path / "records.csv").read_text().splitlines()) - 1
    tracebacks = [path.read_text() for path in (tmp_path / "errors").iterdir()]
    assert "Traceback: all of it" in tracebacks
    assert not tuner.pool.waiting
    resumed = run_to_end(make_tuner(make_experiment(), study=tuner.study))
    assert trial_records(resumed.trials_in_order).equals(
        trial_records(run_to_end(make_tuner(make_experiment())).trials_in_order)
    )


def test_the_message_of_a_bug_names_the_file_of_its_traceback(tmp_path):
    tuner = make_tuner(
        make_experiment(),
        FakePool(lambda job: failed_outcome(job, "bug")),
        writer=ResultsWriter(SearchPaths(tmp_path)),
    )
    with refused(SearchFailed) as error:
        run_to_end(tuner)
    path = str(error.value).partition("traceback in ")[2].partition(";")[0]
    assert Path(path).read_text() == "Traceback: all of it"


def test_a_late_job_is_cancelled_and_retried_and_may_still_arrive():
    late_jobs = []

    def respond(job):
        if not late_jobs:
            late_jobs.append(job)
            return []
        if job.key == late_jobs[0].key and len(late_jobs) == 1:
            late_jobs.append(job)
            return [completed_outcome(job), completed_outcome(late_jobs[0])]
        return completed_outcome(job)

    experiment = make_experiment(failures={"job_seconds": 30.0})
    pool = FakePool(respond)
    pool_collect = pool.collect

    def collect(timeout):
        if not pool.waiting:
            pool.seconds += 10
        return pool_collect(timeout)

    pool.collect = collect
    tuner = run_to_end(make_tuner(experiment, pool))
    assert [job.name for job in pool.cancelled] == [late_jobs[0].name]
    assert trial_records(tuner.trials_in_order).equals(
        trial_records(run_to_end(make_tuner(make_experiment())).trials_in_order)
    )


def test_too_many_failures_of_a_kind_stop_the_search():
    experiment = make_experiment(failures={"worker_lost": {"retries": 0, "candidates": 1}})
    tuner = run_to_end(
        make_tuner(experiment, FakePool(lambda job: failed_outcome(job, "worker_lost")))
    )
    assert tuner.failure_counts["worker_lost"] == 2
    assert "2 candidates failed as worker_lost, and 1 may" in tuner.stopping_criteria.reason


def test_the_study_has_the_reason_of_a_failed_trial():
    experiment = make_experiment(failures={"diverged": {"retries": 0}})
    tuner = run_to_end(make_tuner(experiment, FakePool(FailingJobs("diverged"))))
    trial = next(trial for trial in read_trials(tuner.study) if trial.state == "failed")
    assert (trial.failure_kind, trial.reason) == ("diverged", "diverged told")


def test_a_failed_sweep_fails_only_its_trial():
    recipe = {"epochs": 9, "learning_rate_rule": "tuned"}
    experiment = experiment_from_document(
        {**DOCUMENT, "recipe": recipe, "search": {"step": 2, "seeds": 2, "references": ["depth"]}}
    )
    tuner = run_to_end(make_tuner(experiment, FakePool(FailingJobs("out_of_memory"))))
    assert failed_trials(tuner) == [("failed", "out_of_memory")]
    assert all(trial.tuning for trial in tuner.trials_in_order if trial.state != "failed")
