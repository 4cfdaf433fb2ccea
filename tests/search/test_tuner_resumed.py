"""State that a new tuner restores from the study, besides the records."""

from dataclasses import replace

import pytest
from tuner_games import FakePool, done, experiment, failed, finish, make_tuner

from scalesearch.search import tuner as tuner_module
from scalesearch.search.study.search_trial import read_trials


class Killed(Exception):
    """Stands for a kill of the driver."""


def reported(tuner):
    return {trial.candidate: trial.intermediate_values for trial in read_trials(tuner.study)}


def test_means_that_a_killed_driver_did_not_report_are_reported_on_resuming(monkeypatch):
    whole, report = reported(finish(make_tuner(experiment()))), tuner_module.report_mean

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
        first = make_tuner(experiment(), FakePool(slots=1))
        monkeypatch.setattr(tuner_module, "report_mean", killed_at(count))
        with pytest.raises(Killed):
            finish(first)
        monkeypatch.setattr(tuner_module, "report_mean", report)
        assert reported(finish(make_tuner(experiment(), study=first.study))) == whole


def test_the_time_of_sweeps_counts_after_a_kill():
    spec = experiment()
    asked = replace(spec, recipe=replace(spec.recipe, learning_rate_rule="tuned"))
    whole = finish(make_tuner(asked))
    again = finish(make_tuner(asked, study=whole.study))
    assert (
        again.stopping_criteria.seconds
        == whole.stopping_criteria.seconds
        > 2.0 * whole.stopping_criteria.epochs
    )


def test_a_failed_trial_keeps_its_checkpoints_for_a_retry(tmp_path):
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

    finish(make_tuner(asked, FakePool(answer), remove_checkpoints=setting.remove_checkpoints))
    assert {path.name.partition("-")[0] for path in folder.checkpoints.iterdir()} == {kept[0]}


def test_a_sampler_continues_after_a_shorter_replay_with_its_observations():
    asked = experiment(sampler="tpe", trials=4, step=None, cohort=1)
    first = finish(make_tuner(asked))
    shares = tuple(trial.shares for trial in first.trials_in_order if trial.proposal is not None)
    short = make_tuner(asked)
    short.source = replace(short.source, replayed_shares=shares[:2])
    finish(short)
    assert [e.candidate for e in short.trials_in_order] == [
        e.candidate for e in first.trials_in_order
    ]
    assert (
        short.trials_in_order[-1].proposal["known"] == first.trials_in_order[-1].proposal["known"]
    )
