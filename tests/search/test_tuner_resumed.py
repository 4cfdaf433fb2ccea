"""State that a new tuner restores from the study, besides the records."""

from dataclasses import replace

import pytest
from fake_tuners import (
    FakePool,
    completed_outcome,
    failed_outcome,
    make_experiment,
    make_tuner,
    run_to_end,
)

from scalesearch.search import tuner as tuner_module
from scalesearch.search.study.search_trial import read_trials


class Killed(Exception):
    """Stands for a kill of the driver."""


def reported_means(tuner):
    return {trial.candidate: trial.intermediate_values for trial in read_trials(tuner.study)}


def test_means_that_a_killed_driver_did_not_report_are_reported_on_resuming(monkeypatch):
    undisturbed, report = (
        reported_means(run_to_end(make_tuner(make_experiment()))),
        tuner_module.report_mean,
    )

    def killed_at(count):
        reports_left = count

        def report_or_die(*args):
            nonlocal reports_left
            reports_left -= 1
            if reports_left == 0:
                raise Killed
            report(*args)

        return report_or_die

    for count in range(1, 30, 3):
        killed = make_tuner(make_experiment(), FakePool(slots=1))
        monkeypatch.setattr(tuner_module, "report_mean", killed_at(count))
        with pytest.raises(Killed):
            run_to_end(killed)
        monkeypatch.setattr(tuner_module, "report_mean", report)
        assert (
            reported_means(run_to_end(make_tuner(make_experiment(), study=killed.study)))
            == undisturbed
        )


def test_the_time_of_sweeps_counts_after_a_kill():
    default_experiment = make_experiment()
    experiment = replace(
        default_experiment, recipe=replace(default_experiment.recipe, learning_rate_rule="tuned")
    )
    finished = run_to_end(make_tuner(experiment))
    resumed = run_to_end(make_tuner(experiment, study=finished.study))
    assert (
        resumed.stopping_criteria.seconds
        == finished.stopping_criteria.seconds
        > 2.0 * finished.stopping_criteria.epochs
    )


def test_a_failed_trial_keeps_its_checkpoints_for_a_retry(tmp_path):
    from scalesearch.results.search_folder import SearchPaths
    from scalesearch.search.jobs import SearchContext, checkpoint_path

    folder, experiment, trained_candidates = SearchPaths(tmp_path), make_experiment(), []
    context = SearchContext(experiment, folder, None, {}, "cpu", None)
    folder.checkpoints.mkdir()

    def respond(job):
        for seed in job.seeds:
            checkpoint_path(folder.checkpoints, job.candidate, seed).touch()
        trained_candidates.append(job.candidate)
        return (
            failed_outcome(job, "diverged")
            if job.candidate == trained_candidates[0]
            else completed_outcome(job)
        )

    run_to_end(
        make_tuner(experiment, FakePool(respond), remove_checkpoints=context.remove_checkpoints)
    )
    assert {path.name.partition("-")[0] for path in folder.checkpoints.iterdir()} == {
        trained_candidates[0]
    }


def test_a_sampler_continues_after_a_shorter_replay_with_its_observations():
    experiment = make_experiment(sampler="tpe", trials=4, step=None, cohort=1)
    finished = run_to_end(make_tuner(experiment))
    shares = tuple(trial.shares for trial in finished.trials_in_order if trial.proposal is not None)
    replaying = make_tuner(experiment)
    replaying.source = replace(replaying.source, replayed_shares=shares[:2])
    run_to_end(replaying)
    assert [trial.candidate for trial in replaying.trials_in_order] == [
        trial.candidate for trial in finished.trials_in_order
    ]
    assert (
        replaying.trials_in_order[-1].proposal["known"]
        == finished.trials_in_order[-1].proposal["known"]
    )
