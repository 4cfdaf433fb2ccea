"""What an ablation found, in sentences; also where that is against the paper."""

from collections.abc import Iterator, Sequence
from typing import Any

from scalesearch.ablations.curves import Gain, Overlap
from scalesearch.ablations.rows import LEVEL, Row
from scalesearch.ablations.spec import Ablation

FAR = 0.1
"""Distance on the simplex from which on a network is said to stand in for what was asked."""
UNEQUAL = 0.05
"""Relative difference of two networks' costs that is told."""
AHEAD = "ahead, as the paper says"
BEHIND = "behind, against the paper"
OPEN = "not told apart"
MISPRINTED = 0.1
"""Relative difference of a printed cost and the counted one that is told."""


def sentences(
    ablation: Ablation, rows: Sequence[Row], gains: Sequence[Gain], overlaps: Sequence[Overlap]
) -> tuple[str, ...]:
    """The findings, what they rest on, and what the recount says of the paper's own table."""
    several = len({row.baseline for row in rows}) > 1
    return (
        *_summary(ablation, rows, overlaps),
        *_leads(ablation, rows, several),
        *_overlaps(overlaps, several),
        *(_gain(gain, several) for gain in gains if ablation.figure == "panels"),
        *_strays(rows, several),
        *_recounts(ablation, rows, several),
        *([f"this size: {' '.join(ablation.limits.split())}"] if ablation.limits else []),
    )


def table_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The table for a person: ours, and beside it what the paper prints."""
    several = len({row.baseline for row in rows}) > 1
    return [
        {
            **({"baseline": row.baseline} if several else {}),
            "network": row.point,
            "depth x width x px": f"{row.depth:.3g} x {row.width:.3g} x {row.pixels}",
            "nominal": f"{row.asked_factor:.2f}x",
            "realised": f"{row.factor:.2f}x",
            "FLOPs": _count(row.macs),
            "params": _count(row.params),
            "accuracy": _accuracy(row),
            "seeds": row.seeds,
            "paper": None if row.paper_accuracy is None else f"{100 * row.paper_accuracy:.1f}%",
            "its FLOPs": None if row.paper_macs is None else _count(row.paper_macs),
            "recounted": None if row.recounted_macs is None else _count(row.recounted_macs),
        }
        for row in rows
    ]


def verdict(lead: float, p: float) -> str:
    """What a lead says of the claim that the leading series is the better one."""
    if p >= LEVEL:
        return OPEN
    return AHEAD if lead > 0 else BEHIND


def _summary(ablation: Ablation, rows: Sequence[Row], overlaps: Sequence[Overlap]) -> Iterator[str]:
    if ablation.against is None:
        return
    found = [(row.lead, row.p_corrected) for row in rows]
    found += [(overlap.lead, overlap.p_corrected) for overlap in overlaps]
    told = [verdict(lead, p) for lead, p in found if lead is not None and p is not None]
    if not told:
        yield f"{ablation.against}: no comparison: needs two seeds and two networks that differ"
        return
    ahead, behind, open_ = (told.count(word) for word in (AHEAD, BEHIND, OPEN))
    yield (
        f"{ablation.against} against the others: ahead in {ahead} of {len(told)} comparisons, "
        f"behind in {behind}, not told apart in {open_} (90%, Holm's correction)"
    )


def _leads(ablation: Ablation, rows: Sequence[Row], several: bool) -> Iterator[str]:
    for row in rows:
        if row.lead is None or row.p_corrected is None:
            continue
        leader = _leader(ablation, rows, row)
        yield (
            f"{_where(row.baseline, several)}{ablation.against} over {row.point}: "
            f"{_interval(row.lead, row.lead_low, row.lead_high)}, p {row.p_corrected:.2g}: "
            f"{verdict(row.lead, row.p_corrected)}{_printed(row, leader)}{_cost(row, leader)}"
        )


def _leader(ablation: Ablation, rows: Sequence[Row], row: Row) -> Row:
    own = [r for r in rows if r.series == ablation.against and r.baseline == row.baseline]
    return next((r for r in own if r.asked_factor == row.asked_factor), own[-1])


def _printed(row: Row, leader: Row) -> str:
    if row.paper_accuracy is None or leader.paper_accuracy is None:
        return ""
    return f" ({_points(leader.paper_accuracy - row.paper_accuracy)} there, on ImageNet)"


def _cost(row: Row, leader: Row) -> str:
    ratio = leader.factor / row.factor
    return f"; at {ratio:.2f}x its cost" if abs(ratio - 1) > UNEQUAL else ""


def _overlaps(overlaps: Sequence[Overlap], several: bool) -> Iterator[str]:
    for one in overlaps:
        yield (
            f"{_where(one.baseline, several)}{one.against} over {one.series} at equal realised "
            f"cost, {one.low_factor:.3g}x to {one.high_factor:.3g}x: "
            f"{_interval(one.lead, one.low, one.high)}, p {one.p_corrected:.2g}: "
            f"{verdict(one.lead, one.p_corrected)}"
        )


def _gain(gain: Gain, several: bool) -> str:
    known = gain.low is not None and gain.high is not None
    if not known:
        word = "one seed tells nothing of the noise"
    elif gain.low is not None and gain.low > 0:
        word = "it gains, as the paper says"
    elif gain.high is not None and gain.high < 0:
        word = "it loses, against the paper"
    else:
        word = "no gain that could be told from noise, where the paper has one"
    return (
        f"{_where(gain.baseline, several)}{gain.series}, {gain.low_factor:.3g}x to "
        f"{gain.high_factor:.3g}x the cost: {_interval(gain.gain, gain.low, gain.high)}: {word}; "
        f"a doubling brings {_points(gain.first)} on the first step, {_points(gain.last)} on the "
        "last"
    )


def _strays(rows: Sequence[Row], several: bool) -> Iterator[str]:
    """Networks that stand in for a direction which the baseline cannot take at that cost."""
    for row in rows:
        if row.deviation is not None and row.deviation > FAR:
            yield (
                f"{_where(row.baseline, several)}{row.point}: no network costs so much along this "
                f"direction; the nearest is {row.deviation:.2f} away (depth {row.depth:.2f}, width "
                f"{row.width:.2f}, resolution {row.resolution:.2f})"
            )


def _recounts(ablation: Ablation, rows: Sequence[Row], several: bool) -> Iterator[str]:
    """Where the paper's table prints another cost than its networks have."""
    for row in rows if ablation.figure == "rows" else ():
        if row.paper_macs is None or row.recounted_macs is None:
            continue
        if abs(row.recounted_macs / row.paper_macs - 1) > MISPRINTED:
            yield (
                f"{_where(row.baseline, several)}{row.point}: the paper prints "
                f"{row.paper_macs / 1e9:.3g} billion multiply-adds, and the network has "
                f"{row.recounted_macs / 1e9:.3g}"
            )


def _where(baseline: str, several: bool) -> str:
    return f"{baseline}: " if several else ""


def _interval(value: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"{_points(value)} points"
    return f"{_points(value)} points [{_points(low)}, {_points(high)}]"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _accuracy(row: Row) -> str:
    if row.low is None or row.high is None:
        return f"{100 * row.accuracy:.1f}%"
    return f"{100 * row.accuracy:.1f}% [{100 * row.low:.1f}, {100 * row.high:.1f}]"


def _count(value: float) -> str:
    """A count with its unit and three digits: 1.83G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
