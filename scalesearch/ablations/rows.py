"""An ablation's table: what each network cost and reached, beside what the paper says of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
from scipy.special import stdtrit

from scalesearch.ablations.paper import paper_result, full_size_macs
from scalesearch.ablations.points import AblationPoint, ablation_points
from scalesearch.ablations.spec import Ablation
from scalesearch.analysis import paired_difference, paired, candidate_results
from scalesearch.analysis.comparisons import holm_correction
from scalesearch.analysis.pairs import Accuracies, accuracies
from scalesearch.errors import SearchError

SIGNIFICANCE_LEVEL = 0.1
"""Of all intervals: 90%."""


@dataclass(frozen=True, slots=True)
class AblationRow:
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


def ablation_rows(ablation: Ablation, records: Mapping[str, pd.DataFrame]) -> tuple[AblationRow, ...]:
    """The table from each baseline's records. Points that have failed are left out.

    Raises SearchError where nothing was trained to the end.
    """
    return tuple(row for name, table in records.items() for row in _baseline_rows(ablation, name, table))


def rows_to_table(ablation_rows: Sequence[AblationRow]) -> pd.DataFrame:
    """The rows as a table, one column for each field."""
    return pd.DataFrame([asdict(row) for row in ablation_rows])


def final_accuracies(records: pd.DataFrame) -> dict[str, dict[int, float]]:
    """Candidate -> seed -> accuracy after the last epoch."""
    return accuracies(records, int(records["epoch"].max()))


def candidate_by_point(records: pd.DataFrame) -> dict[str, str]:
    """The name of each point that was trained -> its candidate."""
    first_records = records.drop_duplicates("candidate")
    return {
        name: str(candidate)
        for cells, candidate in zip(first_records["cell"], first_records["candidate"], strict=True)
        for name in str(cells).split("; ")
    }


def _baseline_rows(ablation: Ablation, baseline: str, records: pd.DataFrame) -> list[AblationRow]:
    candidate_of = candidate_by_point(records)
    trained_points = [point for point in ablation_points(ablation, baseline) if point.name in candidate_of]
    results = {result.candidate: result for result in candidate_results(records)}
    accuracies = final_accuracies(records)
    pixels = records.drop_duplicates("candidate").set_index("candidate")["resolution"]
    df = paired(accuracies).df
    result_rows = []
    for point in (point for point in trained_points if candidate_of[point.name] in results):
        result = results[candidate_of[point.name]]
        half_width = None
        if result.standard_error is not None:
            half_width = float(stdtrit(df or result.seeds - 1, 1 - SIGNIFICANCE_LEVEL / 2)) * result.standard_error
        row = AblationRow(
            baseline=baseline,
            series=point.series,
            point=point.name,
            candidate=result.candidate,
            asked_depth=point.nominal_multipliers.depth,
            asked_width=point.nominal_multipliers.width,
            asked_resolution=point.nominal_multipliers.resolution,
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
            low=None if half_width is None else result.accuracy - half_width,
            high=None if half_width is None else result.accuracy + half_width,
            seeds=result.seeds,
        )
        result_rows.append(replace(row, **_paper_columns(ablation, point)))
    return _with_leads(ablation, trained_points, result_rows, accuracies)


def _paper_columns(ablation: Ablation, point: AblationPoint) -> dict[str, Any]:
    row, macs = paper_result(ablation, point), full_size_macs(point)
    if row is None:
        return {"recounted_macs": macs}
    return {
        "paper_row": row.table_row,
        "paper_accuracy": row.accuracy,
        "paper_macs": row.macs,
        "recounted_macs": macs,
    }


def _with_leads(
    ablation: Ablation, trained_points: Sequence[AblationPoint], result_rows: Sequence[AblationRow], accuracies: Accuracies
) -> list[AblationRow]:
    """The rows with how far the series ``against`` leads each, paired by seed."""
    by_name = {row.point: row for row in result_rows}
    leads = {}
    for point, leader in _compared_pairs(ablation, trained_points):
        row, leader_row = by_name.get(point.name), by_name.get(leader.name)
        if row is None or leader_row is None or row.candidate == leader_row.candidate:
            continue
        try:
            leads[point.name] = paired_difference(accuracies, leader_row.candidate, row.candidate, level=SIGNIFICANCE_LEVEL)
        except SearchError:  # a single seed
            continue
    corrected_p = dict(zip(leads, holm_correction([lead.p for lead in leads.values()]), strict=True))
    return [
        replace(
            row,
            lead=leads[row.point].mean,
            lead_low=leads[row.point].low,
            lead_high=leads[row.point].high,
            p=leads[row.point].p,
            p_corrected=corrected_p[row.point],
        )
        if row.point in leads
        else row
        for row in result_rows
    ]


def _compared_pairs(ablation: Ablation, trained_points: Sequence[AblationPoint]) -> Iterator[tuple[AblationPoint, AblationPoint]]:
    """Each point with that of ``against`` which is to cost the same, or stands in the same table;
    points on curves of multipliers, which cost what they cost, have none, nor has the baseline."""
    series_by_name = {series.name: series for series in ablation.series}
    leading_points = [point for point in trained_points if point.series == ablation.against]
    for point in trained_points:
        if point.series == ablation.against or point.factor == 1:
            continue
        series_of_point = series_by_name[point.series]
        for leader in leading_points:
            series_of_leader = series_by_name[leader.series]
            are_both_along = series_of_point.along is not None and series_of_leader.along is not None
            are_both_single = all(point.name == point.series for point in (point, leader))
            if are_both_single or (are_both_along and point.factor == leader.factor):
                yield point, leader
