"""The results of an ablation in sentences, also where they contradict the paper."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.ablations.ablation_table import SIGNIFICANCE_LEVEL, AblationRow, ablation_rows
from scalesearch.ablations.curves import (
    CurveComparison,
    SeriesGain,
    curve_comparisons,
    series_gains,
)
from scalesearch.ablations.spec import Ablation

FAR_DISTANCE = 0.1
"""Distance on the simplex from which a network is mentioned as a stand-in for its direction."""
UNEQUAL_COST = 0.05
"""Relative difference of two networks' costs that is mentioned."""
AHEAD = "ahead, as the paper says"
BEHIND = "behind, against the paper"
UNDECIDED = "not told apart"
MISPRINT_TOLERANCE = 0.1
"""Relative difference between a printed and a counted cost that is mentioned."""


def sentences(
    ablation: Ablation,
    rows: Sequence[AblationRow],
    gains: Sequence[SeriesGain],
    comparisons: Sequence[CurveComparison],
) -> tuple[str, ...]:
    """List the results, their conditions, and differences from the paper's costs."""
    has_several_baselines = len({row.baseline for row in rows}) > 1
    return (
        *_summary_sentences(ablation, rows, comparisons),
        *_lead_sentences(ablation, rows, has_several_baselines),
        *_curve_sentences(comparisons, has_several_baselines),
        *(
            _gain_sentence(gain, has_several_baselines)
            for gain in gains
            if ablation.figure == "panels"
        ),
        *_deviation_sentences(rows, has_several_baselines),
        *_misprint_sentences(ablation, rows, has_several_baselines),
        *([f"this size: {' '.join(ablation.limits.split())}"] if ablation.limits else []),
    )


def table_rows(rows: Sequence[AblationRow]) -> list[dict[str, Any]]:
    """Format the table for people: our results beside the paper's."""
    has_several_baselines = len({row.baseline for row in rows}) > 1
    return [
        {
            **({"baseline": row.baseline} if has_several_baselines else {}),
            "network": row.point,
            "depth x width x px": f"{row.depth:.3g} x {row.width:.3g} x {row.pixels}",
            "nominal": f"{row.asked_factor:.2f}x",
            "realised": f"{row.factor:.2f}x",
            "FLOPs": _count_text(row.macs),
            "params": _count_text(row.params),
            "accuracy": _accuracy_text(row),
            "seeds": row.seeds,
            "paper": None if row.paper_accuracy is None else f"{100 * row.paper_accuracy:.1f}%",
            "its FLOPs": None if row.paper_macs is None else _count_text(row.paper_macs),
            "recounted": None if row.recounted_macs is None else _count_text(row.recounted_macs),
        }
        for row in rows
    ]


def comparison_result(lead: float, p: float) -> str:
    """Judge the claim that the leading series is better, from its lead."""
    if p >= SIGNIFICANCE_LEVEL:
        return UNDECIDED
    return AHEAD if lead > 0 else BEHIND


def _summary_sentences(
    ablation: Ablation, rows: Sequence[AblationRow], comparisons: Sequence[CurveComparison]
) -> Iterator[str]:
    if ablation.against is None:
        return
    leads = [(row.lead, row.p_corrected) for row in rows]
    leads += [(comparison.lead, comparison.p_corrected) for comparison in comparisons]
    results = [
        comparison_result(lead, p) for lead, p in leads if lead is not None and p is not None
    ]
    if not results:
        yield f"{ablation.against}: no comparison: needs two seeds and two networks that differ"
        return
    ahead, behind, undecided = (results.count(word) for word in (AHEAD, BEHIND, UNDECIDED))
    yield (
        f"{ablation.against} against the others: ahead in {ahead} of {len(results)} comparisons, "
        f"behind in {behind}, not told apart in {undecided} (90%, Holm's correction)"
    )


def _lead_sentences(
    ablation: Ablation, rows: Sequence[AblationRow], has_several_baselines: bool
) -> Iterator[str]:
    for row in rows:
        if row.lead is None or row.p_corrected is None:
            continue
        leader = _leading_row(ablation, rows, row)
        prefix = _baseline_prefix(row.baseline, has_several_baselines)
        yield (
            f"{prefix}{ablation.against} over {row.point}: "
            f"{_interval_text(row.lead, row.lead_low, row.lead_high)}, p {row.p_corrected:.2g}: "
            f"{comparison_result(row.lead, row.p_corrected)}"
            f"{_paper_difference_text(row, leader)}{_cost_difference_text(row, leader)}"
        )


def _leading_row(ablation: Ablation, rows: Sequence[AblationRow], row: AblationRow) -> AblationRow:
    leading_rows = [r for r in rows if r.series == ablation.against and r.baseline == row.baseline]
    return next((r for r in leading_rows if r.asked_factor == row.asked_factor), leading_rows[-1])


def _paper_difference_text(row: AblationRow, leader: AblationRow) -> str:
    if row.paper_accuracy is None or leader.paper_accuracy is None:
        return ""
    return f" ({_points_text(leader.paper_accuracy - row.paper_accuracy)} there, on ImageNet)"


