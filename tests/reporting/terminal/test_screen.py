"""The live display fits a terminal of any size."""

import io

import pytest
from rich.console import Console

from scalesearch.reporting.terminal.screen import search_panel
from scalesearch.search.progress import BestTrial, JobProgress, RungProgress

BARS = str.maketrans("", "", "━╸╺")


def drawn(now, width=80, height=24, images=None):
    console = Console(file=io.StringIO(), width=width, height=height, highlight=False)
    console.print(search_panel(now, width, height, images))
    return [line.rstrip() for line in console.file.getvalue().rstrip("\n").split("\n")]


def words(lines):
    return " ".join(" ".join(lines).split())


def test_the_panel_shows_everything(now):
    lines = [line.translate(BARS) for line in drawn(now(), width=100)]
    assert [" ".join(line.split()) for line in lines] == [
        "quickstart 12:41 left 1,240 img/s 2 running",
        "epochs 37/120",
        "to epoch 1 20/20 candidates",
        "to epoch 3 5/7",
        "to epoch 9 0/3",
        "best so far 0.683 [0.675, 0.691] depth 0.25 width 0.50 resolution 0.25 3 seeds, epoch 9",
        "13 stopped 3 failed: 1 diverged, 2 out of memory",
        "worker job time so far img/s",
        "10.0.0.0:40123 00000000 seed 0 epochs 4-9 2:01:40 epoch 4: 0.500 300",
        "10.0.0.1:40123 00000001 seed 1 epochs 4-9 2:01:39 epoch 4: 0.500 300",
    ]


@pytest.mark.parametrize("jobs", [0, 1, 13, 14, 15, 64, 1000])
@pytest.mark.parametrize("rungs", [1, 3, 50])
@pytest.mark.parametrize(("width", "height"), [(60, 14), (60, 24), (80, 24), (120, 50)])
@pytest.mark.parametrize("images", [None, 0.34])
def test_every_line_fits_and_all_jobs_are_counted(now, jobs, rungs, width, height, images):
    steps = tuple(RungProgress(epoch, 0, 9) for epoch in range(1, rungs + 1))
    lines = drawn(now(jobs, rungs=steps), width, height, images)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines[:8])
    shown = sum(" seed " in line for line in lines)
    if shown < jobs and height > 14:
        assert lines[-1] == f"... and {jobs - shown} more"
        assert shown >= 3
    assert (f" {jobs} running" in lines[0]) is (jobs > 0)


@pytest.mark.parametrize("width", [60, 80])
def test_on_a_narrow_terminal_jobs_keep_their_names_and_what_they_do(now, width):
    job = JobProgress(
        "54f15e9d seeds 0, 1, 2 epoch 9", "x" * 40 + ":4711", 100.0, doing="images 34%"
    )
    line = drawn(now(running=(job,)), width)[-1]
    assert job.job in line
    assert "1:40" in line
    assert "images 34%" in line
    assert (":4711" in line) is (width == 80)


def test_the_jobs_that_have_run_for_longest_come_first(now):
    jobs = tuple(JobProgress(f"job {n}", "w", seconds) for n, seconds in enumerate((5, 900, 40)))
    assert [line.split()[2] for line in drawn(now(running=jobs))[-3:]] == ["1", "2", "0"]


@pytest.mark.parametrize("full", [0, 3, 6, 11, 12])
def test_of_many_rungs_the_open_ones_are_shown(now, full):
    steps = tuple(RungProgress(epoch, 9 if epoch <= full else 0, 9) for epoch in range(1, 13))
    lines = drawn(now(rungs=steps))
    assert sum("to epoch" in line for line in lines) == 6
    assert any(f"to epoch {min(full + 1, 12)} " in line for line in lines) or full == 12


def test_a_candidate_of_one_seed_has_no_interval(now):
    best = BestTrial(now().best.shares, 0.683, None, None, seeds=1, epoch=1)
    assert "best so far 0.683 depth" in words(drawn(now(best=best)))
    assert "1 seed, epoch 1" in words(drawn(now(best=best)))


def test_an_empty_search_shows_no_values(now):
    unknown = {"best": None, "seconds_left": None, "images_per_second": 0.0}
    lines = drawn(now(0, rungs=(), failures={}, stopped=0, **unknown))
    assert lines[0] == "quickstart"
    assert lines[-1] == "0 stopped   0 failed"
    assert "best" not in words(lines)


def test_a_search_that_has_ended_says_why(now):
    assert drawn(now(0, finished=True, images_per_second=0.0))[0] == "quickstart   ended"
    ended = now(0, finished=True, images_per_second=0.0, ended="the answer is settled")
    assert drawn(ended)[0] == "quickstart   ended: the answer is settled"


def test_names_with_brackets_are_not_markup(now):
    lines = drawn(now(1, name="a[red]b", running=(JobProgress("[bold]", "[w]", 1.0),)))
    assert "a[red]b" in lines[0]
    assert "[w]" in lines[-1]
    assert "[bold]" in lines[-1]


def test_slow_images_have_a_bar(now):
    assert any(line.startswith("images") and "34%" in line for line in drawn(now(), images=0.34))
