"""The live display of a search, for a terminal of any size."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scalesearch.reporting.terminal.display import format_duration
from scalesearch.search.progress import BestTrial, JobProgress, Progress

MAX_RUNGS = 6
MAX_JOBS = 16
SEPARATOR = "   "
BAR_WIDTH = 30
MIN_WORKER_WIDTH = 12


def search_panel(
    progress: Progress, width: int, height: int, loaded_fraction: float | None = None
) -> RenderableType:
    """Lay out the display; ``loaded_fraction`` is the loaded part of images."""
    heading_lines = _wrap_parts(heading_parts(progress), width)
    bars = _bar_rows(progress, loaded_fraction)
    summary_lines = [
        *_wrap_parts(best_parts(progress), width),
        *_wrap_parts([failures_text(progress)], width),
    ]
    used_lines = 1 + len(heading_lines) + len(bars) + len(summary_lines)  # 1 for the cursor
    free_lines = height - used_lines
    return Group(
        *(Text(line, style="bold") for line in heading_lines),
        _bars_table(bars, width),
        *(Text(line) for line in summary_lines),
        *_job_lines(progress.running, width, min(free_lines, MAX_JOBS + 2)),
    )


def heading_parts(progress: Progress) -> list[str]:
    """Return the search's name, the remaining time and the speed."""
    return [
        part for part in (progress.name, remaining_text(progress), *speed_parts(progress)) if part
    ]


def speed_parts(progress: Progress) -> list[str]:
    """Return images per second and the number of running jobs, if above zero."""
    speed, jobs = progress.images_per_second, len(progress.running)
    return [f"{speed:,.0f} img/s"] * (speed > 0) + [f"{jobs} running"] * (jobs > 0)


def remaining_text(progress: Progress) -> str:
    """Say why the search has ended; else return the remaining time, if known."""
    if progress.finished:
        return f"ended: {progress.ended}" if progress.ended else "ended"
    return "" if progress.seconds_left is None else f"{format_duration(progress.seconds_left)} left"


def best_parts(progress: Progress) -> list[str]:
    """Describe the best candidate so far, in parts."""
    if progress.best is None:
        return []
    candidate, shares = progress.best, progress.best.shares
    return [
        f"best so far {accuracy_text(candidate)}",
        f"depth {shares.depth:.2f} width {shares.width:.2f} resolution {shares.resolution:.2f}",
        f"{candidate.seeds} seed{'s' if candidate.seeds > 1 else ''}, epoch {candidate.epoch}",
    ]


def accuracy_text(best_candidate: BestTrial) -> str:
    """Format an accuracy with its interval: 0.683 [0.675, 0.691]."""
    if best_candidate.low is None or best_candidate.high is None:
        return f"{best_candidate.accuracy:.3f}"
    return f"{best_candidate.accuracy:.3f} [{best_candidate.low:.3f}, {best_candidate.high:.3f}]"


def failures_text(progress: Progress) -> str:
    """Count the stopped candidates, and the failed ones by kind."""
    counts = {kind: count for kind, count in sorted(progress.failures.items()) if count}
    text = f"{progress.stopped} stopped{SEPARATOR}{sum(counts.values())} failed"
    if counts:
        details = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items())
        text = f"{text}: {details}"
    return text


def _bar_rows(
    progress: Progress, loaded_fraction: float | None
) -> list[tuple[str, float, float, str]]:
    """Return label, done, total and text of each bar."""
    rows: list[tuple[str, float, float, str]] = [
        (
            "epochs",
            progress.epochs_done,
            progress.epochs_total,
            f"{progress.epochs_done}/{progress.epochs_total}",
        )
    ]
    # Of many rungs, show those around the first that is not full.
    open_rungs = [index for index, rung in enumerate(progress.rungs) if rung.done < rung.total]
    first_shown = max(0, min((open_rungs or [0])[0] - 1, len(progress.rungs) - MAX_RUNGS))
    for index, rung in enumerate(progress.rungs[first_shown : first_shown + MAX_RUNGS]):
        text = f"{rung.done}/{rung.total}" + ("" if index else " candidates")
        rows.append((f"to epoch {rung.epoch}", rung.done, rung.total, text))
    if loaded_fraction is not None:
        rows.append(("images", loaded_fraction, 1.0, f"{loaded_fraction:.0%}"))
    return rows


