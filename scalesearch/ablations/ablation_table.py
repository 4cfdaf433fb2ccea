"""What the paper prints of a network, and what that network really costs.

An ablation's table: what each network cost and reached, beside what the paper says of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
from scipy.special import stdtrit

from scalesearch.ablations.spec import Ablation, AblationPoint, ablation_points
from scalesearch.analysis.comparisons import holm_correction
from scalesearch.analysis.paired import Accuracies, accuracies, paired_difference, paired_noise
from scalesearch.analysis.summary import candidate_results
from scalesearch.architectures.baselines import BASELINES
from scalesearch.architectures.cost import cost
from scalesearch.architectures.scaled import scale
from scalesearch.errors import SearchError
from scalesearch.scaling.published import PAPER_PIXELS, PUBLISHED_MODELS, TABLE_3, TABLE_7
from scalesearch.scaling.rounding import ROUNDINGS

MAX_COST_RATIO = 1.25
"""Factor of cost within which a published model stands beside a member of the family."""
UNSTATED_SERIES = "compound"
"""The series that a row without stated coefficients is taken for."""


@dataclass(frozen=True, slots=True)
class PaperResult:
    """``where``: the row. ``accuracy``: a fraction, on ImageNet. ``macs``: as printed, rounded."""

    table_row: str
    accuracy: float
    macs: float


def paper_result(ablation: Ablation, point: AblationPoint) -> PaperResult | None:
    """The paper's row of a point; None where it prints none.

    Of the emitted family, whose members the paper does not have, the published model whose cost
    over B0's is the nearest, if it is near.
    """
    if point.is_matched:
        return (
            _nearest_published(point.factor)
            if ablation.figure == "costs" and _is_first_series(ablation, point)
            else None
        )
    table, name = (TABLE_3, "table 3") if ablation.name == "table3" else (TABLE_7, "table 7")
    rows = [row for row in table if row.baseline == point.baseline]
    for row in rows:
        if row.multipliers == point.nominal_multipliers:
            return PaperResult(name, row.top1, row.macs)
    for row in rows:
        if row.multipliers is None and point.series == UNSTATED_SERIES:
            return PaperResult(f"{name}, coefficients not stated", row.top1, row.macs)
    return None


def full_size_macs(point: AblationPoint) -> int | None:
    """Multiply-adds of the network that these multipliers are of the whole baseline: at the paper's
    resolution and under the official rounding. None for one of another definition."""
    if point.is_matched or point.baseline not in BASELINES:
        return None
    network = scale(BASELINES[point.baseline](), point.nominal_multipliers, ROUNDINGS["official"])
    pixels = PAPER_PIXELS.get(point.nominal_multipliers.resolution, network.resolution)
    return cost(replace(network, resolution=pixels)).macs


def _is_first_series(ablation: Ablation, point: AblationPoint) -> bool:
    return point.series == ablation.series[0].name and point.baseline == "efficientnet_b0"


def _nearest_published(factor: float) -> PaperResult | None:
    b0_macs = PUBLISHED_MODELS["b0"].macs
    candidates = []
    for model in PUBLISHED_MODELS.values():
        if model.macs is not None and model.top1 is not None and b0_macs is not None:
            ratio = model.macs / b0_macs / factor
            candidates.append(
                (max(ratio, 1 / ratio), PaperResult(model.name, model.top1, model.macs))
            )
    distance, nearest = min(candidates, key=lambda pair: pair[0])
    return nearest if distance <= MAX_COST_RATIO else None


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


def ablation_rows(
    ablation: Ablation, records: Mapping[str, pd.DataFrame]
) -> tuple[AblationRow, ...]:
    """The table from each baseline's records. Points that have failed are left out.

    Raises SearchError where nothing was trained to the end.
    """
    return tuple(
        row for name, table in records.items() for row in _baseline_rows(ablation, name, table)
    )


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
    trained_points = [
        point for point in ablation_points(ablation, baseline) if point.name in candidate_of
    ]
    results = {result.candidate: result for result in candidate_results(records)}
    accuracies = final_accuracies(records)
    pixels = records.drop_duplicates("candidate").set_index("candidate")["resolution"]
    df = paired_noise(accuracies).df
    result_rows = []
    for point in (point for point in trained_points if candidate_of[point.name] in results):
        result = results[candidate_of[point.name]]
        half_width = None
        if result.standard_error is not None:
            half_width = (
                float(stdtrit(df or result.seeds - 1, 1 - SIGNIFICANCE_LEVEL / 2))
                * result.standard_error
            )
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
    ablation: Ablation,
    trained_points: Sequence[AblationPoint],
    result_rows: Sequence[AblationRow],
    accuracies: Accuracies,
) -> list[AblationRow]:
    """The rows with how far the series ``against`` leads each, paired by seed."""
    by_name = {row.point: row for row in result_rows}
    leads = {}
    for point, leader in _compared_pairs(ablation, trained_points):
        row, leader_row = by_name.get(point.name), by_name.get(leader.name)
        if row is None or leader_row is None or row.candidate == leader_row.candidate:
            continue
        try:
            leads[point.name] = paired_difference(
                accuracies, leader_row.candidate, row.candidate, level=SIGNIFICANCE_LEVEL
            )
        except SearchError:  # a single seed
            continue
    corrected_p = dict(
        zip(leads, holm_correction([lead.p for lead in leads.values()]), strict=True)
    )
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


def _compared_pairs(
    ablation: Ablation, trained_points: Sequence[AblationPoint]
) -> Iterator[tuple[AblationPoint, AblationPoint]]:
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
            are_both_along = (
                series_of_point.along is not None and series_of_leader.along is not None
            )
            are_both_single = all(point.name == point.series for point in (point, leader))
            if are_both_single or (are_both_along and point.factor == leader.factor):
                yield point, leader
