"""Dask runs no job twice without the tuner's knowledge."""

import gc
import os
import signal
import socket
import sys
import time

import pytest
from executor_fakes import make_job, run_job
from executor_pools import empty_jobs, run_jobs
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.search.pools import dask_pool as module
from scalesearch.search.pools.dask_pool import DaskExecutor, slurm_script
from scalesearch.search.pools.opening import open_worker_pool

distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")


@pytest.fixture
def small_cluster():
    """A scheduler and one worker with two threads and two GPUs, in this process."""
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp://",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # any free port
        worker_dashboard_address="127.0.0.1:0",
        resources={"GPU": 2},
        silence_logs="CRITICAL",
    ) as cluster:
        yield cluster


def wait_until_running(cluster):
    """Until every worker is one that would be started again."""
    deadline = time.monotonic() + 200
    while not all(nanny.status == distributed.Status.running for nanny in cluster.workers.values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cluster.wait_for_workers(len(cluster.workers), timeout=200)


@pytest.mark.slow
def test_a_job_whose_worker_died_is_lost_and_not_repeated(cluster, tmp_path):
    wait_until_running(cluster)
    with open_worker_pool(
        "dask", scheduler=cluster.scheduler_address, run_job=run_job, log_folder=tmp_path
    ) as pool:
        failing_job = make_job("note, die", folder=tmp_path)
        outcomes = run_jobs(pool, [failing_job, *empty_jobs(1)])
        failure = outcomes.pop(failing_job.key)[0].failure
        assert failure.kind == "worker_lost"
        assert failure.reason.startswith("the worker at tcp://127.0.0.1:")
        assert [outcome.failure for outcome, *_ in outcomes.values()] == [None]
        wait_until_running(cluster)
        assert [outcome.failure for outcome, *_ in run_jobs(pool, empty_jobs(4)).values()] == [
            None
        ] * 4
    assert len((tmp_path / "noted-0").read_text().split()) == 1


@pytest.mark.slow
def test_a_finished_job_is_not_repeated_when_its_worker_dies(cluster, tmp_path):
    wait_until_running(cluster)
    gc.disable()  # it must not take the collector to let go of results
    try:
        with open_worker_pool(
            "dask", scheduler=cluster.scheduler_address, run_job=run_job, log_folder=tmp_path
        ) as pool:
            jobs = [make_job("note", seed, tmp_path) for seed in range(4)]
            run_jobs(pool, jobs)
            wait_until(lambda: not cluster.scheduler.tasks)
            for nanny in cluster.workers.values():
                os.kill(nanny.pid, signal.SIGKILL)  # its worker
            wait_until(lambda: not cluster.scheduler.workers)
            wait_until_running(cluster)
            run_jobs(pool, empty_jobs(2))
    finally:
        gc.enable()
    for seed in range(4):
        assert len((tmp_path / f"noted-{seed}").read_text().split()) == 1


def wait_until(condition, within=200):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.02)


def test_the_schedulers_own_retries_are_turned_off(small_cluster, tmp_path):
    assert small_cluster.scheduler.allowed_failures > 0
    with open_worker_pool(
        "dask", scheduler=small_cluster.scheduler_address, run_job=run_job, log_folder=tmp_path
    ) as pool:
        assert small_cluster.scheduler.allowed_failures == 0
        assert [outcome.failure for outcome, *_ in run_jobs(pool, empty_jobs(3)).values()] == [
            None
        ] * 3


