from pathlib import Path

import pytest
from refusals import refused
from tuner_games import DOCUMENT, FakePool, done, experiment, failed, finish, make_tuner, measured

from scalesearch.config.reading import experiment_from_document
from scalesearch.results.search_folder import SearchPaths
from scalesearch.search.jobs import Outcome
from scalesearch.search.results_writer import ResultsWriter
from scalesearch.search.study.search_trial import read_trials, trial_records
from scalesearch.search.tuner import SearchFailed


class Failing:
    """Fails jobs of the first candidate so many times as this."""

    def __init__(self, kind, times=10**6, **more):
        self.kind, self.left, self.more, self.first = kind, times, more, None

    def __call__(self, job):
        self.first = self.first or job.candidate
        if job.candidate == self.first and self.left:
            self.left -= 1
            return failed(job, self.kind, **self.more)
        return done(job)


def ends(tuner):
    return [
        (trial.state, trial.failure_kind)
        for trial in tuner.trials_in_order
        if trial.state == "failed"
    ]


@pytest.mark.parametrize("kind", ["out_of_memory", "diverged", "worker_lost", "timeout"])
def test_only_the_trial_fails_when_its_failure_is_out_of_retries(kind):
    asked = experiment(failures={kind: {"retries": 1}})
    ended = finish(make_tuner(asked, FakePool(Failing(kind))))
    assert ends(ended) == [("failed", kind)]
    assert ended.failure_counts == {kind: 1}
    others = [trial.state for trial in ended.trials_in_order if trial.state != "failed"]
    assert set(others) == {"complete", "stopped"}
    attempts = [job.attempt for job in ended.pool.submitted if job.candidate == failing(ended)]
    assert max(attempts) == 1


def test_a_worker_that_trains_nothing_counts_as_lost():
    first = []

    def idle(job):
        first.append(job.candidate)
        return Outcome(key=job.key) if job.candidate == first[0] else done(job)

    ended = finish(make_tuner(experiment(), FakePool(idle)))
    assert ends(ended) == [("failed", "worker_lost")]
    assert all(trial.state != "running" for trial in ended.trials_in_order)


def failing(tuner):
    return next(trial.candidate for trial in tuner.trials_in_order if trial.state == "failed")


def test_a_retried_job_leaves_no_trace_in_the_records():
    ended = finish(make_tuner(experiment(), FakePool(Failing("worker_lost", times=3))))
    calm = finish(make_tuner(experiment()))
    assert trial_records(ended.trials_in_order).equals(trial_records(calm.trials_in_order))


def test_only_the_rest_of_a_lost_job_is_retried():
    lost = []

    def losing(job):
        if not lost and job.stop - job.start > 1:
            lost.append(job)
            return failed(job, "worker_lost", rows=measured(job, stop=job.start + 1))
        return done(job)

    ended = finish(make_tuner(experiment(), FakePool(losing)))
    again = [job for job in ended.pool.submitted if job.attempt == 1]
    assert [(job.start, job.stop) for job in again] == [(lost[0].start + 1, lost[0].stop)]


@pytest.mark.parametrize("kind", ["data", "bug"])
def test_a_fatal_failure_stops_the_search_with_all_epochs_recorded(kind, tmp_path):
    def answer(job):
        return failed(job, kind, rows=measured(job, stop=2)) if job.start == 1 else done(job)

    stopping = make_tuner(
        experiment(), FakePool(answer), writer=ResultsWriter(SearchPaths(tmp_path))
    )
    with refused(SearchFailed):
        finish(stopping)
    kept = trial_records(read_trials(stopping.study))
    assert 2 in set(kept["epoch"])
    assert len(kept) == len((tmp_path / "records.csv").read_text().splitlines()) - 1
    told = [path.read_text() for path in (tmp_path / "errors").iterdir()]
    assert "Traceback: all of it" in told
    assert not stopping.pool.waiting
    again = finish(make_tuner(experiment(), study=stopping.study))
    assert trial_records(again.trials_in_order).equals(
        trial_records(finish(make_tuner(experiment())).trials_in_order)
    )


def test_the_message_of_a_bug_names_the_file_of_its_traceback(tmp_path):
    stopping = make_tuner(
        experiment(),
        FakePool(lambda job: failed(job, "bug")),
        writer=ResultsWriter(SearchPaths(tmp_path)),
    )
    with refused(SearchFailed) as told:
        finish(stopping)
    path = str(told.value).partition("traceback in ")[2].partition(";")[0]
    assert Path(path).read_text() == "Traceback: all of it"


def test_a_late_job_is_cancelled_and_retried_and_may_still_arrive():
    held = []

    def silent(job):
        if not held:
            held.append(job)
            return []
        if job.key == held[0].key and len(held) == 1:
            held.append(job)
            return [done(job), done(held[0])]
        return done(job)

    asked = experiment(failures={"job_seconds": 30.0})
    pool = FakePool(silent)
    pool_collect = pool.collect

    def collect(timeout):
        if not pool.waiting:
            pool.seconds += 10
        return pool_collect(timeout)

    pool.collect = collect
    ended = finish(make_tuner(asked, pool))
    assert [job.name for job in pool.cancelled] == [held[0].name]
    assert trial_records(ended.trials_in_order).equals(
        trial_records(finish(make_tuner(experiment())).trials_in_order)
    )


def test_too_many_failures_of_a_kind_stop_the_search():
    asked = experiment(failures={"worker_lost": {"retries": 0, "candidates": 1}})
    ended = finish(make_tuner(asked, FakePool(lambda job: failed(job, "worker_lost"))))
    assert ended.failure_counts["worker_lost"] == 2
    assert "2 candidates failed as worker_lost, and 1 may" in ended.stopping_criteria.reason


def test_the_study_has_the_reason_of_a_failed_trial():
    asked = experiment(failures={"diverged": {"retries": 0}})
    ended = finish(make_tuner(asked, FakePool(Failing("diverged"))))
    trial = next(trial for trial in read_trials(ended.study) if trial.state == "failed")
    assert (trial.failure_kind, trial.reason) == ("diverged", "diverged told")


def test_a_failed_sweep_fails_only_its_trial():
    recipe = {"epochs": 9, "learning_rate_rule": "tuned"}
    asked = experiment_from_document(
        {**DOCUMENT, "recipe": recipe, "search": {"step": 2, "seeds": 2, "references": ["depth"]}}
    )
    ended = finish(make_tuner(asked, FakePool(Failing("out_of_memory"))))
    assert ends(ended) == [("failed", "out_of_memory")]
    assert all(trial.tuning for trial in ended.trials_in_order if trial.state != "failed")
