"""What holds for a pool of any kind."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
from executor_fakes import another_key, make_job, raise_data_error, run_job, wrong_type
from executor_pools import empty_jobs, run_jobs, wait_for

from scalesearch.errors import DataError
from scalesearch.search.pools.opening import InlinePool
from scalesearch.search.worker_pool import ExecutorPool

IN_PROCESS = ["inline", "threads", "hostile"]
PROCESSES = ["local", pytest.param("dask", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=[*IN_PROCESS, *PROCESSES])
def pool_kind(request):
    return request.param


@pytest.fixture(scope="module")
def pool(pool_kind, open_pool):
    with open_pool(pool_kind) as pool:
        yield pool


@pytest.fixture
def patience(pool_kind):
    return 0.5 if pool_kind == "hostile" else None


def lost(outcome):
    return outcome.failure is not None and outcome.failure.kind == "worker_lost"


def test_every_job_comes_back_with_its_own_outcome(pool, patience):
    jobs = empty_jobs(30)
    outcomes = run_jobs(pool, jobs, patience=patience)
    assert outcomes.keys() == {job.key for job in jobs}
    for job in jobs:
        outcome = [outcome for outcome in outcomes[job.key] if not lost(outcome)]
        assert outcome or patience, outcomes[job.key]
        assert all(outcome.rows[0]["seed"] == job.seeds[0] for outcome in outcome)


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("odd", "Odd: 1"),
        ("unreadable", "RuntimeError: read by nobody"),
        ("unpicklable", "lambda"),
        ("sys.exit", "SystemExit: enough"),
    ],
)
def test_a_job_that_ends_oddly_is_lost_alone(pool, pool_kind, patience, action, reason):
    if pool_kind == "inline" and action != "odd":
        pytest.skip("in this process nothing is pickled, and to leave it is to leave it")
    failing_job, other_jobs = make_job(action), empty_jobs(3)
    outcomes = run_jobs(pool, [other_jobs[0], failing_job, *other_jobs[1:]], patience=patience)
    outcome = outcomes[failing_job.key][0]
    assert lost(outcome)
    if patience and "cancelled" in outcome.failure.reason:
        return
    assert reason in outcome.failure.reason
    assert "\n" not in outcome.failure.reason
    assert "Traceback" in outcome.failure.traceback
    assert patience or not any(lost(outcomes[job.key][0]) for job in other_jobs)


def test_workers_call_other_functions(pool, pool_kind):
    if pool_kind == "hostile":
        pytest.skip("what it loses, nobody waits for")
    assert pool.call(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        pool.call(divmod, 7, 0)
    assert not lost(run_jobs(pool, empty_jobs(1))[empty_jobs(1)[0].key][0])


def test_an_error_in_a_worker_is_raised_unchanged(pool, pool_kind):
    if pool_kind == "hostile":
        pytest.skip("what it loses, nobody waits for")
    with pytest.raises(DataError, match=r"^no images$"):
        pool.call(raise_data_error, "no images")


def test_collect_returns_nothing_without_jobs(pool):
    started_at = time.monotonic()
    assert pool.collect(0.05) == []
    assert time.monotonic() - started_at < 60


@pytest.mark.parametrize("action", [wrong_type, another_key])
@pytest.mark.parametrize("over", ["inline", "threads"])
def test_a_wrong_result_counts_as_a_lost_worker(over, action):
    with ThreadPoolExecutor(1) as executor:
        pool = InlinePool(action) if over == "inline" else ExecutorPool(executor, 1, action)
        [outcome] = run_jobs(pool, [submitted := make_job("nothing")])[submitted.key]
        assert lost(outcome)
        assert outcome.failure.reason.startswith(("TypeError: need an", "ValueError: need the"))


@pytest.mark.parametrize("over", ["inline", "threads"])
def test_a_pool_closed_after_its_jobs_has_returned_all_outcomes(open_pool, over):
    jobs = empty_jobs(3 if over == "inline" else 2)
    with open_pool(over) as pool:
        for job in jobs:
            pool.submit(job)
        pool.close(cancel_running=False)
        keys = [outcome.key for _ in jobs for outcome in pool.collect(0)]
    assert sorted(keys) == sorted(job.key for job in jobs)


class Late(Future):
    """Is done a while before it says so to those who asked to be called."""

    def _invoke_callbacks(self):
        time.sleep(0.3)
        super()._invoke_callbacks()


def test_a_pool_returns_an_outcome_that_arrives_while_it_closes():
    class Executor(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            outcome = Late()
            super().submit(lambda: begin.wait() and outcome.set_result(fn(*args, **kwargs)))
            return outcome

    begin = threading.Event()
    with Executor(1) as executor:
        pool = ExecutorPool(executor, 1, run_job)
        pool.submit(submitted := make_job("nothing"))
        begin.set()
        pool.close(cancel_running=False)
        assert [outcome.key for outcome in pool.collect(0)] == [submitted.key]


def test_cancelled_jobs_free_their_workers_and_can_be_submitted_again(pool, pool_kind, tmp_path):
    if pool_kind not in ("local", "dask"):
        pytest.skip("threads cannot be ended")
    stuck = [make_job("wait", seed, tmp_path) for seed in range(2)]
    for job in stuck:
        pool.submit(job)
    wait_for(tmp_path, "begun-0", "begun-1")
    for job in stuck:
        pool.cancel(job)
    outcomes = run_jobs(pool, [replace(job, attempt=1) for job in stuck])
    assert [lost(outcome) for job in stuck for outcome in outcomes[job.key]] == [False, False]


def test_an_interrupt_leaves_the_inline_pool():
    def interrupted(job):
        raise KeyboardInterrupt

    pool = InlinePool(interrupted)
    pool.submit(make_job("nothing"))
    with pytest.raises(KeyboardInterrupt):
        pool.collect(None)


def test_the_real_outcome_of_a_cancelled_job_is_still_returned(tmp_path):
    with ThreadPoolExecutor(1) as executor:
        pool = ExecutorPool(executor, 1, run_job)
        late_job = make_job("word", folder=tmp_path)
        pool.submit(late_job)
        wait_for(tmp_path, "begun-0")
        pool.cancel(late_job)  # a thread cannot be ended
        (tmp_path / "go").touch()
        [outcome] = pool.collect(200)
        assert outcome.key == late_job.key
        assert not lost(outcome)
