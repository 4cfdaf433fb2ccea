"""What holds for a crew of any kind."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
from executor_crews import done, nothing, wait_for
from executor_fakes import advance, another_key, job, refused, wrong_type

from scalesearch.errors import DataError
from scalesearch.search.pools.opening import InlinePool
from scalesearch.search.worker_pool import ExecutorPool

IN_PROCESS = ["inline", "threads", "hostile"]
PROCESSES = ["local", pytest.param("dask", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=[*IN_PROCESS, *PROCESSES])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def crew(kind, crew_of):
    with crew_of(kind) as crew:
        yield crew


@pytest.fixture
def patience(kind):
    return 0.5 if kind == "hostile" else None


def lost(outcome):
    return outcome.failure is not None and outcome.failure.kind == "worker_lost"


def test_every_job_comes_back_with_its_own_outcome(crew, patience):
    jobs = nothing(30)
    outcomes = done(crew, jobs, patience=patience)
    assert outcomes.keys() == {each.key for each in jobs}
    for each in jobs:
        told = [outcome for outcome in outcomes[each.key] if not lost(outcome)]
        assert told or patience, outcomes[each.key]
        assert all(outcome.rows[0]["seed"] == each.seeds[0] for outcome in told)


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("odd", "Odd: 1"),
        ("unreadable", "RuntimeError: read by nobody"),
        ("unpicklable", "lambda"),
        ("sys.exit", "SystemExit: enough"),
    ],
)
def test_a_job_that_ends_oddly_is_lost_alone(crew, kind, patience, deed, reason):
    if kind == "inline" and deed != "odd":
        pytest.skip("in this process nothing is pickled, and to leave it is to leave it")
    bad, good = job(deed), nothing(3)
    outcomes = done(crew, [good[0], bad, *good[1:]], patience=patience)
    told = outcomes[bad.key][0]
    assert lost(told)
    if patience and "cancelled" in told.failure.reason:
        return
    assert reason in told.failure.reason
    assert "\n" not in told.failure.reason
    assert "Traceback" in told.failure.traceback
    assert patience or not any(lost(outcomes[each.key][0]) for each in good)


def test_workers_are_asked_other_things_too(crew, kind):
    if kind == "hostile":
        pytest.skip("what it loses, nobody waits for")
    assert crew.ask(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        crew.ask(divmod, 7, 0)
    assert not lost(done(crew, nothing(1))[nothing(1)[0].key][0])


def test_what_a_worker_refuses_is_raised_as_it_is(crew, kind):
    if kind == "hostile":
        pytest.skip("what it loses, nobody waits for")
    with pytest.raises(DataError, match=r"^no images$"):
        crew.ask(refused, "no images")


def test_nothing_comes_where_nothing_was_asked(crew):
    began = time.monotonic()
    assert crew.collect(0.05) == []
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("deed", [wrong_type, another_key])
@pytest.mark.parametrize("over", ["inline", "threads"])
def test_what_is_no_outcome_of_the_job_is_a_lost_worker(over, deed):
    with ThreadPoolExecutor(1) as executor:
        crew = InlinePool(deed) if over == "inline" else ExecutorPool(executor, 1, deed)
        [outcome] = done(crew, [asked := job("nothing")])[asked.key]
        assert lost(outcome)
        assert outcome.failure.reason.startswith(("TypeError: need an", "ValueError: need the"))


@pytest.mark.parametrize("over", ["inline", "threads"])
def test_a_crew_that_is_closed_in_peace_has_told_everything(crew_of, over):
    jobs = nothing(3 if over == "inline" else 2)
    with crew_of(over) as crew:
        for each in jobs:
            crew.submit(each)
        crew.close(at_once=False)
        came = [outcome.key for _ in jobs for outcome in crew.collect(0)]
    assert sorted(came) == sorted(each.key for each in jobs)


class Late(Future):
    """Is done a while before it says so to those who asked to be called."""

    def _invoke_callbacks(self):
        time.sleep(0.3)
        super()._invoke_callbacks()


def test_a_crew_that_is_closed_in_peace_misses_nothing_that_comes_just_then():
    class Executor(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            told = Late()
            super().submit(lambda: begin.wait() and told.set_result(fn(*args, **kwargs)))
            return told

    begin = threading.Event()
    with Executor(1) as executor:
        crew = ExecutorPool(executor, 1, advance)
        crew.submit(asked := job("nothing"))
        begin.set()
        crew.close(cancel_running=False)
        assert [outcome.key for outcome in crew.collect(0)] == [asked.key]


def test_jobs_given_up_free_their_workers_are_not_told_and_may_come_again(crew, kind, tmp_path):
    if kind not in ("local", "dask"):
        pytest.skip("threads cannot be ended")
    stuck = [job("wait", seed, tmp_path) for seed in range(2)]
    for each in stuck:
        crew.submit(each)
    wait_for(tmp_path, "begun-0", "begun-1")
    for each in stuck:
        crew.give_up(each)
    outcomes = done(crew, [replace(each, attempt=1) for each in stuck])
    assert [lost(told) for each in stuck for told in outcomes[each.key]] == [False, False]


def test_an_interrupt_gets_out_of_the_inline_crew():
    def interrupted(job):
        raise KeyboardInterrupt

    crew = InlinePool(interrupted)
    crew.submit(job("nothing"))
    with pytest.raises(KeyboardInterrupt):
        crew.collect(None)


def test_a_real_outcome_of_a_job_given_up_is_still_told(tmp_path):
    with ThreadPoolExecutor(1) as executor:
        crew = ExecutorPool(executor, 1, advance)
        late = job("word", folder=tmp_path)
        crew.submit(late)
        wait_for(tmp_path, "begun-0")
        crew.cancel(late)  # a thread cannot be ended
        (tmp_path / "go").touch()
        [outcome] = crew.collect(200)
        assert outcome.key == late.key
        assert not lost(outcome)
