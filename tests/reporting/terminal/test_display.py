"""The progress of a run fits a terminal, and plain output has no control codes."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from scalesearch.reporting.terminal import display
from scalesearch.reporting.terminal.display import show_images, show_run
from scalesearch.results.run_folder import Epoch

EPOCH = Epoch(
    index=2, train_loss=1.5, loss=1.25, accuracy=0.5, top5=0.9, seconds=3.0,
    images_per_second=1240.4, learning_rate=0.1, resolution=32, peak_bytes=0, utilisation=0.1,
)  # fmt: skip
BROUGHT = "loss 1.500   validation 1.250   accuracy 0.500   top-5 0.900   1,240 img/s"


def test_a_run_shows_each_epoch_and_the_remaining_time(capsys, monkeypatch):
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", 0)
    with show_run(5) as (on_epoch, _):
        for index in (1, 2, 5):
            on_epoch(0, replace(EPOCH, index=index))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        f"1/5 epochs   0:12 left   {BROUGHT}",
        f"2/5 epochs   0:09 left   {BROUGHT}",
        f"5/5 epochs   0:00 left   {BROUGHT}",
    ]


def test_each_epoch_names_its_seed(capsys, monkeypatch):
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", 0)
    with show_run(2, seeds=2) as (on_epoch, _):
        for seed, index in ((4, 1), (5, 1), (4, 2), (5, 2)):
            on_epoch(seed, replace(EPOCH, index=index))
    assert capsys.readouterr().err.splitlines() == [
        f"1/4 epochs   0:09 left   seed 4   {BROUGHT}",
        f"2/4 epochs   0:06 left   seed 5   {BROUGHT}",
        f"3/4 epochs   0:03 left   seed 4   {BROUGHT}",
        f"4/4 epochs   0:00 left   seed 5   {BROUGHT}",
    ]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_run_on_a_terminal_is_not_cut_off(monkeypatch, columns):
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=columns, highlight=False)
    monkeypatch.setattr(display, "Console", lambda **_: console)
    with show_run(5) as (on_epoch, _):
        assert not file.getvalue()  # other processes of torchrun have nothing to show
        on_epoch(0, EPOCH)
    shown = " ".join(file.getvalue().split())  # a narrow terminal breaks the line
    assert "2/5 epochs" in shown
    assert "1,240 img/s" in shown
    assert "…" not in shown


def test_fast_images_are_not_shown(capsys, clock):
    with show_images() as on_data:
        for _ in range(3):  # a search loads the images of several seeds
            for done in range(1, 10):
                on_data(done, 9)
                clock(0.1)
            clock(60)
    assert capsys.readouterr().err == ""


def test_slow_images_are_a_line_every_ten_seconds(capsys, clock):
    with show_images() as on_data:
        for done in range(101):
            on_data(done, 100)
            clock(0.25)
    assert capsys.readouterr().err.splitlines() == [
        "getting images   4%",
        "getting images   44%",
        "getting images   84%",
    ]


def test_many_fast_files_in_a_row_are_shown(capsys, clock):
    with show_images() as on_data:
        for _ in range(4):
            on_data(1, 2)
            clock(0.4)
            on_data(2, 2)
    assert capsys.readouterr().err.splitlines() == ["getting images   50%"]


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("done", [90, 200])
def test_on_a_terminal_images_have_a_bar_until_they_are_loaded(monkeypatch, clock, columns, done):
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=columns, highlight=False)
    monkeypatch.setattr(display, "Console", lambda **_: console)
    with show_run(5) as (on_epoch, on_data):
        on_data(1, 200)
        clock(2)
        assert not file.getvalue()
        on_data(done, 200)
        on_epoch(0, EPOCH)
    shown = file.getvalue()
    assert ("45%   getting images" in shown) is (done == 90)
    assert ("getting images" in shown) is (done == 90)
    assert "2/5 epochs" in shown
    assert "…" not in shown
