import io
from dataclasses import replace

import pytest
from rich.console import Console

from scalesearch.reporting.terminal import display
from scalesearch.scaling.coefficients import Shares
from scalesearch.search.progress import BestTrial, JobProgress, Progress, RungProgress


@pytest.fixture
def now():
    """The progress of a running search, with changes on request."""

    def progress(jobs=2, **changed):
        running = tuple(
            JobProgress(
                f"{index:08x} seed {index % 3} epochs 4-9", f"tcp://10.0.0.{index}:40123",
                seconds=7300.0 - index, epoch=4, accuracy=0.5, images_per_second=300.0,
            )
            for index in range(jobs)
        )  # fmt: skip
        whole = Progress(
            name="quickstart", epochs_done=37, epochs_total=120,
            rungs=(RungProgress(1, 20, 20), RungProgress(3, 5, 7), RungProgress(9, 0, 3)),
            running=running,
            best=BestTrial(Shares(0.25, 0.5, 0.25), 0.683, 0.675, 0.691, seeds=3, epoch=9),
            images_per_second=1240.4, seconds_left=761.0, stopped=13,
            failures={"out_of_memory": 2, "diverged": 1, "timeout": 0},
        )  # fmt: skip
        return replace(whole, **changed)

    return progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that only advances when a test says so."""
    present = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: present[0])

    def passes(seconds):
        present[0] += seconds

    return passes


@pytest.fixture
def screen(monkeypatch):
    """Make standard error a terminal of some size; return what is written to it."""

    def opened(width=80, height=24):
        file = io.StringIO()
        console = Console(
            file=file, force_terminal=True, width=width, height=height, highlight=False
        )
        monkeypatch.setattr(display, "Console", lambda **_: console)
        return file

    return opened
