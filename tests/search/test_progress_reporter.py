"""The best trial so far in the progress of a search."""

import pytest
from tuner_games import FakePool, done, experiment, finish, make_tuner

from scalesearch.search.progress_reporter import tuner_progress


def mean(entry):
    return sum(row["accuracy"] for row in entry.rows if row["epoch"] == 9) / 2


@pytest.mark.parametrize("whose", ["uniform", "lattice"])
def test_the_best_so_far_is_the_best_of_all_references_included(whose):
    asked = experiment(references=["uniform"], pruner="none", race=None)

    def answer(job):
        told = done(job)
        entry = next(e for e in playing.trials_in_order if e.candidate == job.candidate)
        if whose in entry.cell:
            for row in told.rows:
                row["accuracy"] += 0.3
        return told

    playing = make_tuner(asked, FakePool(answer))
    finish(playing)
    best = tuner_progress(playing, 0, seconds=1.0).best
    highest = max(playing.trials_in_order, key=mean)
    assert whose in highest.cell
    assert best.shares == highest.shares
    assert best.accuracy == pytest.approx(mean(highest))
    assert (best.seeds, best.epoch) == (2, 9)
