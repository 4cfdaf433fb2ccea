"""An ablation's table: cost and accuracy of each network, beside the paper's."""

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
"""Largest ratio of costs at which a published model is shown beside a member of the family."""
UNSTATED_SERIES = "compound"
"""The series of the paper's rows without stated coefficients."""


@dataclass(frozen=True, slots=True)
class PaperResult:
    """A result that the paper prints."""

    table_row: str
    """Where it is printed."""
    accuracy: float
    """Fraction of ImageNet."""
    macs: float
    """As printed, rounded."""


def paper_result(ablation: Ablation, point: AblationPoint) -> PaperResult | None:
    """Find the paper's row for a point; None if there is none.

    For a member of our own family, which the paper does not have, this is the published model with
    the nearest cost over B0's, if it is near enough.
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
    """Count the multiply-adds of a point's network at full size.

    That is the paper's resolution and the official rounding. None for a baseline of the user.
    """
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
"""Significance level of tests and of the 90% intervals."""


@dataclass(frozen=True, slots=True)
class AblationRow:
    """One network of a series; unknown values are None."""

    baseline: str
    series: str
    point: str
    candidate: str
    asked_depth: float
    """Nominal depth multiplier, before rounding."""
    asked_width: float
    asked_resolution: float
    asked_factor: float
    """Nominal cost over the baseline's."""
    depth: float
    """Depth multiplier of the network after rounding."""
    width: float
    resolution: float
    pixels: int
    macs: int
    params: int
    activations: int
    factor: float
    """Realised cost over the baseline's."""
    deviation: float | None
    """Distance on the simplex of a matched network's shares from the nominal ones."""
    accuracy: float
    """Mean over the seeds at the last epoch."""
    low: float | None
    """Lower bound of the 90% interval, for comparing networks on the same seeds."""
    high: float | None
    seeds: int
    lead: float | None = None
    """Lead of the series ``against`` over this network."""
    lead_low: float | None = None
    lead_high: float | None = None
    p: float | None = None
    p_corrected: float | None = None
    """p with Holm's correction for several tests."""
    paper_row: str = ""
    """Where the paper prints the result of its full-size network."""
    paper_accuracy: float | None = None
    paper_macs: float | None = None
    recounted_macs: int | None = None
    """Multiply-adds of the paper's network, by our count."""


def ablation_rows(
    ablation: Ablation, records: Mapping[str, pd.DataFrame]
) -> tuple[AblationRow, ...]:
    """Make the table from each baseline's records, without points that have failed.

    Raises SearchError if no network has finished.
    """
    return tuple(
        row for name, table in records.items() for row in _baseline_rows(ablation, name, table)
    )


def rows_to_table(ablation_rows: Sequence[AblationRow]) -> pd.DataFrame:
    """Return the rows as a table with a column for each field."""
    return pd.DataFrame([asdict(row) for row in ablation_rows])


def final_accuracies(records: pd.DataFrame) -> dict[str, dict[int, float]]:
    """Return the accuracy after the last epoch: candidate -> seed -> accuracy."""
    return accuracies(records, int(records["epoch"].max()))


def candidate_by_point(records: pd.DataFrame) -> dict[str, str]:
    """Map the name of each trained point to its candidate."""
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
    """Add to each row the lead of the series ``against``, paired by seed."""
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
    """Pair each point with the point of ``against`` of the same nominal cost or the same table.

    Points on curves of multipliers have no partner, since their costs differ; nor has the baseline.
    """
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
