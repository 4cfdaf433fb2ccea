"""Of the processes that torchrun starts, the first speaks for all."""

import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
"""Names the file in which torchrun looks for what a process died of."""


@contextmanager
def silence_other_ranks() -> Iterator[None]:
    """Within, only the first process writes to standard error; alone, a process is the first.

    What another one would have said when it ends with an error goes to torchrun, which names it in
    its report. A bug's traceback is everybody's.
    """
    if _rank() == 0:
        yield
        return
    stderr_text = io.StringIO()
    try:
        with redirect_stderr(stderr_text):
            yield
    except SystemExit as system_exit:
        if system_exit.code and (path := os.environ.get(ERROR_FILE)):
            report = {"message": stderr_text.getvalue(), "timestamp": int(time.time())}
            Path(path).write_text(json.dumps(report), encoding="utf-8")
        raise


def _rank() -> int:
    if "RANK" not in os.environ:
        return 0  # without loading torch
    from scalesearch.training.distributed import TORCHRUN_VARIABLES

    is_started_by_torchrun = all(name in os.environ for name in TORCHRUN_VARIABLES)
    return int(os.environ["RANK"]) if is_started_by_torchrun else 0
