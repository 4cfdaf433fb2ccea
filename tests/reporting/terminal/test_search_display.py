"""A search has a live display on a terminal, and few plain lines elsewhere."""

import time
from dataclasses import replace

import pytest

from scalesearch.reporting.terminal.search_display import search_line, show_search
from scalesearch.search import heartbeats as newspaper
from scalesearch.search.heartbeats import write_heartbeat
from scalesearch.search.progress import JobProgress, RungProgress

LINE = (
    "37/120 epochs   12:41 left   epoch 3: 5/7   best so far 0.683 [0.675, 0.691]   "
    "depth 0.25 width 0.50 resolution 0.25   3 seeds, epoch 9   1,240 img/s   2 running   "
    "13 stopped   3 failed: 1 diverged, 2 out of memory"
)


def test_a_line_shows_the_progress_of_a_search(now):
    assert search_line(now()) == LINE


def test_the_last_line_has_no_speed(now):
    over = {"finished": True, "ended": "no time left", "images_per_second": 0.0}
    line = search_line(now(0, best=None, rungs=(), **over))
    assert line == (
        "37/120 epochs   ended: no time left   13 stopped   3 failed: 1 diverged, 2 out of memory"
    )


def test_without_a_terminal_there_is_a_line_every_ten_seconds(now, clock, capsys):
    steps = [now(rungs=(), epochs_done=epoch) for epoch in range(100)]
    with show_search() as (on_progress, _):
        for step in steps:
            on_progress(step)
            clock(0.5)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [search_line(step) for step in steps[::20]]


def test_there_is_no_line_if_only_time_has_passed(now, clock, capsys):
    with show_search() as (on_progress, _):
        for left in range(50):
            on_progress(now(rungs=(), seconds_left=left))
            clock(11)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_full_rung_is_printed_at_once_and_only_once(now, clock, capsys):
    with show_search() as (on_progress, _):
        for done in (0, 1, 2, 3, 3, 3):
            on_progress(now(rungs=(RungProgress(1, done, 3), RungProgress(3, 0, 0))))
    first, full = capsys.readouterr().err.splitlines()
    assert first.startswith("37/120 epochs")
    assert full.startswith("epoch 1: all 3 there   37/120 epochs")


def test_the_end_is_printed_at_once_and_only_once(now, clock, capsys):
    with show_search() as (on_progress, _):
        on_progress(now(rungs=()))
        for _ in range(3):
            on_progress(now(rungs=(), finished=True))
    assert "ended" in capsys.readouterr().err.splitlines()[1]


def test_slow_images_are_printed(now, clock, capsys):
    with show_search() as (_, on_data):
        for done in range(101):
            on_data(done, 100)
            clock(0.25)
    assert capsys.readouterr().err.splitlines()[0] == "getting images   4%"


def test_the_live_display_is_removed_at_the_end(now, screen):
    file = screen()
    with show_search() as (on_progress, _):
        assert not file.getvalue()
        on_progress(now())
        shown = file.getvalue()
    assert "quickstart" in shown
    assert "20/20 candidates" in shown
    assert file.getvalue().rstrip("\n").endswith("\x1b[2K")  # the lines are cleared


def test_the_live_display_shows_images_before_the_search(now, screen, clock):
    file = screen()
    with show_search() as (on_progress, on_data):
        on_data(1, 200)
        clock(2)
        assert not file.getvalue()
        on_data(90, 200)
        assert "45%   getting images" in file.getvalue()
        on_progress(now())
    assert "20/20 candidates" in file.getvalue()


@pytest.fixture
def noon(monkeypatch):
    """Unix seconds of a moment that does not pass."""
    now = time.time()
    monkeypatch.setattr(newspaper.time, "time", lambda: now)
    return now


def test_heartbeats_are_shown_while_the_driver_waits(now, screen, tmp_path, noon):
    file = screen(width=120)
    write_heartbeat(tmp_path, "node7:4711", "one", 2, 0.612, 310.0, started_at=noon - 70)
    with show_search(tmp_path) as (on_progress, _):
        on_progress(now(running=(JobProgress("one", "", 75.0),)))
    shown = " ".join(file.getvalue().split())
    assert "node7:4711 one 1:10 epoch 2: 0.612 310" in shown
    assert "310 img/s" in shown


def test_times_advance_while_the_driver_waits(now, screen, noon):
    file = screen(width=120)
    told = now(1, at=noon - 61, seconds_left=100.0)
    told = replace(told, running=(replace(told.running[0], seconds=30.0),))
    with show_search() as (on_progress, _):
        on_progress(told)
    assert "0:39 left" in file.getvalue()
    assert "1:31" in file.getvalue()
