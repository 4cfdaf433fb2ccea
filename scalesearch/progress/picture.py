"""A search on a terminal of any size: what to see of it, and in which words."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scalesearch.progress.display import clock
from scalesearch.search.progress import Best, Progress, Running

MOST_RUNGS = 6
MOST_JOBS = 16
BETWEEN = "   "
BAR = 30
NARROWEST_WORKER = 12


def picture(now: Progress, width: int, height: int, images: float | None = None) -> RenderableType:
    """All of it within so many columns and lines; ``images``: the share of them that has come."""
    head = _wrapped(heading(now), width)
    bars = _bars(now, images)
    below = [*_wrapped(best(now), width), *_wrapped([tally(now)], width)]
    room = height - 1 - len(head) - len(bars) - len(below)  # the cursor has a line of its own
    return Group(
        *(Text(line, style="bold") for line in head),
        _table(bars, width),
        *(Text(line) for line in below),
        *_jobs(now.running, width, min(room, MOST_JOBS + 2)),
    )


def heading(now: Progress) -> list[str]:
    """The search, the time it needs, and its pace."""
    return [part for part in (now.name, ended_words(now), *pace(now)) if part]


def pace(now: Progress) -> list[str]:
    """Images per second and jobs in flight, where there are any."""
    speed, jobs = now.images_per_second, len(now.running)
    return [f"{speed:,.0f} img/s"] * (speed > 0) + [f"{jobs} running"] * (jobs > 0)


def ended_words(now: Progress) -> str:
    """Whether it is over, and why; else the time left, where that is known."""
    if now.finished:
        return f"ended: {now.ended}" if now.ended else "ended"
    return "" if now.seconds_left is None else f"{clock(now.seconds_left)} left"


def best(now: Progress) -> list[str]:
    """The best candidate so far, in parts."""
    if now.best is None:
        return []
    found, shares = now.best, now.best.shares
    return [
        f"best so far {accuracy_words(found)}",
        f"depth {shares.depth:.2f} width {shares.width:.2f} resolution {shares.resolution:.2f}",
        f"{found.seeds} seed{'s' if found.seeds > 1 else ''}, epoch {found.epoch}",
    ]


def accuracy_words(found: Best) -> str:
    """0.683 [0.675, 0.691]."""
    if found.low is None or found.high is None:
        return f"{found.accuracy:.3f}"
    return f"{found.accuracy:.3f} [{found.low:.3f}, {found.high:.3f}]"


def tally(now: Progress) -> str:
    """What was stopped, and what failed of what."""
    kinds = {kind: count for kind, count in sorted(now.failures.items()) if count}
    words = f"{now.stopped} stopped{BETWEEN}{sum(kinds.values())} failed"
    if kinds:
        each = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in kinds.items())
        words = f"{words}: {each}"
    return words


def _bars(now: Progress, images: float | None) -> list[tuple[str, float, float, str]]:
    """Label, what is done, what there is, and both in words."""
    rows: list[tuple[str, float, float, str]] = [
        ("epochs", now.epochs_done, now.epochs_total, f"{now.epochs_done}/{now.epochs_total}")
    ]
    # Of many rungs, those around the first that is not full.
    open_ = [place for place, rung in enumerate(now.rungs) if rung.done < rung.total]
    first = max(0, min((open_ or [0])[0] - 1, len(now.rungs) - MOST_RUNGS))
    for place, rung in enumerate(now.rungs[first : first + MOST_RUNGS]):
        words = f"{rung.done}/{rung.total}" + ("" if place else " candidates")
        rows.append((f"to epoch {rung.epoch}", rung.done, rung.total, words))
    if images is not None:
        rows.append(("images", images, 1.0, f"{images:.0%}"))
    return rows


def _table(rows: Sequence[tuple[str, float, float, str]], width: int) -> Table:
    table = Table.grid(padding=(0, 2))
    label = max(len(row[0]) for row in rows)
    words = max(len(row[3]) for row in rows)
    bar = max(5, min(BAR, width - label - words - 6))
    for _ in range(3):
        table.add_column(no_wrap=True)
    for name, done, total, counted in rows:
        # A bar whose total is 0 would pulse: it has nothing to wait for.
        table.add_row(Text(name), ProgressBar(total or 1, done, width=bar), Text(counted))
    return table


def _jobs(running: Sequence[Running], width: int, room: int) -> Iterator[RenderableType]:
    """The jobs that have run for longest and how many more there are, on at most ``room`` lines."""
    if not running or room < 2:
        return
    order = sorted(running, key=lambda job: (-job.seconds, job.worker, job.job))
    shown = order if len(order) < room else order[: room - 2]
    if shown:
        yield _job_table(shown, width)
    if more := len(order) - len(shown):
        yield Text(f"... and {more} more")


def _job_table(jobs: Sequence[Running], width: int) -> Table:
    columns = {
        "worker": [_short(job.worker) for job in jobs],
        "job": [job.job for job in jobs],
        "time": [clock(job.seconds) for job in jobs],
        "so far": [_so_far(job) for job in jobs],
        "img/s": [_pace(job) for job in jobs],
    }
    excess = _width(columns) - width
    if excess > 0:  # the ends of workers' names tell them apart
        longest = max(map(len, columns["worker"]))
        fits = max(NARROWEST_WORKER, longest - excess)
        columns["worker"] = [_cropped(name, fits) for name in columns["worker"]]
    for dispensable in ("img/s", "worker"):
        if _width(columns) > width:
            del columns[dispensable]
    table = Table.grid(padding=(0, 2), pad_edge=False)
    for title in columns:
        right = title in ("time", "img/s")
        table.add_column(no_wrap=True, justify="right" if right else "left")
    table.add_row(*columns, style="dim")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, row))
    return table


def _width(columns: Mapping[str, Sequence[str]]) -> int:
    widths = (max(map(len, (title, *cells))) for title, cells in columns.items())
    return sum(widths) + 2 * (len(columns) - 1)


def _short(worker: str) -> str:
    """Without the protocol."""
    return worker.rpartition("://")[2] or "-"


def _cropped(text: str, width: int) -> str:
    """The end of it, by which workers differ."""
    return text if len(text) <= width else f"…{text[len(text) - width + 1 :]}"


def _so_far(job: Running) -> str:
    if job.doing:
        return job.doing
    if job.epoch is None:
        return ""
    return f"epoch {job.epoch}" + ("" if job.accuracy is None else f": {job.accuracy:.3f}")


def _pace(job: Running) -> str:
    return "" if job.images_per_second is None else f"{job.images_per_second:,.0f}"


def _wrapped(parts: Sequence[str], width: int) -> list[str]:
    """Parts side by side, on as many lines as they need."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(BETWEEN) + len(part) <= width:
            lines[-1] += BETWEEN + part
        else:
            lines += [part[i : i + width] for i in range(0, len(part), width)]
    return lines
