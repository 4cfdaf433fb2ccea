"""Actions of fake jobs, good and bad; worker processes import this module by name.

The candidate of a job names its action, and actions write files to its ``checkpoints`` folder.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.config.experiment import DataSpec
from scalesearch.config.recipe import Recipe
from scalesearch.errors import DataError
from scalesearch.search.jobs import Job, Outcome

NETWORK = efficientnet_b0(width=0.25, resolution=32)


class Odd(BaseException):
    """An exception that is no ``Exception`` and cannot be unpickled."""

    def __init__(self, first, second):
        super().__init__(first)


class Unreadable:
    def __reduce__(self):
        return refuse, ()


def refuse():
    raise RuntimeError("read by nobody")


def make_job(action, seed=0, folder=Path("nowhere"), stop=1, attempt=0):
    return Job(
        trial=0,
        candidate=action,
        seeds=(seed,),
        start=0,
        stop=stop,
        architecture=NETWORK,
        recipe=Recipe(),
        data=DataSpec(source="digits"),
        fingerprints=("none",),
        device="cpu",
        checkpoints=folder,
        attempt=attempt,
    )


def run_job(job):
    extra = ACTIONS[job.candidate](job) or {}
    row = {"seed": job.seeds[0], "epoch": job.stop, "process": os.getpid(), **extra}
    return Outcome(key=job.key, rows=(row,), worker=str(os.getpid()))


def read_settings(job):
    return {
        "cuda": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "from_the_start": Path("/proc/self/environ").read_bytes().decode().split("\0"),
        "score": int(Path("/proc/self/oom_score_adj").read_text()),
        "interrupt": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        "terminate": signal.getsignal(signal.SIGTERM) is signal.SIG_IGN,
    }


def wait_for_ever(job):
    """Wait for ever at the first attempt; return at the next one."""
    if job.attempt:
        return
    (job.checkpoints / f"begun-{job.seeds[0]}").write_text(str(os.getpid()))
    threading.Event().wait()


def wait_for_go(job):
    """Wait for the file ``go``."""
    (job.checkpoints / f"begun-{job.seeds[0]}").write_text(str(os.getpid()))
    while not (job.checkpoints / "go").exists():
        time.sleep(0.01)


def take_all_memory(job):
    memory = []
    while True:
        memory.append(bytearray(64 << 20))


def take_memory_by_torch(job):
    import torch

    memory = []
    while True:
        memory.append(torch.ones(16 << 20))


def fork_and_return(job):
    """Fork and return from both processes, of which only the parent may send an outcome."""
    if child := os.fork():
        return {"child": child}
    return None


def fork_and_outlive(job):
    """Kill this process and leave a child that keeps its open files."""
    if (child := os.fork()) == 0:
        while not (job.checkpoints / "go").exists():
            time.sleep(0.05)
        os._exit(0)
    (job.checkpoints / "child").write_text(str(child))
    os.kill(os.getpid(), signal.SIGKILL)


def print_garbage(job):
    print("\x1b[2Jgarbage on stdout")
    print("garbage on stderr", file=sys.stderr)
    os.write(1, b"\xff\xfe raw garbage\n")


def fail_in_c(job):
    ctypes.string_at(0)


def exit_with(status):
    return lambda job: os._exit(status)


def kill_itself(job):
    os.kill(os.getpid(), signal.SIGKILL)


def raise_odd_error(job):
    raise Odd(1, 2)


def exit_interpreter(job):
    sys.exit("enough")


def return_lambda(job):
    return {"loss": lambda: 0}


def return_unreadable(job):
    return {"loss": Unreadable()}


def write_process(job):
    """Append this process to a file, once for each call."""
    with (job.checkpoints / f"noted-{job.seeds[0]}").open("a") as file:
        file.write(f"{os.getpid()}\n")


def write_process_and_die(job):
    write_process(job)
    kill_itself(job)


def do_nothing(job):
    return None


ACTIONS = {
    "nothing": do_nothing,
    "note": write_process,
    "note, die": write_process_and_die,
    "settings": read_settings,
    "wait": wait_for_ever,
    "word": wait_for_go,
    "memory": take_all_memory,
    "torch memory": take_memory_by_torch,
    "fork": fork_and_return,
    "fork, outlive": fork_and_outlive,
    "garbage": print_garbage,
    "segfault": fail_in_c,
    "exit 0": exit_with(0),
    "exit 1": exit_with(1),
    "killed": kill_itself,
    "odd": raise_odd_error,
    "sys.exit": exit_interpreter,
    "unpicklable": return_lambda,
    "unreadable": return_unreadable,
}


def wrong_type(job):
    return {"accuracy": 1.0}


def another_key(job):
    return Outcome(key=("other", (0,), 0, 1, False))


def raise_data_error(message):
    raise DataError(message)
