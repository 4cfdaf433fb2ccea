"""An ablation's table: what each network cost and reached, beside what the paper says of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
from scipy.special import stdtrit

from scalesearch.ablations.paper import printed, recounted
from scalesearch.ablations.points import Point, points
from scalesearch.ablations.spec import Ablation
from scalesearch.analysis import behind, paired, summary
from scalesearch.analysis.comparisons import holm
from scalesearch.analysis.pairs import Accuracies, accuracies
from scalesearch.errors import SearchError

LEVEL = 0.1
"""Of all intervals: 90%."""


@dataclass(frozen=True, slots=True)
class Row:
    """One network of a series. What is not known is None.

    ``asked_*``: nominal multipliers and the cost they ask for; ``depth``, ``width``, ``resolution``
    and ``factor``: what the whole-number network realises. ``deviation``: of a matched network, how
    far on the simplex its shares are from those asked for. ``accuracy``: mean over ``seeds`` at the
    last epoch; ``low``, ``high``: its 90% interval with the noise of the whole search, for
    comparing networks on the same seeds. ``lead``: how much higher the series ``against`` is at the
    same place, with interval, p and the p corrected for several (Holm). ``paper_*``: as printed,
    for the paper's whole network, whose cost is ``recounted_macs``.
    """

    baseline: str
    series: str
    point: str
    candidate: str
    asked_depth: float
    asked_width: float
    asked_resolution: float
    asked_factor: float
    depth: float
    width: float
    resolution: float
    pixels: int
    macs: int
    params: int
    activations: int
    factor: float
    deviation: float | None
    accuracy: float
    low: float | None
    high: float | None
    seeds: int
    lead: float | None = None
    lead_low: float | None = None
    lead_high: float | None = None
    p: float | None = None
    p_corrected: float | None = None
    paper_row: str = ""
    paper_accuracy: float | None = None
    paper_macs: float | None = None
    recounted_macs: int | None = None


def rows(ablation: Ablation, records: Mapping[str, pd.DataFrame]) -> tuple[Row, ...]:
    """The table from each baseline's records. Points that have failed are left out.

    Raises SearchError where nothing was trained to the end.
    """
    return tuple(row for name, table in records.items() for row in _rows(ablation, name, table))


def table(found: Sequence[Row]) -> pd.DataFrame:
    """The rows as a table, one column for each field."""
    return pd.DataFrame([asdict(row) for row in found])


def final_accuracies(records: pd.DataFrame) -> dict[str, dict[int, float]]:
    """Candidate -> seed -> accuracy after the last epoch."""
    return accuracies(records, int(records["epoch"].max()))


def candidates(records: pd.DataFrame) -> dict[str, str]:
    """The name of each point that was trained -> its candidate."""
    first = records.drop_duplicates("candidate")
    return {
        name: str(candidate)
        for cells, candidate in zip(first["cell"], first["candidate"], strict=True)
        for name in str(cells).split("; ")
    }


def _rows(ablation: Ablation, baseline: str, records: pd.DataFrame) -> list[Row]:
    where = candidates(records)
    asked = [point for point in points(ablation, baseline) if point.name in where]
    results = {result.candidate: result for result in summary(records)}
    accuracy = final_accuracies(records)
    pixels = records.drop_duplicates("candidate").set_index("candidate")["resolution"]
    df = paired(accuracy).df
    found = []
    for point in (point for point in asked if where[point.name] in results):
        result = results[where[point.name]]
        reach = None
        if result.standard_error is not None:
            reach = float(stdtrit(df or result.seeds - 1, 1 - LEVEL / 2)) * result.standard_error
        row = Row(
            baseline=baseline,
            series=point.series,
            point=point.name,
            candidate=result.candidate,
            asked_depth=point.asked.depth,
            asked_width=point.asked.width,
            asked_resolution=point.asked.resolution,
            asked_factor=point.factor,
            depth=result.multipliers.depth,
            width=result.multipliers.width,
            resolution=result.multipliers.resolution,
            pixels=int(pixels[result.candidate]),
            macs=int(result.macs),
            params=int(result.params),
            activations=int(result.activations),
            factor=result.factor,
            deviation=None if point.shares is None else point.shares.distance(result.shares),
            accuracy=result.accuracy,
            low=None if reach is None else result.accuracy - reach,
            high=None if reach is None else result.accuracy + reach,
            seeds=result.seeds,
        )
        found.append(replace(row, **_paper(ablation, point)))
    return _compared(ablation, asked, found, accuracy)


def _paper(ablation: Ablation, point: Point) -> dict[str, Any]:
    row, count = printed(ablation, point), recounted(point)
    if row is None:
        return {"recounted_macs": count}
    return {
        "paper_row": row.where,
        "paper_accuracy": row.accuracy,
        "paper_macs": row.macs,
        "recounted_macs": count,
    }


def _compared(
    ablation: Ablation, asked: Sequence[Point], found: Sequence[Row], accuracy: Accuracies
) -> list[Row]:
    """The rows with how far the series ``against`` leads each, paired by seed."""
    by_name = {row.point: row for row in found}
    leads = {}
    for point, leader in _pairs(ablation, asked):
        row, first = by_name.get(point.name), by_name.get(leader.name)
        if row is None or first is None or row.candidate == first.candidate:
            continue
        try:
            leads[point.name] = behind(accuracy, first.candidate, row.candidate, level=LEVEL)
        except SearchError:  # a single seed
            continue
    corrected = dict(zip(leads, holm([lead.p for lead in leads.values()]), strict=True))
    return [
        replace(
            row,
            lead=leads[row.point].mean,
            lead_low=leads[row.point].low,
            lead_high=leads[row.point].high,
            p=leads[row.point].p,
            p_corrected=corrected[row.point],
        )
        if row.point in leads
        else row
        for row in found
    ]


def _pairs(ablation: Ablation, asked: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    """Each point with that of ``against`` which is to cost the same, or stands in the same table;
    points on curves of multipliers, which cost what they cost, have none, nor has the baseline."""
    kinds = {series.name: series for series in ablation.series}
    first = [point for point in asked if point.series == ablation.against]
    for point in asked:
        if point.series == ablation.against or point.factor == 1:
            continue
        own = kinds[point.series]
        for leader in first:
            other = kinds[leader.series]
            both = own.along is not None and other.along is not None
            single = all(point.name == point.series for point in (point, leader))
            if single or (both and point.factor == leader.factor):
                yield point, leader
