"""A fake trainer that counts: each epoch that it trains is a line in a file.

That file is the state of a run and has two names: the checkpoint, which a search removes in the
end, and one in the folder ``trace``, which stays. A line is one write, which a kill does not tear.
Nothing that is slow to import is imported, as every worker process imports this module.
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


def chance(*what: object) -> float:
    """Return a number from 0 to 1 that depends on the arguments only, in every process."""
    digest = hashlib.blake2b(repr(what).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


def advance(job: Job) -> Outcome:
    """Run a job as the real worker does, in no time: locks, checkpoints, halts, divergence.

    Environment variables: ``EPOCH_SECONDS``, the duration of an epoch, and ``DEADLY``, the share
    of epochs before or after which the process kills itself once.
    """
    began = time.time()
    if job.sweep:
        return Outcome(key=job.key, tuning={"learning_rate": 0.1, "seconds": 1.0})
    with ExitStack() as runs:
        for seed in job.seeds:
            runs.enter_context(lock_checkpoint(job.checkpoint_path(seed), lambda: None))
        rows, failure = _trained(job)
    return Outcome(
        key=job.key,
        rows=tuple(rows),
        failure=failure,
        worker=str(os.getpid()),
        started_at=began,
        ended_at=time.time(),
    )


def _trained(job: Job) -> tuple[list[dict[str, object]], Failure | None]:
    rows = []
    files = {seed: _opened(job, seed) for seed in job.seeds}
    begun = {seed: path.read_text().count("\n") for seed, path in files.items()}
    for epoch in range(job.start + 1, job.stop + 1):
        for seed, path in files.items():
            if epoch > begun[seed]:
                if chance("diverges", job.candidate, seed, epoch) < 0.03:
                    return rows, Failure(kind="diverged", reason=f"seed {seed} epoch {epoch}")
                time.sleep(float(os.environ.get("EPOCH_SECONDS", 0)))
                _die_once(job, seed, epoch, "before")
                append(path, f"{job.candidate} {seed} {epoch} {os.getpid()}\n")
                _die_once(job, seed, epoch, "after")
            rows.append(row(job.candidate, seed, epoch))
        if job.halt is not None and job.halt.exists():
            break
    return rows, None


def append(path: Path, line: str) -> None:
    """Append a line: from here on the epoch is trained."""
    with path.open("ab", buffering=0) as file:
        file.write(line.encode())


def _opened(job: Job, seed: int) -> Path:
    path = job.checkpoint_path(seed)
    if not path.exists():
        trace = path.parent.parent.parent / f"trace-{path.parent.parent.name}"
        trace.mkdir(exist_ok=True)
        own = trace / f"{path.stem}-{os.getpid()}-{time.monotonic_ns()}"
        own.touch()
        os.link(own, path)
    return path


def _die_once(job: Job, seed: int, epoch: int, when: str) -> None:
    deadly = float(os.environ.get("DEADLY", 0))
    if chance("dies", job.candidate, seed, epoch, when) < deadly:
        died = job.checkpoints.parent / "died"
        died.mkdir(exist_ok=True)
        try:
            (died / f"{job.candidate}-{seed}-{epoch}-{when}").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def row(candidate: str, seed: int, epoch: int) -> dict[str, object]:
    """Return the row of an epoch: the same for every worker and time."""
    quality = 0.5 + 0.3 * chance(candidate) + 0.02 * chance(candidate, seed)
    accuracy = quality * (1 - 0.5**epoch) + 0.01 * chance(candidate, seed, epoch)
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


def trained(results: Path) -> Counter[tuple[str, int, int]]:
    """Count how often each epoch of each run was trained to its end."""
    found: Counter[tuple[str, int, int]] = Counter()
    for path in (results.parent / f"trace-{results.name}").glob("*"):
        for line in path.read_text().splitlines():
            candidate, seed, epoch, _ = line.split()
            found[candidate, int(seed), int(epoch)] += 1
    return found
