"""The best trial so far in the progress of a search."""

import pytest
from fake_tuners import FakePool, completed_outcome, make_experiment, make_tuner, run_to_end

from scalesearch.search.progress_reporter import tuner_progress


def final_accuracy(trial):
    return sum(row["accuracy"] for row in trial.rows if row["epoch"] == 9) / 2


@pytest.mark.parametrize("whose", ["uniform", "lattice"])
def test_the_best_so_far_is_the_best_of_all_references_included(whose):
    experiment = make_experiment(references=["uniform"], pruner="none", race=None)

    def respond(job):
        outcome = completed_outcome(job)
        trial = next(trial for trial in tuner.trials_in_order if trial.candidate == job.candidate)
        if whose in trial.cell:
            for row in outcome.rows:
                row["accuracy"] += 0.3
        return outcome

    tuner = make_tuner(experiment, FakePool(respond))
    run_to_end(tuner)
    best = tuner_progress(tuner, 0, seconds=1.0).best
    highest = max(tuner.trials_in_order, key=final_accuracy)
    assert whose in highest.cell
    assert best.shares == highest.shares
    assert best.accuracy == pytest.approx(final_accuracy(highest))
    assert (best.seeds, best.epoch) == (2, 9)
