"""What holds for a pool of any kind."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
from executor_fakes import another_key, job, refused, run_job, wrong_type
from executor_pools import empty_jobs, run_jobs, wait_for

from scalesearch.errors import DataError
from scalesearch.search.pools.opening import InlinePool
from scalesearch.search.worker_pool import ExecutorPool

IN_PROCESS = ["inline", "threads", "hostile"]
PROCESSES = ["local", pytest.param("dask", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=[*IN_PROCESS, *PROCESSES])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def pool(kind, open_pool):
    with open_pool(kind) as pool:
        yield pool


@pytest.fixture
def patience(kind):
    return 0.5 if kind == "hostile" else None


def lost(outcome):
    return outcome.failure is not None and outcome.failure.kind == "worker_lost"


def test_every_job_comes_back_with_its_own_outcome(pool, patience):
    jobs = empty_jobs(30)
    outcomes = run_jobs(pool, jobs, patience=patience)
    assert outcomes.keys() == {each.key for each in jobs}
    for each in jobs:
        outcome = [outcome for outcome in outcomes[each.key] if not lost(outcome)]
        assert outcome or patience, outcomes[each.key]
        assert all(outcome.rows[0]["seed"] == each.seeds[0] for outcome in outcome)


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("odd", "Odd: 1"),
        ("unreadable", "RuntimeError: read by nobody"),
        ("unpicklable", "lambda"),
        ("sys.exit", "SystemExit: enough"),
    ],
)
def test_a_job_that_ends_oddly_is_lost_alone(pool, kind, patience, action, reason):
    if kind == "inline" and action != "odd":
        pytest.skip("in this process nothing is pickled, and to leave it is to leave it")
    bad, good = job(action), empty_jobs(3)
    outcomes = run_jobs(pool, [good[0], bad, *good[1:]], patience=patience)
    outcome = outcomes[bad.key][0]
    assert lost(outcome)
    if patience and "cancelled" in outcome.failure.reason:
        return
    assert reason in outcome.failure.reason
    assert "\n" not in outcome.failure.reason
    assert "Traceback" in outcome.failure.traceback
    assert patience or not any(lost(outcomes[each.key][0]) for each in good)


def test_workers_call_other_functions(pool, kind):
    if kind == "hostile":
        pytest.skip("what it loses, nobody waits for")
    assert pool.call(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        pool.call(divmod, 7, 0)
    assert not lost(run_jobs(pool, empty_jobs(1))[empty_jobs(1)[0].key][0])


def test_an_error_in_a_worker_is_raised_unchanged(pool, kind):
    if kind == "hostile":
        pytest.skip("what it loses, nobody waits for")
    with pytest.raises(DataError, match=r"^no images$"):
        pool.call(refused, "no images")


def test_collect_returns_nothing_without_jobs(pool):
    began = time.monotonic()
    assert pool.collect(0.05) == []
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("action", [wrong_type, another_key])
@pytest.mark.parametrize("over", ["inline", "threads"])
def test_a_wrong_result_counts_as_a_lost_worker(over, action):
    with ThreadPoolExecutor(1) as executor:
        pool = InlinePool(action) if over == "inline" else ExecutorPool(executor, 1, action)
        [outcome] = run_jobs(pool, [submitted := job("nothing")])[submitted.key]
        assert lost(outcome)
        assert outcome.failure.reason.startswith(("TypeError: need an", "ValueError: need the"))


@pytest.mark.parametrize("over", ["inline", "threads"])
def test_a_pool_closed_after_its_jobs_has_returned_all_outcomes(open_pool, over):
    jobs = empty_jobs(3 if over == "inline" else 2)
    with open_pool(over) as pool:
        for each in jobs:
            pool.submit(each)
        pool.close(cancel_running=False)
        came = [outcome.key for _ in jobs for outcome in pool.collect(0)]
    assert sorted(came) == sorted(each.key for each in jobs)


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
        pool.submit(submitted := job("nothing"))
        begin.set()
        pool.close(cancel_running=False)
        assert [outcome.key for outcome in pool.collect(0)] == [submitted.key]


def test_cancelled_jobs_free_their_workers_and_can_be_submitted_again(pool, kind, tmp_path):
    if kind not in ("local", "dask"):
        pytest.skip("threads cannot be ended")
    stuck = [job("wait", seed, tmp_path) for seed in range(2)]
    for each in stuck:
        pool.submit(each)
    wait_for(tmp_path, "begun-0", "begun-1")
    for each in stuck:
        pool.cancel(each)
    outcomes = run_jobs(pool, [replace(each, attempt=1) for each in stuck])
    assert [lost(outcome) for each in stuck for outcome in outcomes[each.key]] == [False, False]


def test_an_interrupt_leaves_the_inline_pool():
    def interrupted(job):
        raise KeyboardInterrupt

    pool = InlinePool(interrupted)
    pool.submit(job("nothing"))
    with pytest.raises(KeyboardInterrupt):
        pool.collect(None)


def test_the_real_outcome_of_a_cancelled_job_is_still_returned(tmp_path):
    with ThreadPoolExecutor(1) as executor:
        pool = ExecutorPool(executor, 1, run_job)
        late = job("word", folder=tmp_path)
        pool.submit(late)
        wait_for(tmp_path, "begun-0")
        pool.cancel(late)  # a thread cannot be ended
        (tmp_path / "go").touch()
        [outcome] = pool.collect(200)
        assert outcome.key == late.key
        assert not lost(outcome)
