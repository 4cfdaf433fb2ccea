"""Progress survives its file, and a file that is torn is no progress."""

import pytest

from scalesearch.scaling.coefficients import Shares
from scalesearch.search.progress import (
    BestTrial,
    JobProgress,
    Progress,
    RungProgress,
    progress_at,
    read_progress,
    write_progress,
)

BEST = BestTrial(Shares(0.25, 0.5, 0.25), 0.683, 0.675, 0.691, seeds=3, epoch=9)
NOW = Progress(
    name="x", epochs_done=7, epochs_total=60,
    rungs=(RungProgress(1, 20, 20), RungProgress(3, 5, 7)),
    running=(JobProgress("job", "w", 3.5, 2, 0.5, 310.0), JobProgress("b", "", 0.0, doing="waits")),
    best=BEST, images_per_second=1240.4, seconds_left=761.0, stopped=13,
    failures={"diverged": 1}, at=1000.0,
)  # fmt: skip


@pytest.mark.parametrize("progress", [NOW, Progress("x", 0, 0, finished=True, ended="no time")])
def test_progress_is_read_as_it_was_written(tmp_path, progress):
    write_progress(tmp_path / "progress.json", progress)
    assert read_progress(tmp_path / "progress.json") == progress


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.9])
def test_a_torn_progress_file_is_ignored(tmp_path, fraction):
    path = tmp_path / "progress.json"
    write_progress(path, NOW)
    text = path.read_text()
    path.write_text(text[: int(fraction * len(text))])
    assert read_progress(path) is None


@pytest.mark.parametrize(
    "text", ["3", "null", "[]", "{}", '{"name": "x"}', '{"best": 3, "rungs": [], "running": []}']
)
def test_another_document_is_no_progress(tmp_path, text):
    (tmp_path / "progress.json").write_text(text)
    assert read_progress(tmp_path / "progress.json") is None
    assert read_progress(tmp_path / "missing.json") is None


def test_progress_at_a_later_time_has_older_jobs_and_less_time_left():
    later_progress = progress_at(NOW, 1060.0)
    assert [job.seconds for job in later_progress.running] == [63.5, 60.0]
    assert later_progress.seconds_left == 701.0
    assert progress_at(NOW, 9000.0).seconds_left == 0.0
    assert progress_at(progress_at(NOW, 1030.0), 1060.0) == later_progress


def test_a_clock_set_back_changes_no_progress():
    assert progress_at(NOW, 900.0) == NOW
