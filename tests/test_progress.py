"""What a person sees fits a terminal, and plain output stays plain."""

import io

import pytest
from rich.console import Console

from scalesearch import progress
from scalesearch.scaling import Shares
from scalesearch.search import Progress
from scalesearch.training import Epoch

NOW = Progress(
    trial=3,
    seed=0,
    epoch=Epoch(2, 1.0, 1.0, 0.5, 3.0, 1240.4),
    epochs_done=7,
    epochs_total=60,
    failed=1,
    best=(Shares(0.25, 0.5, 0.25), 0.683),
    seconds_left=761.0,
)


def test_a_line_tells_time_left_best_pace_and_failures():
    assert progress.line(NOW) == (
        "12:41 left   best so far 0.683 at depth 0.25 width 0.50 resolution 0.25   "
        "1,240 img/s   1 failed"
    )


def test_off_a_terminal_there_are_plain_lines_and_not_too_many(capsys):
    with progress.shown() as on_epoch:
        for _ in range(5):
            on_epoch(NOW)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [f"7/60 epochs   {progress.line(NOW)}"]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_on_a_terminal_nothing_is_cut_off(monkeypatch, columns):
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=columns, highlight=False)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    with progress.shown() as on_epoch:
        on_epoch(NOW)
    shown = file.getvalue()
    assert "7/60 epochs" in shown
    assert "1 failed" in shown
    assert "…" not in shown
