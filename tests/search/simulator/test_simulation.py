"""Searches on surfaces whose best is known."""

import dataclasses

import pytest

from scalesearch.analysis import answer
from scalesearch.errors import SearchError
from scalesearch.experiment import FailureSpec, Tolerance
from scalesearch.records import KEY
from scalesearch.search.simulator import (
    SURFACES,
    Analytic,
    Noise,
    Weather,
    engine_of,
    ground,
    simulated,
)

QUIET = Noise(seed=0.0, run=0.0)
STORM = Weather(slow=0.3, dying=0.2, diverging=0.02, restart=100.0)
TIMES = ["seconds"]  # what depends on the worker


def tolerant(experiment, **changes):
    failures = FailureSpec(
        worker_lost=Tolerance(retries=50), timeout=Tolerance(retries=50), **changes
    )
    return dataclasses.replace(
        experiment, search=dataclasses.replace(experiment.search, failures=failures)
    )


def test_a_search_is_the_same_again_and_another_in_another_world(experiment):
    once = simulated(experiment(), SURFACES["edge"], 8, 3)
    again = simulated(experiment(), SURFACES["edge"], 8, 3)
    assert once.records.equals(again.records)
    assert once.seconds == again.seconds
    other = simulated(experiment(), SURFACES["edge"], 8, 4)
    assert not once.records["accuracy"].equals(other.records["accuracy"])


@pytest.mark.parametrize("sampler", ["lattice", "tpe"])
def test_records_do_not_depend_on_how_many_work(experiment, sampler):
    wanted = tolerant(experiment(sampler=sampler, trials=10))
    first, *others = [
        simulated(wanted, SURFACES["edge"], workers, weather=STORM) for workers in (1, 7, 200)
    ]
    for other in others:
        assert first.records.drop(columns=TIMES).equals(other.records.drop(columns=TIMES))
        assert other.seconds < first.seconds


def test_workers_that_die_or_hang_lose_nothing(experiment):
    fair = simulated(experiment(), SURFACES["interior"], 8)
    weather = Weather(dying=0.3, hanging=0.1, slow=0.5, restart=50.0)
    rough = simulated(
        tolerant(experiment(), job_seconds=2000.0), SURFACES["interior"], 8, weather=weather
    )
    assert rough.lost > 10
    assert rough.seconds > fair.seconds
    assert not rough.records.duplicated(KEY).any()
    assert fair.records.drop(columns=TIMES).equals(rough.records.drop(columns=TIMES))


def test_a_run_that_diverges_fails_its_candidate_alone(experiment):
    found = simulated(experiment(), SURFACES["interior"], 8, weather=Weather(diverging=0.2))
    failed = [entry for entry in found.entries if entry.state == "failed"]
    assert {entry.kind for entry in failed} == {"diverged"}
    assert 0 < len(failed) < len(found.entries)
    assert found.pick not in {entry.candidate for entry in failed}


def test_jobs_that_hang_need_a_time_at_which_they_are_given_up(experiment):
    with pytest.raises(SearchError, match=r"hanging: need search\.failures\.job_seconds"):
        simulated(experiment(), SURFACES["flat"], 2, weather=Weather(hanging=0.5))


@pytest.mark.parametrize("name", ["interior", "edge", "corner", "ridge"])
def test_without_noise_the_best_of_all_candidates_is_found_by_a_search_of_all(experiment, name):
    quiet = dataclasses.replace(SURFACES[name], noise=QUIET)
    everything = experiment(1, sampler="lattice", step=40, seeds=2, race=None)
    found = simulated(everything, quiet, 64)
    assert len(found.entries) == len(found.ground.points)
    assert found.regret == 0
    assert found.pick == found.ground.best


def test_the_best_candidate_is_where_the_optimum_was_put(experiment):
    known = ground(experiment(), Analytic(name="known", peaks=(((0.0, 1.0, 0.0), 0.0),)))
    assert known.points[known.best].shares.as_tuple() == (0.0, 1.0, 0.0)
    assert known.regret(known.best) == 0
    assert min(map(known.regret, known.points)) == 0


def test_an_optimum_that_drifts_is_elsewhere_after_one_epoch(experiment):
    best = [
        (known := ground(experiment(epochs), SURFACES["drifting"])).points[known.best].shares
        for epochs in (1, 30)
    ]
    assert best[0].width > 0.7
    assert best[1].width < 0.4


def test_the_pick_is_the_answer_of_the_records(experiment):
    for seed in range(3):
        found = simulated(experiment(), SURFACES["interior"], 16, seed)
        assert found.pick == answer(found.records, 2.0).best.candidate


def test_the_surface_of_a_smooth_search_is_highest_near_the_optimum(experiment):
    quiet = dataclasses.replace(SURFACES["edge"], noise=Noise(seed=0.002, run=0.0005))
    found = simulated(experiment(sampler="lattice", step=4, pruner="none"), quiet, 16)
    assert found.surface_regret < 0.001


def test_an_engine_that_died_goes_on_from_its_study_and_trains_nothing_twice(experiment):
    from optuna.storages import InMemoryStorage

    whole = simulated(experiment(), SURFACES["edge"], 4)
    storage, known = InMemoryStorage(), ground(experiment(), SURFACES["edge"])
    for _, _ in zip(range(20), engine_of(known, 4, 0, storage=storage).run(), strict=False):
        pass
    rest = simulated(experiment(), known, 4, storage=storage)
    assert rest.records.drop(columns=TIMES).equals(whole.records.drop(columns=TIMES))
    assert rest.busy_seconds < whole.busy_seconds