def _bars_table(rows: Sequence[tuple[str, float, float, str]], width: int) -> Table:
    table = Table.grid(padding=(0, 2))
    label_width = max(len(row[0]) for row in rows)
    text_width = max(len(row[3]) for row in rows)
    bar_width = max(5, min(BAR_WIDTH, width - label_width - text_width - 6))
    for _ in range(3):
        table.add_column(no_wrap=True)
    for name, done, total, text in rows:
        # rich animates a bar whose total is 0; here there is nothing to wait for.
        table.add_row(Text(name), ProgressBar(total or 1, done, width=bar_width), Text(text))
    return table


def _job_lines(
    running: Sequence[JobProgress], width: int, max_lines: int
) -> Iterator[RenderableType]:
    """Yield the longest-running jobs and the number of the others, on ``max_lines`` lines."""
    if not running or max_lines < 2:
        return
    by_time = sorted(running, key=lambda job: (-job.seconds, job.worker, job.job))
    visible = by_time if len(by_time) < max_lines else by_time[: max_lines - 2]
    if visible:
        yield _job_table(visible, width)
    if hidden_count := len(by_time) - len(visible):
        yield Text(f"... and {hidden_count} more")


def _job_table(jobs: Sequence[JobProgress], width: int) -> Table:
    columns = {
        "worker": [_without_protocol(job.worker) for job in jobs],
        "job": [job.job for job in jobs],
        "time": [format_duration(job.seconds) for job in jobs],
        "so far": [_job_progress_text(job) for job in jobs],
        "img/s": [_speed_text(job) for job in jobs],
    }
    excess = _table_width(columns) - width
    if excess > 0:  # the ends of workers' names differ
        longest = max(map(len, columns["worker"]))
        worker_width = max(MIN_WORKER_WIDTH, longest - excess)
        columns["worker"] = [_crop_start(name, worker_width) for name in columns["worker"]]
    for optional in ("img/s", "worker"):
        if _table_width(columns) > width:
            del columns[optional]
    table = Table.grid(padding=(0, 2), pad_edge=False)
    for title in columns:
        is_right_aligned = title in ("time", "img/s")
        table.add_column(no_wrap=True, justify="right" if is_right_aligned else "left")
    table.add_row(*columns, style="dim")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, row))
    return table


def _table_width(columns: Mapping[str, Sequence[str]]) -> int:
    widths = (max(map(len, (title, *cells))) for title, cells in columns.items())
    return sum(widths) + 2 * (len(columns) - 1)


def _without_protocol(worker: str) -> str:
    """Return the address of a worker without its protocol."""
    return worker.rpartition("://")[2] or "-"


def _crop_start(text: str, width: int) -> str:
    """Keep the end of a text, in which workers differ."""
    return text if len(text) <= width else f"…{text[len(text) - width + 1 :]}"


def _job_progress_text(job: JobProgress) -> str:
    if job.doing:
        return job.doing
    if job.epoch is None:
        return ""
    return f"epoch {job.epoch}" + ("" if job.accuracy is None else f": {job.accuracy:.3f}")


def _speed_text(job: JobProgress) -> str:
    return "" if job.images_per_second is None else f"{job.images_per_second:,.0f}"


def _wrap_parts(parts: Sequence[str], width: int) -> list[str]:
    """Join parts into lines of at most ``width`` columns."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(SEPARATOR) + len(part) <= width:
            lines[-1] += SEPARATOR + part
        else:
            lines += [part[i : i + width] for i in range(0, len(part), width)]
    return lines
