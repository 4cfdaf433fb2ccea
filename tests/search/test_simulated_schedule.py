"""A simulated schedule has the jobs and the duration of the real search."""

import pytest

from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.simulated_schedule import simulate_schedule
from scalesearch.search.successive_halving import SuccessiveHalving

pytestmark = pytest.mark.filterwarnings(
    "ignore::scalesearch.candidates.iso_cost.StuckAxisWarning",
    "ignore::scalesearch.search.design.OffTargetWarning",
)
DATA = {"channels": 1, "classes": [str(i) for i in range(10)]}
RACED = {"pruner": "halving", "rungs": [1, 2], "eta": 3, "seeds": 3, "race": 2}


def simulate(experiment, workers=1):
    source = CandidateSource.from_experiment(experiment, DATA)
    return simulate_schedule(
        SuccessiveHalving.from_experiment(experiment), source, workers, lambda number: 1.0
    )


def test_each_rung_keeps_the_maximum_and_the_race_drops_no_candidate(tiny):
    result = simulate(tiny(**RACED, trials=6, references=[]))
    counted = [
        (group.stop, group.is_reference, group.candidates, group.jobs, group.trained_epochs)
        for group in result.job_groups
    ]
    # Six with two seeds to epoch 1; two of them to epoch 2; then the third seed, by both rungs.
    assert counted == [(1, False, 6, 14, 14), (2, False, 2, 6, 6)]


def test_references_are_trained_to_the_end_with_all_seeds(tiny):
    result = simulate(tiny(**RACED, trials=1, references=["depth", "paper"]))
    reference_groups = [group for group in result.job_groups if group.is_reference]
    assert sum(group.trained_epochs for group in reference_groups) == 2 * 3 * 2


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_each_round_of_proposals_waits_for_the_one_before(tiny, sampler):
    settings = {"sampler": sampler, "step": None, "references": [], "trials": 6, "seeds": 1}
    one_by_one = simulate(tiny(**settings, cohort=1), workers=6)
    at_once = simulate(tiny(**settings, cohort=6), workers=6)
    assert (one_by_one.device_seconds, at_once.device_seconds) == (12.0, 12.0)
    assert (one_by_one.seconds, at_once.seconds) == (12.0, 2.0)


def test_more_workers_take_less_time_for_the_same_work(tiny):
    with_one_worker, with_two_workers = (
        simulate(tiny(trials=4, references=[]), workers) for workers in (1, 2)
    )
    assert (
        with_one_worker.device_seconds
        == with_two_workers.device_seconds
        == with_one_worker.seconds
        == 4 * 2 * 2
    )
    assert with_two_workers.seconds == with_one_worker.seconds / 2


def test_the_real_search_trains_the_predicted_epochs(tiny, tmp_path, untrained):
    """Where all do equally well, and the race cannot tell them apart."""
    from scalesearch.search.driver import run_search

    experiment = tiny(**{**RACED, "race": None}, trials=6, references=["uniform", "depth"])
    result = simulate(experiment)
    run_search(experiment, tmp_path / "r")
    assert sum(stage.trained_epochs for stage in result.job_groups) == len(untrained)
