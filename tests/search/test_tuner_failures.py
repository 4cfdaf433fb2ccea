from pathlib import Path

import pytest
from tuner_games import DOCUMENT, Hands, done, engine, experiment, failed, finish, measured

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


def ends(engine):
    return [
        (entry.state, entry.failure_kind)
        for entry in engine.trials_in_order
        if entry.state == "failed"
    ]


@pytest.mark.parametrize("kind", ["out_of_memory", "diverged", "worker_lost", "timeout"])
def test_a_candidate_fails_alone_when_its_class_is_out_of_retries(kind):
    asked = experiment(failures={kind: {"retries": 1}})
    ended = finish(engine(asked, Hands(Failing(kind))))
    assert ends(ended) == [("failed", kind)]
    assert ended.failure_counts == {kind: 1}
    others = [entry.state for entry in ended.trials_in_order if entry.state != "failed"]
    assert set(others) == {"complete", "stopped"}
    attempts = [job.attempt for job in ended.pool.submitted if job.candidate == failing(ended)]
    assert max(attempts) == 1


def test_a_worker_that_never_trains_anything_is_not_asked_for_ever():
    first = []

    def idle(job):
        first.append(job.candidate)
        return Outcome(key=job.key) if job.candidate == first[0] else done(job)

    ended = finish(engine(experiment(), Hands(idle)))
    assert ends(ended) == [("failed", "worker_lost")]
    assert all(entry.state != "running" for entry in ended.trials_in_order)


def failing(engine):
    return next(entry.candidate for entry in engine.trials_in_order if entry.state == "failed")


def test_a_lost_job_is_tried_again_and_nobody_can_tell_from_the_records():
    ended = finish(engine(experiment(), Hands(Failing("worker_lost", times=3))))
    calm = finish(engine(experiment()))
    assert trial_records(ended.trials_in_order).equals(trial_records(calm.trials_in_order))


def test_what_is_left_of_a_lost_job_is_tried_and_no_more():
    lost = []

    def losing(job):
        if not lost and job.stop - job.start > 1:
            lost.append(job)
            return failed(job, "worker_lost", rows=measured(job, stop=job.start + 1))
        return done(job)

    ended = finish(engine(experiment(), Hands(losing)))
    again = [job for job in ended.pool.submitted if job.attempt == 1]
    assert [(job.start, job.stop) for job in again] == [(lost[0].start + 1, lost[0].stop)]


@pytest.mark.parametrize("kind", ["data", "bug"])
def test_what_would_meet_every_candidate_stops_the_search_with_all_on_record(kind, tmp_path):
    def answer(job):
        return failed(job, kind, rows=measured(job, stop=2)) if job.start == 1 else done(job)

    stopping = engine(experiment(), Hands(answer), writer=ResultsWriter(SearchPaths(tmp_path)))
    with pytest.raises(SearchFailed, match=f"{kind} told.*all recorded epochs are safe"):
        finish(stopping)
    kept = trial_records(read_trials(stopping.study))
    assert 2 in set(kept["epoch"])
    assert len(kept) == len((tmp_path / "records.csv").read_text().splitlines()) - 1
    told = [path.read_text() for path in (tmp_path / "errors").iterdir()]
    assert "Traceback: all of it" in told
    assert not stopping.pool.waiting
    again = finish(engine(experiment(), study=stopping.study))
    assert trial_records(again.trials_in_order).equals(
        trial_records(finish(engine(experiment())).trials_in_order)
    )


def test_the_message_of_a_bug_says_where_all_of_it_is(tmp_path):
    stopping = engine(
        experiment(),
        Hands(lambda job: failed(job, "bug")),
        writer=ResultsWriter(SearchPaths(tmp_path)),
    )
    with pytest.raises(SearchFailed, match=r"traceback in .*errors/.*-attempt-1\.txt") as told:
        finish(stopping)
    path = str(told.value).partition("traceback in ")[2].partition(";")[0]
    assert Path(path).read_text() == "Traceback: all of it"


def test_a_job_that_takes_too_long_is_cancelled_and_tried_again_and_may_come_late():
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
    crew = Hands(silent)
    crew_collect = crew.collect

    def collect(timeout):
        if not crew.waiting:
            crew.seconds += 10
        return crew_collect(timeout)

    crew.collect = collect
    ended = finish(engine(asked, crew))
    assert [job.name for job in crew.cancelled] == [held[0].name]
    assert trial_records(ended.trials_in_order).equals(
        trial_records(finish(engine(experiment())).trials_in_order)
    )


def test_too_many_failures_of_a_class_stop_the_search():
    asked = experiment(failures={"worker_lost": {"retries": 0, "candidates": 1}})
    ended = finish(engine(asked, Hands(lambda job: failed(job, "worker_lost"))))
    assert ended.failure_counts["worker_lost"] == 2
    assert "2 candidates failed as worker_lost, and 1 may" in ended.stopping_criteria.reason


def test_a_failed_candidate_says_why_in_the_study():
    asked = experiment(failures={"diverged": {"retries": 0}})
    ended = finish(engine(asked, Hands(Failing("diverged"))))
    entry = next(entry for entry in read_trials(ended.study) if entry.state == "failed")
    assert (entry.failure_kind, entry.reason) == ("diverged", "diverged told")


def test_a_sweep_that_fails_fails_its_candidate_alone():
    recipe = {"epochs": 9, "learning_rate_rule": "tuned"}
    asked = experiment_from_document(
        {**DOCUMENT, "recipe": recipe, "search": {"step": 2, "seeds": 2, "references": ["depth"]}}
    )
    ended = finish(engine(asked, Hands(Failing("out_of_memory"))))
    assert ends(ended) == [("failed", "out_of_memory")]
    assert all(entry.tuning for entry in ended.trials_in_order if entry.state != "failed")
