"""Runs of a search's driver, each in its own process that may be killed at any transition.

As a program: read each run as a line of JSON, fork for it (so imports happen once), and print its
process id or exit status.
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
    settings = {"sampler": sampler, "seeds": 3, "cohort": 3, **SEARCHES[sampler]}
    references = {"references": ["depth", "width", "uniform"]}
    failures = {"worker_lost": {"retries": 99}}
    return {**DOCUMENT, "search": {**settings, **references, "failures": failures, **search}}


class DriverRunner:
    """A process that runs drivers; a context manager."""

    def __enter__(self) -> "DriverRunner":
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

    def run_driver(self, **options: Any) -> int:
        """Run a driver to its end; return its status, negative for a signal."""
        return self.wait(self.start(**options))

    def start(self, **options: Any) -> int:
        """Start a driver; return its process id."""
        return self._request(
            {"start": {**options, "results_folder": str(options["results_folder"])}}
        )

    def wait(self, process: int) -> int:
        """Wait for a driver to end; return its status."""
        return self._request({"wait": process})

    def poll(self, process: int) -> int | None:
        """Return the status of a driver; None while it runs."""
        status = self._request({"poll": process})
        return None if status == ALIVE else status

    def _request(self, message: dict[str, Any]) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def kill_points(executor: str) -> dict[str, tuple[Any, str]]:
    """Functions before or after which a driver can be killed."""
    import fault_trainer
    from optuna.storages import RDBStorage

    from scalesearch.search import candidate_source as source
    from scalesearch.search import driver, tuner
    from scalesearch.search import results_writer as notebook
    from scalesearch.search.jobs import SearchContext
    from scalesearch.search.pools.opening import InlinePool
    from scalesearch.search.worker_pool import ExecutorPool

    pool_type = InlinePool if executor == "inline" else ExecutorPool
    return {
        "claim": (driver, "claim_folder"),
        "ask": (source, "proposal"),
        "enter": (tuner, "add_trial"),
        "submit": (pool_type, "submit"),
        "epoch": (fault_trainer, "append_line"),
        "outcome": (pool_type, "collect"),
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


def _kill_at(executor: str, point: str, moment: str, call_number: int) -> None:
    from scalesearch.search import progress_reporter
    from scalesearch.search import results_writer as notebook

    if point in ("records", "progress"):  # as often as possible
        notebook.MIN_SECONDS_BETWEEN, notebook.MAX_TIME_SHARE = 0.0, 1.0
        progress_reporter.REPORT_SECONDS = 0.0
    owner, name = kill_points(executor)[point]
    original, call_counts = getattr(owner, name), Counter[str]()

    def call_or_die(*args: Any, **options: Any) -> Any:
        call_counts[point] += 1
        if call_counts[point] >= call_number and moment == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if call_counts[point] == call_number and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **options)
        if call_counts[point] == call_number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, call_or_die)


def run_driver(
    results_folder: str,
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
        _kill_at(executor, *kill)
    if limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        driver.run_search(
            experiment_from_document(document), results_folder, executor=executor, workers=workers
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
    environment = advance.environment_info("cpu")
    driver.run_job = fault_trainer.run_job
    driver.inspect_worker = partial(_worker_info, environment)
    driver.find_micro_batch = _no_micro_batch
    ExecutorPool.call = lambda pool, function, *args: function(*args)  # no worker imports torch
    candidate_source.search_space = cache(candidate_source.search_space)
    proposals.STARTUP_TRIALS = 4
    engine.POLL_SECONDS = 0.2
    from scalesearch.config.reading import experiment_from_document

    for sampler in ("lattice", "gp"):
        experiment = experiment_from_document(document(sampler))
        candidate_source.CandidateSource.from_experiment(experiment, fault_trainer.DATA)
        if experiment.search.proposal_count:
            proposals.proposal(experiment.search, 0, 0, ())


def _worker_info(environment: dict[str, Any], *_: object) -> Any:
    import fault_trainer

    from scalesearch.search.worker import WorkerInfo

    return WorkerInfo("cpu", environment, fault_trainer.DATA)


def _no_micro_batch(*_: object) -> None:
    return None


def _fork(options: dict[str, Any]) -> int:
    if process := os.fork():
        return process
    status = 1
    try:
        Path(options["results_folder"]).parent.mkdir(parents=True, exist_ok=True)
        log = os.open(
            options.pop("log", f"{options['results_folder']}.log"),
            os.O_WRONLY | os.O_CREAT | os.O_APPEND,
        )
        no_input = os.open(os.devnull, os.O_RDONLY)
        for number, file in enumerate((no_input, log, log)):
            os.dup2(file, number)
        run_driver(**options)
        status = FINISHED
    except SystemExit as exit_error:
        status = int(exit_error.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _main() -> None:
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _prepare()
    for line in sys.stdin:
        message = json.loads(line)
        if "start" in message:
            reply = _fork(message["start"])
        elif "poll" in message:
            process, status = os.waitpid(message["poll"], os.WNOHANG)
            reply = os.waitstatus_to_exitcode(status) if process else ALIVE
        else:
            reply = os.waitstatus_to_exitcode(os.waitpid(message["wait"], 0)[1])
        print(reply, file=output, flush=True)


if __name__ == "__main__":
    _main()
