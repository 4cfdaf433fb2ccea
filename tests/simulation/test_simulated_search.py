"""Searches on surfaces whose best candidate is known."""

import dataclasses

import pytest
from faulty_pool import faulty_pool

from scalesearch.analysis.summary import summary_of_records
from scalesearch.config.search_spec import FailureLimit, FailureSpec
from scalesearch.results.records import KEY
from scalesearch.simulation.simulated_search import make_ground_truth, make_tuner, simulate_search
from scalesearch.simulation.surfaces import SURFACES, AnalyticSurface, SimulatedNoise

QUIET = SimulatedNoise(seed=0.0, run=0.0)
STORM = faulty_pool(
    slow_fraction=0.3, death_probability=0.2, divergence_probability=0.02, restart_seconds=100.0
)
TIMES = ["seconds"]  # what depends on the worker


def tolerant(experiment, **changes):
    failures = FailureSpec(
        worker_lost=FailureLimit(retries=50), timeout=FailureLimit(retries=50), **changes
    )
    return dataclasses.replace(
        experiment, search=dataclasses.replace(experiment.search, failures=failures)
    )


def test_a_simulation_is_reproducible_and_differs_between_worlds(experiment):
    once = simulate_search(experiment(), SURFACES["edge"], 8, 3)
    again = simulate_search(experiment(), SURFACES["edge"], 8, 3)
    assert once.records.equals(again.records)
    assert once.seconds == again.seconds
    other = simulate_search(experiment(), SURFACES["edge"], 8, 4)
    assert not once.records["accuracy"].equals(other.records["accuracy"])


@pytest.mark.parametrize("sampler", ["lattice", "tpe"])
def test_records_do_not_depend_on_the_number_of_workers(experiment, sampler):
    wanted = tolerant(experiment(sampler=sampler, trials=10))
    first, *others = [
        simulate_search(wanted, SURFACES["edge"], workers, pool_class=STORM)
        for workers in (1, 7, 200)
    ]
    for other in others:
        assert first.records.drop(columns=TIMES).equals(other.records.drop(columns=TIMES))
        assert other.seconds < first.seconds


def test_workers_that_die_or_hang_lose_nothing(experiment):
    fair = simulate_search(experiment(), SURFACES["interior"], 8)
    weather = faulty_pool(
        death_probability=0.3, hang_probability=0.1, slow_fraction=0.5, restart_seconds=50.0
    )
    rough = simulate_search(
        tolerant(experiment(), job_seconds=2000.0), SURFACES["interior"], 8, pool_class=weather
    )
    assert weather.lost_jobs > 10
    assert rough.seconds > fair.seconds
    assert not rough.records.duplicated(KEY).any()
    assert fair.records.drop(columns=TIMES).equals(rough.records.drop(columns=TIMES))


def test_a_run_that_diverges_fails_its_candidate_alone(experiment):
    found = simulate_search(
        experiment(), SURFACES["interior"], 8, pool_class=faulty_pool(divergence_probability=0.2)
    )
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert {trial.failure_kind for trial in failed} == {"diverged"}
    assert 0 < len(failed) < len(found.trials)
    assert found.best_mean_candidate not in {trial.candidate for trial in failed}


@pytest.mark.parametrize("name", ["interior", "edge", "corner", "ridge"])
def test_without_noise_the_best_of_all_candidates_is_found_by_a_search_of_all(experiment, name):
    quiet = dataclasses.replace(SURFACES[name], noise=QUIET)
    everything = experiment(1, sampler="lattice", step=40, seeds=2, race=None)
    found = simulate_search(everything, quiet, 64)
    assert len(found.trials) == len(found.ground.points)
    assert found.regret == 0
    assert found.best_mean_candidate == found.ground.best_candidate


def test_the_best_candidate_is_where_the_optimum_was_put(experiment):
    ground_truth = make_ground_truth(
        experiment(), AnalyticSurface(name="known", peaks=(((0.0, 1.0, 0.0), 0.0),))
    )
    assert ground_truth.points[ground_truth.best_candidate].shares.as_tuple() == (0.0, 1.0, 0.0)
    assert ground_truth.regret(ground_truth.best_candidate) == 0
    assert min(map(ground_truth.regret, ground_truth.points)) == 0


def test_an_optimum_that_drifts_is_elsewhere_after_one_epoch(experiment):
    best = [
        (ground_truth := make_ground_truth(experiment(epochs), SURFACES["drifting"]))
        .points[ground_truth.best_candidate]
        .shares
        for epochs in (1, 30)
    ]
    assert best[0].width > 0.7
    assert best[1].width < 0.4


def test_the_best_mean_candidate_is_that_of_the_summary(experiment):
    for seed in range(3):
        found = simulate_search(experiment(), SURFACES["interior"], 16, seed)
        assert found.best_mean_candidate == summary_of_records(found.records, 2.0).best.candidate


def test_the_surface_of_a_smooth_search_is_highest_near_the_optimum(experiment):
    quiet = dataclasses.replace(SURFACES["edge"], noise=SimulatedNoise(seed=0.002, run=0.0005))
    found = simulate_search(experiment(sampler="lattice", step=4, pruner="none"), quiet, 16)
    assert found.surface_regret < 0.001


def test_a_new_tuner_continues_from_the_study_and_trains_nothing_twice(experiment):
    from optuna.storages import InMemoryStorage

    whole = simulate_search(experiment(), SURFACES["edge"], 4)
    storage, ground_truth = InMemoryStorage(), make_ground_truth(experiment(), SURFACES["edge"])
    for _, _ in zip(range(20), make_tuner(ground_truth, 4, 0, storage=storage).run(), strict=False):
        pass
    rest = simulate_search(experiment(), ground_truth, 4, storage=storage)
    assert rest.records.drop(columns=TIMES).equals(whole.records.drop(columns=TIMES))
    assert rest.busy_seconds < whole.busy_seconds
