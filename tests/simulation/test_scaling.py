"""The driver's own work does not grow with the search: counted, as seconds hang on the machine."""

import sys
import tracemalloc
from itertools import pairwise

import pytest

from scalesearch.config.reading import experiment_from_document
from scalesearch.simulation.simulated_search import make_ground_truth, make_tuner
from scalesearch.simulation.surfaces import SURFACES
from scalesearch.simulation.virtual_pool import SimulatedPool

TRIALS = 400
MODES = {
    "asynchronous": {"asynchronous": True},
    "one-cohort": {"cohort": TRIALS},
}


def wanted(trials, **search):
    return experiment_from_document(
        {
            "name": "many",
            "baseline": {"width": 0.5, "resolution": 96},
            "budget": {"factor": 2.0, "tolerance": 0.1},
            "recipe": {"epochs": 9},
            "search": {"sampler": "random", "trials": trials, "references": [], **search},
        }
    )


@pytest.fixture(scope="module")
def ground_truth():
    return make_ground_truth(wanted(1), SURFACES["interior"])


class Counted(SimulatedPool):
    """Does not count what the workers do."""

    outcomes, calls, counting = 0, 0, True

    def submit(self, job):
        self.counting = False
        super().submit(job)
        self.counting = True

    def collect(self, timeout):
        self.counting = False
        found = super().collect(timeout)
        self.outcomes += len(found)
        self.counting = True
        return found


def calls(tuner):
    """(outcomes, calls of functions) after each event of a search."""
    pool = tuner.pool

    def count(frame, event, argument):
        if pool.counting and event in ("call", "c_call"):
            pool.calls += 1

    counts = [(0, 0)]
    sys.setprofile(count)
    try:
        for _ in tuner.run():
            counts.append((pool.outcomes, pool.calls))
    finally:
        sys.setprofile(None)
    return [*counts, (pool.outcomes, pool.calls)]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_the_last_of_hundreds_of_trials_costs_no_more_than_the_first(ground_truth, mode):
    experiment = wanted(TRIALS, **MODES[mode])
    counts = calls(make_tuner(ground_truth.for_experiment(experiment), 100, 0, pool_class=Counted))
    outcomes, whole = counts[-1]
    assert outcomes > 3 * TRIALS
    assert whole / TRIALS < 6000
    tenths = [
        next(calls for done, calls in counts if done >= outcomes * tenth / 10)
        for tenth in range(11)
    ]
    parts = [late - early for early, late in pairwise(tenths)]
    assert sum(parts[-3:]) < 1.5 * sum(parts[:3])


@pytest.mark.slow
def test_memory_is_proportional_to_the_recorded_trials(ground_truth):
    def held(trials):
        experiment = wanted(trials, asynchronous=True)
        tracemalloc.start()
        tuner = make_tuner(ground_truth.for_experiment(experiment), 50, 0)
        for _ in tuner.run():
            pass
        found = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return found / len(tuner.trials)

    held(50)  # what is kept once, such as tables of chance
    assert held(600) < 1.2 * held(200) < 1.2 * 60_000
