"""Options of a worker pool that contradict each other are refused."""

from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
from executor_fakes import run_job

from scalesearch.errors import SearchError
from scalesearch.search.pools.opening import open_worker_pool


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"executor": "gpu"}, "executor: need one of inline, local, dask, got 'gpu'"),
        ({"executor": "inline", "workers": 3}, "workers: executor inline has 1 worker, got 3"),
        ({"executor": "local", "workers": 0}, "workers: need at least 1, got 0"),
        ({"executor": "dask"}, "scheduler: executor dask needs an address"),
        ({"executor": "local", "scheduler": "tcp://h:1"}, "scheduler: need executor dask, got tcp"),
        (
            {"executor": "inline", "memory": 1},
            "memory: need executor local, got 1 with executor inline",
        ),
        (
            {"executor": "dask", "scheduler": "tcp://h:1", "memory": 1},
            "with executor dask; start the workers with --memory-limit",
        ),
        (
            {"executor": "local", "workers": 1, "devices": ["cuda:0", "cuda:1"]},
            "devices: need at most one for each of the 1 workers, got cuda:0, cuda:1",
        ),
        (
            {"executor": "inline", "devices": ["cuda:1"]},
            "devices: executor inline uses the experiment's device, got cuda:1; use executor local",
        ),
        (
            {"executor": "local", "devices": ["cuda:0", "gpu:1"]},
            "devices: each must be cpu, cuda or cuda:NUMBER, got 'gpu:1'",
        ),
        ({"executor": Executor()}, "workers: need a number, since Executor has no _max_workers"),
    ],
)
def test_contradicting_options_are_refused(tmp_path, asked, message):
    with (
        pytest.raises(SearchError) as refusal,
        open_worker_pool(run_job=run_job, log_folder=tmp_path, **asked),
    ):
        pass
    assert message in str(refusal.value)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(SearchError, match=r"cannot be written: Not a directory"),
        open_worker_pool("local", run_job=run_job, log_folder=tmp_path / "file" / "logs"),
    ):
        pass


@pytest.mark.parametrize(
    ("asked", "slots"),
    [
        ({"executor": "inline"}, 1),
        ({"executor": "local"}, 1),
        ({"executor": "local", "workers": 3}, 3),
        ({"executor": "local", "devices": ["cpu", "cpu"]}, 2),
        ({"executor": "local", "workers": 4, "devices": ["cpu", "cpu"]}, 4),
    ],
)
def test_the_slots_of_a_pool_are_its_workers(tmp_path, asked, slots):
    with open_worker_pool(run_job=run_job, log_folder=tmp_path, **asked) as pool:
        assert pool.slots == slots


def test_any_executor_can_be_used_and_stays_open(tmp_path):
    with ThreadPoolExecutor(5) as executor:
        with open_worker_pool(executor, run_job=run_job, log_folder=tmp_path) as pool:
            assert pool.slots == 5
        assert executor.submit(len, "open").result() == 4


def test_an_executor_that_refuses_jobs_stops_the_search(tmp_path):
    from executor_fakes import job

    executor = ThreadPoolExecutor(1)
    with open_worker_pool(executor, run_job=run_job, log_folder=tmp_path) as pool:
        executor.shutdown()
        with pytest.raises(
            SearchError, match=r"^executor: need one that takes .*, got RuntimeError"
        ):
            pool.submit(job("nothing"))
