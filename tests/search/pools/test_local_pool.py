"""Local workers that fail without harm to other jobs, and the end of workers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from executor_fakes import make_job, run_job
from executor_pools import empty_jobs, run_jobs, wait_for
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.search.pools import local_pool
from scalesearch.search.pools.local_pool import LocalExecutor
from scalesearch.search.pools.local_process import WorkerProcessConfig
from scalesearch.search.pools.opening import open_worker_pool

LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")


@pytest.fixture(scope="module")
def pool(open_pool):
    with open_pool("local", memory=3 << 30) as pool:
        yield pool


def run_action(pool, action, folder, within=200.0):
    """Return the outcome of an action while other jobs run beside and after it."""
    failing_job, other_jobs = make_job(action, folder=folder), empty_jobs(3)
    outcomes = run_jobs(pool, [failing_job, *other_jobs], within=within)
    for other_job in other_jobs:
        [outcome] = outcomes[other_job.key]
        assert outcome.failure is None, outcome.failure.reason
    [outcome] = outcomes[failing_job.key]
    return outcome


DEATHS = [
    ("exit 0", "ended with status 0"),
    pytest.param("exit 1", "ended with status 1", marks=pytest.mark.slow),
    pytest.param("killed", "was killed by SIGKILL", marks=pytest.mark.slow),
    pytest.param("segfault", "was killed by SIGSEGV", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("action", "reason"), DEATHS)
def test_a_worker_that_dies_takes_its_own_job_and_is_replaced(pool, tmp_path, action, reason):
    failure = run_action(pool, action, tmp_path).failure
    assert failure.kind == "worker_lost"
    assert reason in failure.reason
    assert "worker-" in failure.reason
    if action == "segfault":
        assert "string_at" in failure.traceback  # the last words are in its log


@LINUX
def test_a_job_that_forks_answers_once(pool, tmp_path):
    outcome = run_action(pool, "fork", tmp_path)
    assert outcome.failure is None
    wait_until(lambda: not is_running(outcome.rows[0]["child"]))


@LINUX
@pytest.mark.slow
def test_the_death_of_a_worker_is_noticed_while_its_child_lives(pool, tmp_path):
    assert "SIGKILL" in run_action(pool, "fork, outlive", tmp_path).failure.reason
    (tmp_path / "go").touch()


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("action", ["memory", "torch memory"])
def test_a_worker_that_takes_all_memory_fails_alone(pool, tmp_path, action):
    failure = run_action(pool, action, tmp_path).failure
    assert "emory" in failure.reason


def test_a_worker_stays_from_job_to_job_and_ignores_the_signals_of_a_group(pool, tmp_path):
    waiting_job = make_job("word", folder=tmp_path)
    pool.submit(waiting_job)
    wait_for(tmp_path, "begun-0")
    process = int((tmp_path / "begun-0").read_text())
    os.kill(process, signal.SIGINT)
    os.kill(process, signal.SIGTERM)
    (tmp_path / "go").touch()
    [outcome] = pool.collect(200)
    assert outcome.failure is None
    assert outcome.rows[0]["process"] == process
    later_outcomes = run_jobs(pool, empty_jobs(8))
    assert process in {outcome.rows[0]["process"] for outcome, *_ in later_outcomes.values()}


def test_a_worker_that_died_between_jobs_costs_no_job(pool):
    first = run_jobs(pool, empty_jobs(4))
    for process in {outcome.rows[0]["process"] for outcome, *_ in first.values()}:
        os.kill(process, signal.SIGKILL)
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)  # with all its threads
    assert [outcome.failure for outcome, *_ in run_jobs(pool, empty_jobs(2)).values()] == [
        None,
        None,
    ]


def test_a_kill_that_comes_as_a_task_ends_does_not_hit_the_next(tmp_path, monkeypatch):
    executor = LocalExecutor([WorkerProcessConfig("worker-0", tmp_path / "log")])
    original_request, killed = local_pool._WorkerProcess.request, []

    def killed_late(process, message):
        reply = original_request(process, message)
        if not killed:
            killed.append(process)
            executor.kill(executor._workers[0]._current_future)
        return reply

    monkeypatch.setattr(local_pool._WorkerProcess, "request", killed_late)
    first, second = (executor.submit(os.getpid) for _ in range(2))
    assert first.result(200) != second.result(200)
    executor.shutdown()


def is_running(process):
    """Whether a process runs; a dead child may still be listed in /proc."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def wait_until(condition, within=200):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.02)


