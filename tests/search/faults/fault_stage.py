"""Runs of a search's driver, each in its own process that may be killed at any transition.

As a program: read each run as a line of JSON, fork for it (so imports happen once), and answer
with its process id or exit status.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import warnings
from collections import Counter
from functools import cache, partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = {
    "name": "faulty",
    "baseline": {"width": 0.25, "depth": 0.3, "resolution": 12, "stem_stride": 1},
    "data": {"source": "digits", "train_samples": 60, "validation_samples": 40, "pixels": 12},
    "budget": {"factor": 2.0, "tolerance": 0.04},
    "recipe": {"epochs": 4, "batch_size": 30, "threads": 1},
    "device": "cpu",
}
SEARCHES: dict[str, dict[str, Any]] = {
    "lattice": {"step": 2},
    "cartesian": {"trials": 8},
    "sobol": {"trials": 8},
    "random": {"trials": 8},
    "tpe": {"trials": 8},
    "gp": {"trials": 8},
    "nsga2": {"trials": 8, "against": "macs", "pruner": "none", "race": None},
}
REFUSED, FINISHED, ALIVE = 3, 0, 1000
KILLED = -signal.SIGKILL


def document(sampler: str, **search: Any) -> dict[str, Any]:
    """Return a search of some seconds with rungs, a race, references and rounds."""
    own = {"sampler": sampler, "seeds": 3, "cohort": 3, **SEARCHES[sampler]}
    references = {"references": ["depth", "width", "uniform"]}
    failures = {"worker_lost": {"retries": 99}}
    return {**DOCUMENT, "search": {**own, **references, "failures": failures, **search}}


class Stage:
    """A process that runs drivers; a context manager."""

    def __enter__(self) -> "Stage":
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            text=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def live(self, **life: Any) -> int:
        """Run a driver to its end; return its status, negative for a signal."""
        return self.end(self.begin(**life))

    def begin(self, **life: Any) -> int:
        """Start a driver; return its process id."""
        return self._told({"life": {**life, "results": str(life["results"])}})

    def end(self, process: int) -> int:
        """Wait for a driver to end; return its status."""
        return self._told({"wait": process})

    def ended(self, process: int) -> int | None:
        """Return the status of a driver; None while it runs."""
        told = self._told({"ask": process})
        return None if told == ALIVE else told

    def _told(self, what: dict[str, Any]) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def points(executor: str) -> dict[str, tuple[Any, str]]:
    """Functions before or after which a driver can be killed."""
    import fault_trainer
    from optuna.storages import RDBStorage

    from scalesearch.search import candidate_source as source
    from scalesearch.search import driver, tuner
    from scalesearch.search import results_writer as notebook
    from scalesearch.search.jobs import SearchContext
    from scalesearch.search.pools.opening import InlinePool
    from scalesearch.search.worker_pool import ExecutorPool

    crew = InlinePool if executor == "inline" else ExecutorPool
    return {
        "claim": (driver, "claim_folder"),
        "ask": (source, "proposal"),
        "enter": (tuner, "add_trial"),
        "submit": (crew, "submit"),
        "epoch": (fault_trainer, "append"),
        "outcome": (crew, "collect"),
        "record": (tuner, "record_outcome"),
        "report": (tuner, "report_mean"),
        "complete": (tuner, "tell_complete"),
        "stopped": (tuner, "tell_stopped"),
        "failed": (tuner, "tell_failed"),
        "forget": (SearchContext, "remove_checkpoints"),
        "log": (notebook, "_append_row"),
        "records": (notebook, "write_records"),
        "progress": (notebook, "write_progress"),
        "attribute": (RDBStorage, "set_trial_user_attr"),
        "state": (RDBStorage, "set_trial_state_values"),
    }


def _arm(executor: str, point: str, when: str, crossing: int) -> None:
    from scalesearch.search import progress_reporter
    from scalesearch.search import results_writer as notebook

    if point in ("records", "progress"):  # at every chance
        notebook.MIN_SECONDS_BETWEEN, notebook.MAX_TIME_SHARE = 0.0, 1.0
        progress_reporter.REPORT_SECONDS = 0.0
    home, name = points(executor)[point]
    inner, crossed = getattr(home, name), Counter[str]()

    def killing(*args: Any, **options: Any) -> Any:
        crossed[point] += 1
        if crossed[point] >= crossing and when == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if crossed[point] == crossing and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = inner(*args, **options)
        if crossed[point] == crossing:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(home, name, killing)


def live(
    results: str,
    document: dict[str, Any],
    executor: str = "inline",
    workers: int | None = None,
    kill: tuple[str, str, int] | None = None,
    environment: dict[str, str] | None = None,
    limit: int | None = None,
) -> None:
    """Run a driver in this process.

    ``kill``: function, ``before`` or ``after``, and the number of the call (``full``: from then on
    nothing can be written). ``limit``: largest size of a file in bytes, as on a full disk.
    """
    import resource

    from scalesearch.config.reading import experiment_from_document
    from scalesearch.errors import SearchError
    from scalesearch.search import driver

    os.environ.update(environment or {})
    if kill is not None:
        _arm(executor, *kill)
    if limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        driver.run_search(
            experiment_from_document(document), results, executor=executor, workers=workers
        )
    except SearchError as error:
        print("refused:", error, file=sys.stderr)
        sys.exit(REFUSED)


def _prepare() -> None:
    """Import what drivers need, and replace training by the fake trainer."""
    import fault_trainer

    from scalesearch.search import candidate_source, driver
    from scalesearch.search import samplers as proposals
    from scalesearch.search import tuner as engine
    from scalesearch.search import worker as advance
    from scalesearch.search.worker_pool import ExecutorPool

    warnings.simplefilter("ignore")
    told = advance.environment_info("cpu")
    driver.run_job = fault_trainer.advance
    driver.inspect_worker = partial(_surveyed, told)
    driver.find_micro_batch = _fitting
    ExecutorPool.call = lambda crew, function, *args: function(*args)  # no worker imports torch
    candidate_source.search_space = cache(candidate_source.search_space)
    proposals.STARTUP_TRIALS = 4
    engine.POLL_SECONDS = 0.2
    from scalesearch.config.reading import experiment_from_document

    for sampler in ("lattice", "gp"):
        experiment = experiment_from_document(document(sampler))
        candidate_source.CandidateSource.from_experiment(experiment, fault_trainer.DATA)
        if experiment.search.proposal_count:
            proposals.proposal(experiment.search, 0, 0, ())


def _surveyed(told: dict[str, Any], *_: object) -> Any:
    import fault_trainer

    from scalesearch.search.worker import WorkerInfo

    return WorkerInfo("cpu", told, fault_trainer.DATA)


def _fitting(*_: object) -> None:
    return None


def _fork(life: dict[str, Any]) -> int:
    if process := os.fork():
        return process
    status = 1
    try:
        Path(life["results"]).parent.mkdir(parents=True, exist_ok=True)
        told = os.open(
            life.pop("log", f"{life['results']}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND
        )
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, file in enumerate((nothing, told, told)):
            os.dup2(file, number)
        live(**life)
        status = FINISHED
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _prepare()
    for line in sys.stdin:
        asked = json.loads(line)
        if "life" in asked:
            told = _fork(asked["life"])
        elif "ask" in asked:
            process, status = os.waitpid(asked["ask"], os.WNOHANG)
            told = os.waitstatus_to_exitcode(status) if process else ALIVE
        else:
            told = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
        print(told, file=answers, flush=True)


if __name__ == "__main__":
    _main()
