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
def first_speaks() -> Iterator[None]:
    """Within, only the first process writes to standard error; alone, a process is the first.

    What another one would have said when it ends with an error goes to torchrun, which names it in
    its report. A bug's traceback is everybody's.
    """
    if _rank() == 0:
        yield
        return
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            yield
    except SystemExit as end:
        if end.code and (path := os.environ.get(ERROR_FILE)):
            report = {"message": said.getvalue(), "timestamp": int(time.time())}
            Path(path).write_text(json.dumps(report), encoding="utf-8")
        raise


def _rank() -> int:
    if "RANK" not in os.environ:
        return 0  # without loading torch
    from scalesearch.training.distributed import TOLD_BY_TORCHRUN

    started = all(name in os.environ for name in TOLD_BY_TORCHRUN)
    return int(os.environ["RANK"]) if started else 0
