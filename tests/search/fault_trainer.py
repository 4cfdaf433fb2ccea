"""A fake trainer that writes a line to a file for each epoch.

The file has two names: the checkpoint, which the search removes at its end, and one in the folder
``trace``, which is kept. Each line is written at once, so a kill cannot leave half of it. Every
worker process imports this module, so it imports nothing slow.
"""

import hashlib
import os
import signal
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from scalesearch.locks import lock_checkpoint
from scalesearch.search.jobs import Failure, Job, Outcome

PIXELS = {"channels": 1, "classes": list("0123456789"), "pixels": 12, "train": 60}
DATA = {**PIXELS, "validation": 40, "fingerprints": {str(n): f"images {n}" for n in range(9)}}


def random_number(*arguments: object) -> float:
    """Return a number from 0 to 1 that depends on the arguments only, in every process."""
    digest = hashlib.blake2b(repr(arguments).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


def run_job(job: Job) -> Outcome:
    """Run a job as the real worker does, in no time: locks, checkpoints, halts, divergence.

    Environment variables: ``EPOCH_SECONDS``, the duration of an epoch, and ``DEADLY``, the share
    of epochs before or after which the process kills itself once.
    """
    started_at = time.time()
    if job.sweep:
        return Outcome(key=job.key, tuning={"learning_rate": 0.1, "seconds": 1.0})
    with ExitStack() as runs:
        for seed in job.seeds:
            runs.enter_context(lock_checkpoint(job.checkpoint_path(seed), lambda: None))
        rows, failure = _train(job)
    return Outcome(
        key=job.key,
        rows=tuple(rows),
        failure=failure,
        worker=str(os.getpid()),
        started_at=started_at,
        ended_at=time.time(),
    )


def _train(job: Job) -> tuple[list[dict[str, object]], Failure | None]:
    rows = []
    files = {seed: _open_trace(job, seed) for seed in job.seeds}
    epochs_done = {seed: path.read_text().count("\n") for seed, path in files.items()}
    for epoch in range(job.start + 1, job.stop + 1):
        for seed, path in files.items():
            if epoch > epochs_done[seed]:
                if random_number("diverges", job.candidate, seed, epoch) < 0.03:
                    return rows, Failure(kind="diverged", reason=f"seed {seed} epoch {epoch}")
                time.sleep(float(os.environ.get("EPOCH_SECONDS", 0)))
                _die_once(job, seed, epoch, "before")
                append_line(path, f"{job.candidate} {seed} {epoch} {os.getpid()}\n")
                _die_once(job, seed, epoch, "after")
            rows.append(epoch_row(job.candidate, seed, epoch))
        if job.halt is not None and job.halt.exists():
            break
    return rows, None


def append_line(path: Path, line: str) -> None:
    """Append a line, which makes the epoch count as trained."""
    with path.open("ab", buffering=0) as file:
        file.write(line.encode())


def _open_trace(job: Job, seed: int) -> Path:
    path = job.checkpoint_path(seed)
    if not path.exists():
        trace = path.parent.parent.parent / f"trace-{path.parent.parent.name}"
        trace.mkdir(exist_ok=True)
        trace_file = trace / f"{path.stem}-{os.getpid()}-{time.monotonic_ns()}"
        trace_file.touch()
        os.link(trace_file, path)
    return path


def _die_once(job: Job, seed: int, epoch: int, moment: str) -> None:
    deadly = float(os.environ.get("DEADLY", 0))
    if random_number("dies", job.candidate, seed, epoch, moment) < deadly:
        died = job.checkpoints.parent / "died"
        died.mkdir(exist_ok=True)
        try:
            (died / f"{job.candidate}-{seed}-{epoch}-{moment}").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def epoch_row(candidate: str, seed: int, epoch: int) -> dict[str, object]:
    """Return the row of an epoch, the same in every process."""
    quality = 0.5 + 0.3 * random_number(candidate) + 0.02 * random_number(candidate, seed)
    accuracy = quality * (1 - 0.5**epoch) + 0.01 * random_number(candidate, seed, epoch)
    return {
        "seed": seed,
        "epoch": epoch,
        "train_loss": 1 - accuracy,
        "loss": 1 - accuracy,
        "accuracy": accuracy,
        "top5": 1.0,
        "learning_rate": 0.1,
        "micro_batch": 30,
        "seconds": 1.5,
        "images_per_second": 40.0,
        "peak_bytes": 1,
        "utilisation": 0.5,
        "device": "cpu",
        "commit": "0123456789ab",
    }


def count_trained_epochs(results_folder: Path) -> Counter[tuple[str, int, int]]:
    """Count how often each epoch of each run was trained to its end."""
    counts: Counter[tuple[str, int, int]] = Counter()
    for path in (results_folder.parent / f"trace-{results_folder.name}").glob("*"):
        for line in path.read_text().splitlines():
            candidate, seed, epoch, _ = line.split()
            counts[candidate, int(seed), int(epoch)] += 1
    return counts