@LINUX
def test_the_environment_of_a_worker_is_set_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    logs = tmp_path / "logs"
    with open_worker_pool(
        "local", run_job=run_job, workers=1, devices=["cuda:1"], log_folder=logs
    ) as pool:
        [outcome] = run_jobs(pool, [submitted := make_job("settings")])[submitted.key]
    row = outcome.rows[0]
    assert {"CUDA_VISIBLE_DEVICES=7", "OMP_NUM_THREADS=3"} < set(row["from_the_start"])
    assert (row["cuda"], row["threads"]) == ("7", "3")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,7"


@LINUX
def test_the_kernel_kills_a_worker_first_and_it_has_one_thread_by_default(pool):
    row = run_jobs(pool, [submitted := make_job("settings")])[submitted.key][0].rows[0]
    assert row["score"] >= 500
    assert row["interrupt"]
    assert row["terminate"]
    assert row["threads"] == os.environ.get("OMP_NUM_THREADS", "1")


def test_a_device_that_the_driver_does_not_see_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    with (
        refused(SearchError),
        open_worker_pool("local", run_job=print, devices=["cuda:1"], log_folder=tmp_path),
    ):
        pass


DRIVER = """
import sys, time
sys.path.append({here!r})
from pathlib import Path
from executor_fakes import run_job, make_job
from scalesearch.search.pools import local_pool as local
from scalesearch.search.pools.opening import open_worker_pool
from scalesearch.search.pools.local_pool import LocalExecutor
from scalesearch.search.pools.local_process import WorkerProcessConfig

if __name__ == "__main__":
    folder = Path({folder!r})
    with open_worker_pool("local", run_job=run_job, workers=2, log_folder=folder / "logs") as pool:
        pool.submit(make_job("garbage"))
        assert pool.collect(200)[0].failure is None
        for seed in range(2):
            pool.submit(make_job("wait", seed, folder))
        {then}
"""


def start_driver(folder, statement):
    program = folder / "driver.py"
    program.write_text(
        DRIVER.format(here=str(Path(__file__).parent), folder=str(folder), then=statement)
    )
    return subprocess.Popen(
        [sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def read_worker_ids(folder):
    wait_for(folder, "begun-0", "begun-1")
    return [int((folder / f"begun-{seed}").read_text()) for seed in range(2)]


@LINUX
@pytest.mark.slow
def test_the_workers_of_a_killed_driver_end_and_print_to_their_logs(tmp_path):
    with start_driver(tmp_path, "pool.collect(None)") as process:
        workers = read_worker_ids(tmp_path)
        assert all(map(is_running, workers))
        process.kill()
        assert process.communicate()[0] == ""
    wait_until(lambda: not any(map(is_running, workers)))
    logs = b"".join(log.read_bytes() for log in (tmp_path / "logs").iterdir())
    for text in (b"garbage on stdout", b"garbage on stderr", b"\xff\xfe raw garbage"):
        assert text in logs


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("closing", ["", "pool.close = lambda cancel_running: None"])
def test_a_driver_that_leaves_ends_its_workers_whatever_they_do(tmp_path, closing):
    statement = f"""
        while not all((folder / f"begun-{{seed}}").exists() for seed in range(2)):
            time.sleep(0.05)
        {closing}
        sys.exit(3)
    """
    with start_driver(tmp_path, statement) as process:
        assert process.wait(200) == 3
    assert not any(map(is_running, read_worker_ids(tmp_path)))
