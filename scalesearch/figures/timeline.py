"""Jobs of each worker over time."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from scalesearch.errors import SearchError
from scalesearch.figures.style import (
    ACCENT,
    COLOUR_MAP,
    DOUBLE_COLUMN,
    FAINT,
    INK,
    figure_style,
    new_figure,
)

COLUMNS = ("candidate", "start", "stop", "worker", "began", "ended", "failure")
CLOCK_TOLERANCE = 0.002
"""Seconds by which consecutive jobs may seem to overlap: tables are rounded."""
MIN_NAMED_WIDTH = 0.045
"""Fraction of the figure's width that a bar needs to show its candidate's name."""
MAX_NAMED_LANES = 40
"""Up to this number of lanes, each shows its worker."""
MAX_LEGEND_RUNGS = 8
UNITS = ((120.0, "seconds", 1.0), (7200.0, "minutes", 60.0), (172800.0, "hours", 3600.0))


@dataclass(frozen=True, slots=True)
class JobBar:
    """A job on its lane. ``began``, ``ended``: seconds since the first job began.

    ``rung``: epoch at which its training ends; None for a sweep of learning rates. ``failure``:
    its kind, or "".
    """

    lane: int
    began: float
    ended: float
    rung: int | None
    candidate: str
    failure: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Jobs on lanes; there are as many lanes as jobs ever ran at once.

    ``lanes``: worker of each lane; only its machine if several workers used the lane, and without
    the machine if there is only one. ``busy_fraction``: fraction of the lanes' time with a job.
    ``untimed_failures``: failures without a known time and worker, by kind.
    """

    bars: tuple[JobBar, ...]
    lanes: tuple[str, ...]
    seconds: float
    busy_fraction: float
    untimed_failures: dict[str, int]


def timeline(jobs: pd.DataFrame) -> Timeline:
    """Return lanes and bars from a table with ``COLUMNS``, one row per job.

    Raises SearchError if a column is missing or no job has a time.
    """
    if missing := [name for name in COLUMNS if name not in jobs]:
        raise SearchError(f"timeline: need the columns {', '.join(missing)}, which are missing")
    jobs = jobs.assign(failure=jobs["failure"].fillna(""), worker=jobs["worker"].fillna(""))
    timed = jobs[jobs["ended"] > 0].sort_values(["began", "ended", "worker"], kind="stable")
    if timed.empty:
        raise SearchError("timeline: need a job with its times, got none; search first")
    lane_numbers, lanes = _assign_lanes(timed["worker"], timed["began"], timed["ended"])
    first = float(timed["began"].min())
    bars = tuple(
        JobBar(
            lane=lane,
            began=float(row["began"]) - first,
            ended=float(row["ended"]) - first,
            rung=int(row["stop"]) if row["stop"] > row["start"] else None,
            candidate=str(row["candidate"]),
            failure=str(row["failure"]),
        )
        for lane, row in zip(lane_numbers, timed.to_dict("records"), strict=True)
    )
    seconds = max(bar.ended for bar in bars)
    busy_seconds = sum(bar.ended - bar.began for bar in bars)
    untimed_counts = jobs.loc[jobs["ended"] <= 0, "failure"].value_counts().sort_index()
    return Timeline(
        bars=bars,
        lanes=lanes,
        seconds=seconds,
        busy_fraction=busy_seconds / (seconds * len(lanes)) if seconds > 0 else 1.0,
        untimed_failures={str(kind): int(count) for kind, count in untimed_counts.items()},
    )


def _assign_lanes(
    workers: Iterable[str], began: Iterable[float], ended: Iterable[float]
) -> tuple[list[int], tuple[str, ...]]:
    """Return the lane of each job, and the lanes' names.

    A worker keeps its lane; when it is gone, another worker of the same machine takes the lane. A
    worker with several jobs at once has several lanes.
    """
    spans = list(zip(workers, began, ended, strict=True))
    tracks = _pack_spans(spans)  # for each worker, consecutive jobs
    track_spans: dict[tuple[str, int], tuple[float, float]] = {}
    for track, (_, start, end) in zip(tracks, spans, strict=True):
        low, high = track_spans.get(track, (start, end))
        track_spans[track] = (min(low, start), max(high, end))
    order = sorted(track_spans, key=lambda track: track_spans[track])
    machines = [(_machine_name(worker), *track_spans[worker, part]) for worker, part in order]
    lane_of = dict(zip(order, _pack_spans(machines), strict=True))
    owners: dict[tuple[str, int], list[str]] = {}
    for track in order:
        owners.setdefault(lane_of[track], []).append(track[0])
    lanes = sorted(owners, key=lambda lane: (_natural_sort_key(owners[lane][0]), lane))
    numbers = {lane: number for number, lane in enumerate(lanes)}
    is_only_machine = len({machine for machine, *_ in machines}) == 1
    names = (_lane_name(machine, owners[machine, lane], is_only_machine) for machine, lane in lanes)
    return [numbers[lane_of[track]] for track in tracks], tuple(names)


def _lane_name(machine: str, workers: Sequence[str], is_only_machine: bool) -> str:
    """Return the name of a lane, without the machine if it ``is_only_machine``."""
    distinct_workers = set(workers)
    if len(distinct_workers) > 1:
        processes = f"{len(distinct_workers)} processes"
        return processes if is_only_machine else f"{machine} ({processes})"
    _, colon, process = workers[0].rpartition(":")
    return f"process {process}" if is_only_machine and colon else workers[0] or "unknown"