def test_slots_are_threads_or_gpus_and_follow_the_workers(small_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SLOTS_REFRESH_SECONDS", 0.0)
    address = small_cluster.scheduler_address
    with (
        open_worker_pool("dask", scheduler=address, run_job=run_job, log_folder=tmp_path) as pool,
        open_worker_pool(
            "dask", scheduler=address, run_job=run_job, log_folder=tmp_path, workers=1
        ) as pool_of_one,
        open_worker_pool(
            "dask", scheduler=address, run_job=run_job, log_folder=tmp_path, devices=["cuda"]
        ) as gpus,
    ):
        assert (pool.slots, pool_of_one.slots, gpus.slots) == (2, 1, 2)
        assert [outcome.failure for outcome, *_ in run_jobs(gpus, empty_jobs(3)).values()] == [
            None
        ] * 3
        small_cluster.scale(2)
        small_cluster.wait_for_workers(2, timeout=200)
        assert (pool.slots, pool_of_one.slots, gpus.slots) == (4, 1, 4)
        small_cluster.scale(0)
        wait_until(lambda: not small_cluster.scheduler.workers)
        assert (pool.slots, gpus.slots) == (1, 1)  # one job waits for whoever comes


def test_workers_without_gpus_are_refused_where_gpus_are_needed(tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=1,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port
            worker_dashboard_address="127.0.0.1:0",
        ) as pool_without_gpus,
        refused(SearchError),
        open_worker_pool(
            "dask",
            scheduler=pool_without_gpus.scheduler_address,
            run_job=run_job,
            log_folder=tmp_path,
            devices=["cuda"],
        ),
    ):
        pass


def test_a_scheduler_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CONNECT_TIMEOUT", 0.2)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with (
            pytest.raises(SearchError, match=f"^scheduler: need the address .* got {address} "),
            open_worker_pool("dask", scheduler=address, run_job=run_job, log_folder=tmp_path),
        ):
            pass


def test_a_scheduler_that_goes_stops_the_search(small_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SLOTS_REFRESH_SECONDS", 0.0)
    with open_worker_pool(
        "dask", scheduler=small_cluster.scheduler_address, run_job=run_job, log_folder=tmp_path
    ) as pool:
        pool._executor._client._timeout = 1.0  # for coming back: it was patient in the beginning
        small_cluster.close()
        with refused(SearchError):
            keep_busy(pool)


def test_a_scheduler_that_goes_during_a_submission_is_named(small_cluster, tmp_path, monkeypatch):
    with open_worker_pool(
        "dask", scheduler=small_cluster.scheduler_address, run_job=run_job, log_folder=tmp_path
    ) as pool:
        client = pool._executor._client

        def raise_closed(*args, **kwargs):
            client.status = "closed"
            raise RuntimeError("Client is closed")

        monkeypatch.setattr(pool._executor._executor, "submit", raise_closed)
        try:
            with refused(SearchError):
                pool.submit(make_job("nothing"))
        finally:
            client.status = "running"


def keep_busy(pool):
    for _ in range(1000):
        pool.submit(make_job("nothing"))
        pool.collect(0.05)


@pytest.mark.parametrize("act", [DaskExecutor, slurm_script])
def test_the_extra_is_named_where_it_is_missing(monkeypatch, act):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with refused(SearchError):
        act("tcp://host:8786")


def test_a_slurm_worker_asks_for_what_it_needs_and_takes_one_job_at_a_time():
    script = slurm_script(
        "tcp://host:8786",
        memory="24GiB",
        walltime="08:00:00",
        cpus=4,
        gpus=1,
        queue="long",
        account="lab",
        prologue=["module load cuda"],
        directives=["--constraint=a100"],
    )
    header, command = script.strip().rsplit("\n", 1)
    assert header.splitlines() == [
        "#!/usr/bin/env bash",
        "",
        "#SBATCH -J scalesearch-worker",
        "#SBATCH -p long",
        "#SBATCH -A lab",
        "#SBATCH -n 1",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --mem=24G",
        "#SBATCH -t 08:00:00",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --constraint=a100",
        "module load cuda",
    ]
    for option in (
        "distributed.cli.dask_worker tcp://host:8786",
        "--name scalesearch-$SLURM_JOB_ID",
        "--nthreads 1",
        "--memory-limit 24.00GiB",
        "--nanny",
        "--death-timeout 60",
        "--resources GPU=1",
    ):
        assert option in command


def test_a_slurm_worker_without_a_gpu_offers_none_and_has_one_at_most():
    assert "GPU" not in slurm_script("tcp://host:8786")
    with refused(SearchError):
        slurm_script("tcp://host:8786", gpus=2)
