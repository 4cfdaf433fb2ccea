"""What an engine knows after another one died, that is not in the table."""

from dataclasses import replace

import pytest
from tuner_games import Hands, done, engine, experiment, failed, finish

from scalesearch.search import study as study_store
from scalesearch.search.study.search_trial import read_trials


class Killed(Exception):
    """The driver is no more."""


def reported(engine):
    return {entry.candidate: entry.intermediate_values for entry in read_trials(engine.study)}


def test_means_that_a_killed_driver_had_not_told_are_told_by_the_next(monkeypatch):
    whole, report = reported(finish(engine(experiment()))), study_store.report_mean

    def killed_at(count):
        left = count

        def told(*args):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            report(*args)

        return told

    for count in range(1, 30, 3):
        first = engine(experiment(), Hands(slots=1))
        monkeypatch.setattr(study_store, "report_mean", killed_at(count))
        with pytest.raises(Killed):
            finish(first)
        monkeypatch.setattr(study_store, "report_mean", report)
        assert reported(finish(engine(experiment(), study=first.study))) == whole


def test_what_sweeps_took_before_counts_after_a_kill():
    given = experiment()
    asked = replace(given, recipe=replace(given.recipe, learning_rate_rule="tuned"))
    whole = finish(engine(asked))
    again = finish(engine(asked, study=whole.study))
    assert (
        again.stopping_criteria.seconds
        == whole.stopping_criteria.seconds
        > 2.0 * whole.stopping_criteria.epochs
    )


def test_a_failed_candidate_waits_for_its_retry_with_its_checkpoints(tmp_path):
    from scalesearch.results.search_folder import SearchPaths
    from scalesearch.search.jobs import SearchContext, checkpoint_path

    folder, asked, kept = SearchPaths(tmp_path), experiment(), []
    setting = SearchContext(asked, folder, None, {}, "cpu", None)
    folder.checkpoints.mkdir()

    def answer(job):
        for seed in job.seeds:
            checkpoint_path(folder.checkpoints, job.candidate, seed).touch()
        kept.append(job.candidate)
        return failed(job, "diverged") if job.candidate == kept[0] else done(job)

    finish(engine(asked, Hands(answer), remove_checkpoints=setting.remove_checkpoints))
    assert {path.name.partition("-")[0] for path in folder.checkpoints.iterdir()} == {kept[0]}


def test_a_sampler_that_goes_on_from_a_shorter_log_knows_what_came_before():
    asked = experiment(sampler="tpe", trials=4, step=None, cohort=1)
    first = finish(engine(asked))
    shares = tuple(entry.shares for entry in first.trials_in_order if entry.proposal is not None)
    short = engine(asked)
    short.source = replace(short.source, replayed_shares=shares[:2])
    finish(short)
    assert [e.candidate for e in short.trials_in_order] == [
        e.candidate for e in first.trials_in_order
    ]
    assert (
        short.trials_in_order[-1].proposal["known"] == first.trials_in_order[-1].proposal["known"]
    )