def _cost_difference_text(row: AblationRow, leader: AblationRow) -> str:
    ratio = leader.factor / row.factor
    return f"; at {ratio:.2f}x its cost" if abs(ratio - 1) > UNEQUAL_COST else ""


def _curve_sentences(
    comparisons: Sequence[CurveComparison], has_several_baselines: bool
) -> Iterator[str]:
    for comparison in comparisons:
        prefix = _baseline_prefix(comparison.baseline, has_several_baselines)
        interval = _interval_text(comparison.lead, comparison.low, comparison.high)
        yield (
            f"{prefix}{comparison.against} over {comparison.series} at equal realised cost, "
            f"{comparison.low_factor:.3g}x to {comparison.high_factor:.3g}x: {interval}, "
            f"p {comparison.p_corrected:.2g}: "
            f"{comparison_result(comparison.lead, comparison.p_corrected)}"
        )


def _gain_sentence(gain: SeriesGain, has_several_baselines: bool) -> str:
    has_interval = gain.low is not None and gain.high is not None
    if not has_interval:
        judgement = "one seed tells nothing of the noise"
    elif gain.low is not None and gain.low > 0:
        judgement = "it gains, as the paper says"
    elif gain.high is not None and gain.high < 0:
        judgement = "it loses, against the paper"
    else:
        judgement = "no gain that could be told from noise, where the paper has one"
    return (
        f"{_baseline_prefix(gain.baseline, has_several_baselines)}{gain.series}, "
        f"{gain.low_factor:.3g}x to {gain.high_factor:.3g}x the cost: "
        f"{_interval_text(gain.gain, gain.low, gain.high)}: {judgement}; "
        f"a doubling brings {_points_text(gain.first)} on the first step, "
        f"{_points_text(gain.last)} on the last"
    )


def _deviation_sentences(rows: Sequence[AblationRow], has_several_baselines: bool) -> Iterator[str]:
    """Mention networks that stand in for a direction the baseline cannot take at that cost."""
    for row in rows:
        if row.deviation is not None and row.deviation > FAR_DISTANCE:
            prefix = _baseline_prefix(row.baseline, has_several_baselines)
            yield (
                f"{prefix}{row.point}: no network costs so much along this "
                f"direction; the nearest is {row.deviation:.2f} away (depth {row.depth:.2f}, width "
                f"{row.width:.2f}, resolution {row.resolution:.2f})"
            )


def _misprint_sentences(
    ablation: Ablation, rows: Sequence[AblationRow], has_several_baselines: bool
) -> Iterator[str]:
    """Mention rows of the paper with another cost than their networks have."""
    for row in rows if ablation.figure == "rows" else ():
        if row.paper_macs is None or row.recounted_macs is None:
            continue
        if abs(row.recounted_macs / row.paper_macs - 1) > MISPRINT_TOLERANCE:
            prefix = _baseline_prefix(row.baseline, has_several_baselines)
            yield (
                f"{prefix}{row.point}: the paper prints "
                f"{row.paper_macs / 1e9:.3g} billion multiply-adds, and the network has "
                f"{row.recounted_macs / 1e9:.3g}"
            )


def _baseline_prefix(baseline: str, has_several_baselines: bool) -> str:
    return f"{baseline}: " if has_several_baselines else ""


def _interval_text(value: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"{_points_text(value)} points"
    return f"{_points_text(value)} points [{_points_text(low)}, {_points_text(high)}]"


def _points_text(value: float) -> str:
    return f"{100 * value:+.1f}"


def _accuracy_text(row: AblationRow) -> str:
    if row.low is None or row.high is None:
        return f"{100 * row.accuracy:.1f}%"
    return f"{100 * row.accuracy:.1f}% [{100 * row.low:.1f}, {100 * row.high:.1f}]"


def _count_text(value: float) -> str:
    """Format a count with a unit and three digits: 1.83G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class AblationResult:
    """The results of an ablation: table, curves, sentences, and their folder."""

    ablation: Ablation
    folder: Path
    rows: tuple[AblationRow, ...]
    gains: tuple[SeriesGain, ...]
    curve_comparisons: tuple[CurveComparison, ...]
    sentences: tuple[str, ...]


def ablation_result(
    ablation: Ablation, folder: Path, records: dict[str, pd.DataFrame]
) -> AblationResult:
    """Evaluate the records of each baseline. Raises SearchError if none is complete."""
    table_rows = ablation_rows(ablation, records)
    is_matched = all(series.matched for series in ablation.series)
    compares_curves = (
        ablation.against is not None and ablation.figure == "curves" and not is_matched
    )
    comparisons = curve_comparisons(ablation, table_rows, records) if compares_curves else ()
    series_gain = series_gains(table_rows, records)
    return AblationResult(
        ablation,
        folder,
        table_rows,
        series_gain,
        comparisons,
        sentences(ablation, table_rows, series_gain, comparisons),
    )