def _natural_sort_key(name: str) -> list[tuple[str, int]]:
    """Return a sort key that puts 9 before 10."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _pack_spans(spans: Iterable[tuple[str, float, float]]) -> list[tuple[str, int]]:
    """Return the first free lane of its name for each span, in order of start."""
    free: dict[str, list[float]] = {}
    places = []
    for name, start, end in spans:
        busy_until = free.setdefault(name, [])
        for index, lane_end in enumerate(busy_until):
            if lane_end <= start + CLOCK_TOLERANCE:
                busy_until[index] = end
                break
        else:
            index = len(busy_until)
            busy_until.append(end)
        places.append((name, index))
    return places


def _machine_name(worker: str) -> str:
    return worker.rpartition(":")[0] or worker


def plot_timeline(data: Timeline, axes: Axes) -> None:
    """Draw a row for each lane, a colour for each rung, and a cross on each failure."""
    unit, seconds_per_unit = next(
        ((unit, per) for most, unit, per in UNITS if data.seconds < most), ("days", 86400.0)
    )
    colours = _colours(data)
    edge_width = 0.3 if len(data.bars) < 500 else 0.0
    for rung, colour in colours.items():
        bars = [bar for bar in data.bars if bar.rung == rung]
        axes.barh(
            [bar.lane for bar in bars],
            [(bar.ended - bar.began) / seconds_per_unit for bar in bars],
            left=[bar.began / seconds_per_unit for bar in bars],
            height=0.76,
            **(
                {"color": colour, "edgecolor": "white", "linewidth": edge_width}
                if rung
                else SWEEP_STYLE
            ),
        )
    for bar in data.bars if len(data.lanes) <= MAX_NAMED_LANES else ():
        if not bar.failure and bar.ended - bar.began > MIN_NAMED_WIDTH * data.seconds:
            _write_candidate(axes, bar, seconds_per_unit, colours[bar.rung])
    failed = [bar for bar in data.bars if bar.failure]
    middles = [(bar.began + bar.ended) / 2 / seconds_per_unit for bar in failed]
    axes.plot(middles, [bar.lane for bar in failed], **FAILURE_MARKER)
    axes.set_xlim(0, max(data.seconds, 1e-3) / seconds_per_unit)
    axes.set_ylim(len(data.lanes) - 0.4, -0.6)
    axes.set_yticks(range(len(data.lanes)), data.lanes)
    if len(data.lanes) > MAX_NAMED_LANES:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(data.lanes)} workers")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{unit} since the first job")
    axes.set_title(_title(data))
    axes.legend(handles=list(_handles(data, colours)), loc="upper left", bbox_to_anchor=(1.0, 1.02))


SWEEP_STYLE: dict[str, Any] = {
    "facecolor": "white",
    "edgecolor": FAINT,
    "hatch": "////",
    "linewidth": 0.3,
}
FAILURE_MARKER: dict[str, Any] = {
    "color": ACCENT,
    "marker": "X",
    "markersize": 6,
    "markeredgecolor": "white",
    "markeredgewidth": 0.6,
    "linestyle": "none",
    "clip_on": False,
    "zorder": 4,
}


def timeline_figure(data: Timeline, width: float = DOUBLE_COLUMN) -> Figure:
    """Return the figure, as high as its lanes need."""
    lanes = len(data.lanes)
    with figure_style():
        fig = new_figure(width, min(9.0, max(1.6, 0.75 + (0.3 if lanes <= 8 else 0.17) * lanes)))
        plot_timeline(data, fig.subplots())
    return fig


def _colours(data: Timeline) -> dict[int | None, Any]:
    """Return the colours of the rungs; later ones are brighter."""
    rungs = sorted({bar.rung for bar in data.bars if bar.rung is not None})
    colour_map = mpl.colormaps[COLOUR_MAP]
    steps = max(1, len(rungs) - 1)
    colours: dict[int | None, Any] = {None: "white"}
    for index, rung in enumerate(rungs):
        colours[rung] = colour_map(0.12 + 0.83 * index / steps)
    return colours


def _write_candidate(axes: Axes, bar: JobBar, seconds_per_unit: float, colour: Any) -> None:
    red, green, blue = to_rgb(colour)
    is_dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
    axes.text(
        (bar.began + bar.ended) / 2 / seconds_per_unit,
        bar.lane,
        bar.candidate[:4],
        ha="center",
        va="center",
        fontsize=5.5,
        color="white" if is_dark else INK,
        clip_on=True,
    )


def _title(data: Timeline) -> str:
    count = len(data.lanes)
    return (
        f"{count} worker{'s' if count > 1 else ''}, busy for {data.busy_fraction:.0%} of the time"
    )


def _handles(data: Timeline, colours: dict[int | None, Any]) -> Iterator[Patch | Line2D]:
    rungs = [rung for rung in colours if rung is not None]
    for rung in _evenly_chosen(rungs):
        yield Patch(facecolor=colours[rung], label=f"to epoch {rung}")
    if any(bar.rung is None for bar in data.bars):
        yield Patch(**SWEEP_STYLE, label="learning rate")
    failure_counts: dict[str, int] = {}
    for bar in data.bars:
        if bar.failure:
            failure_counts[bar.failure] = failure_counts.get(bar.failure, 0) + 1
    for kind, count in sorted(failure_counts.items()):
        yield Line2D([], [], **FAILURE_MARKER, label=f"{kind.replace('_', ' ')} ({count})")
    for kind, count in data.untimed_failures.items():
        yield Line2D([], [], linestyle="none", label=f"{kind.replace('_', ' ')} ({count}), no time")


def _evenly_chosen(rungs: Sequence[int]) -> list[int]:
    """Return some of many rungs, evenly chosen from the first to the last."""
    if len(rungs) <= MAX_LEGEND_RUNGS:
        return list(rungs)
    return [
        rungs[round(i * (len(rungs) - 1) / (MAX_LEGEND_RUNGS - 1))] for i in range(MAX_LEGEND_RUNGS)
    ]
