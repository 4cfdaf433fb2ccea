"""Crews of every kind over the same deeds."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

# Worker processes begin with this process's path, and find the deeds there.
sys.path.append(str(Path(__file__).parent))

from executor_fakes import run_job
from executor_pools import HostileExecutor

from scalesearch.search.pools.opening import open_worker_pool
from scalesearch.search.worker_pool import ExecutorPool


@pytest.fixture(scope="package")
def cluster():
    """Two worker processes of Dask, over TCP."""
    distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")
    import dask

    # A LocalCluster looks 15 s after it lost a worker whether one of its name is there, and closes
    # that for good otherwise: one that was just then killed for a second time, too.
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port
            worker_dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs="CRITICAL",
        ) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="package")
def open_pool(request, tmp_path_factory):
    """Open a pool of a kind, as a context manager."""

    @contextmanager
    def open_pool_of_kind(pool_kind, **options):
        logs = tmp_path_factory.mktemp("logs")
        if pool_kind == "hostile":
            with HostileExecutor(seed=0) as executor:
                yield ExecutorPool(executor, 4, run_job)
        elif pool_kind == "threads":
            with (
                ThreadPoolExecutor(2) as executor,
                open_worker_pool(executor, run_job=run_job, log_folder=logs) as pool,
            ):
                yield pool
        else:
            if pool_kind == "local":
                options = {"workers": 2, **options}
            if pool_kind == "dask":
                options["scheduler"] = request.getfixturevalue("cluster").scheduler_address
            with open_worker_pool(pool_kind, run_job=run_job, log_folder=logs, **options) as pool:
                yield pool

    return open_pool_of_kind
