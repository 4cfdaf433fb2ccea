"""Options of a worker pool that contradict each other are refused."""

from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
from executor_fakes import run_job
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.search.pools.opening import open_worker_pool


@pytest.mark.parametrize(
    "options",
    [
        {"executor": "gpu"},
        {"executor": "inline", "workers": 3},
        {"executor": "local", "workers": 0},
        {"executor": "dask"},
        {"executor": "local", "scheduler": "tcp://h:1"},
        {"executor": "inline", "memory": 1},
        {"executor": "dask", "scheduler": "tcp://h:1", "memory": 1},
        {"executor": "local", "workers": 1, "devices": ["cuda:0", "cuda:1"]},
        {"executor": "inline", "devices": ["cuda:1"]},
        {"executor": "local", "devices": ["cuda:0", "gpu:1"]},
        {"executor": Executor()},
    ],
)
def test_contradicting_options_are_refused(tmp_path, options):
    with (
        refused(SearchError),
        open_worker_pool(run_job=run_job, log_folder=tmp_path, **options),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        refused(SearchError),
        open_worker_pool("local", run_job=run_job, log_folder=tmp_path / "file" / "logs"),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "slots"),
    [
        ({"executor": "inline"}, 1),
        ({"executor": "local"}, 1),
        ({"executor": "local", "workers": 3}, 3),
        ({"executor": "local", "devices": ["cpu", "cpu"]}, 2),
        ({"executor": "local", "workers": 4, "devices": ["cpu", "cpu"]}, 4),
    ],
)
def test_the_slots_of_a_pool_are_its_workers(tmp_path, options, slots):
    with open_worker_pool(run_job=run_job, log_folder=tmp_path, **options) as pool:
        assert pool.slots == slots


def test_any_executor_can_be_used_and_stays_open(tmp_path):
    with ThreadPoolExecutor(5) as executor:
        with open_worker_pool(executor, run_job=run_job, log_folder=tmp_path) as pool:
            assert pool.slots == 5
        assert executor.submit(len, "open").result() == 4


def test_an_executor_that_refuses_jobs_stops_the_search(tmp_path):
    from executor_fakes import make_job

    executor = ThreadPoolExecutor(1)
    with open_worker_pool(executor, run_job=run_job, log_folder=tmp_path) as pool:
        executor.shutdown()
        with refused(SearchError):
            pool.submit(make_job("nothing"))
