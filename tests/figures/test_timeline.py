import itertools
import random

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.figures.timeline import timeline, timeline_figure

START = 1_800_000_000.0


def job(worker, began, ended, candidate="54f15e9d", stop=1, start=0, failure=""):
    return {
        "candidate": candidate, "start": start, "stop": stop, "worker": worker,
        "began": START + began, "ended": START + ended, "failure": failure,
    }  # fmt: skip


LOST = {**job("", 0, 0, failure="worker_lost"), "began": 0.0, "ended": 0.0}


def drawn(*jobs):
    return timeline(pd.DataFrame(jobs))


def table(workers, count, seed=0):
    """What so many workers did, one job after the other, in three rungs."""
    chance = random.Random(seed)
    free, rows = [0.0] * workers, []
    for number in range(count):
        worker = free.index(min(free))
        lasts = chance.uniform(20, 60)
        began, free[worker] = free[worker], free[worker] + lasts + 1
        name, failure = f"node{worker // 8}:{4700 + worker}", chance.choice([""] * 9 + ["diverged"])
        stop = (1, 3, 9)[3 * number // count]
        rows.append(job(name, began, began + lasts, f"{number:08x}", stop, failure=failure))
    return pd.DataFrame(rows)


def test_every_worker_has_a_lane_and_time_begins_with_the_first_job():
    data = drawn(job("n:2", 30, 50), job("n:10", 10, 20), job("n:2", 10, 30, stop=3))
    assert data.lanes == ("process 2", "process 10")
    assert [(bar.lane, bar.began, bar.ended, bar.rung) for bar in data.bars] == [
        (1, 0, 10, 1),
        (0, 0, 20, 3),
        (0, 20, 40, 1),
    ]
    assert data.seconds == 40
    assert data.busy_fraction == (10 + 20 + 20) / (2 * 40)


def test_a_process_that_replaces_a_dead_one_takes_over_its_lane():
    data = drawn(job("n:1", 0, 10), job("n:2", 0, 40), job("n:3", 12, 40))
    assert data.lanes == ("2 processes", "process 2")
    assert [bar.lane for bar in data.bars] == [0, 1, 0]
    beside = drawn(job("n:1", 0, 10), job("n:2", 12, 40), job("m:1", 0, 40))
    assert beside.lanes == ("m:1", "n (2 processes)")


def test_a_process_of_another_machine_has_a_lane_of_its_own():
    assert drawn(job("a:1", 0, 10), job("b:1", 12, 40)).lanes == ("a:1", "b:1")


def test_a_worker_with_two_jobs_at_once_has_two_lanes():
    data = drawn(job("n:1", 0, 10), job("n:1", 5, 20), job("n:1", 10, 30))
    assert data.lanes == ("process 1", "process 1")
    assert [bar.lane for bar in data.bars] == [0, 1, 0]


@pytest.mark.parametrize("seed", range(20))
def test_no_two_jobs_of_a_lane_overlap_and_no_lane_is_too_many(seed):
    chance = random.Random(seed)
    rows = []
    for _ in range(60):
        began = chance.uniform(0, 100)
        rows.append(job(f"n:{chance.randrange(9)}", began, began + chance.uniform(0, 9)))
    data = drawn(*rows)
    for lane in range(len(data.lanes)):
        bars = sorted((bar.began, bar.ended) for bar in data.bars if bar.lane == lane)
        assert all(one[1] <= other[0] + 0.01 for one, other in itertools.pairwise(bars))
    assert {bar.lane for bar in data.bars} == set(range(len(data.lanes)))


def test_times_that_were_rounded_do_not_overlap():
    assert len(drawn(job("n:1", 0, 10.001), job("n:1", 10, 20)).lanes) == 1


def test_what_was_lost_with_its_worker_has_no_bar_but_is_counted():
    data = drawn(job("n:1", 0, 10), LOST, LOST)
    assert len(data.bars) == 1
    assert data.untimed_failures == {"worker_lost": 2}
    legend = timeline_figure(data).axes[0].get_legend()
    assert "worker lost (2), no time" in [text.get_text() for text in legend.get_texts()]


def test_colours_tell_rungs_and_crosses_tell_failures():
    jobs = (job("n:1", 0, 10), job("n:1", 10, 30, stop=3, failure="out_of_memory"))
    (axes,) = timeline_figure(drawn(*jobs, job("n:1", 30, 40, stop=0))).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["to epoch 1", "to epoch 3", "learning rate", "out of memory (1)"]
    faces = [patch.get_facecolor() for patch in axes.patches]
    assert len(set(faces)) == 3
    (crosses,) = axes.lines
    assert crosses.get_xdata() == [20]
    assert crosses.get_ydata() == [0]


@pytest.mark.parametrize(
    ("seconds", "unit", "end"),
    [(100, "seconds", 100), (600, "minutes", 10), (36000, "hours", 10), (864000, "days", 10)],
)
def test_time_has_a_suitable_unit(seconds, unit, end):
    (axes,) = timeline_figure(drawn(job("n:1", 0, seconds))).axes
    assert axes.get_xlabel() == f"{unit} since the first job"
    assert axes.get_xlim() == (0, end)


@pytest.mark.parametrize("workers", [1, 2, 16, pytest.param(64, marks=pytest.mark.slow)])
def test_names_of_candidates_and_workers_do_not_collide(workers):
    drawing = timeline_figure(timeline(table(workers, 12 * workers)))
    FigureCanvasAgg(drawing).draw()
    (axes,) = drawing.axes
    for texts in (axes.texts, [label for label in axes.get_yticklabels() if label.get_text()]):
        boxes = [text.get_window_extent() for text in texts]
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert len(axes.patches) == 12 * workers
    assert axes.get_title(loc="left").startswith(f"{workers} worker")


def test_of_many_rungs_the_legend_names_some_from_the_first_to_the_last():
    data = drawn(*(job("n:1", epoch, epoch + 1, stop=epoch) for epoch in range(1, 51)))
    labels = [text.get_text() for text in timeline_figure(data).axes[0].get_legend().get_texts()]
    assert len(labels) == 8
    assert (labels[0], labels[-1]) == ("to epoch 1", "to epoch 50")


def test_a_table_read_from_a_file_is_drawn_alike(tmp_path):
    rows = pd.DataFrame([job("n:1", 0, 10), job("n:2", 0, 20, failure="diverged"), LOST])
    rows.to_csv(tmp_path / "jobs.csv", index=False)
    assert timeline(pd.read_csv(tmp_path / "jobs.csv", dtype={"candidate": str})) == timeline(rows)


def test_a_job_of_no_length_can_be_drawn():
    data = drawn(job("n:1", 0, 0))
    assert (data.seconds, data.busy_fraction) == (0, 1)
    FigureCanvasAgg(timeline_figure(data)).draw()


def test_nothing_to_draw_is_refused():
    with refused(SearchError):
        drawn(LOST)
    with refused(SearchError):
        timeline(pd.DataFrame({"candidate": [], "start": [], "stop": [], "ended": []}))


def test_a_bar_too_narrow_for_it_has_no_name():
    jobs = [job("n:1", 0, 96, "aaaa0000"), job("n:1", 96, 99, "bbbb0000"), job("n:2", 0, 100)]
    (axes,) = timeline_figure(drawn(*jobs)).axes
    assert [text.get_text() for text in axes.texts] == ["aaaa", "54f1"]
