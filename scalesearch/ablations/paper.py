"""What the paper prints of a network, and what that network really costs."""

from dataclasses import dataclass, replace

from scalesearch.ablations.points import AblationPoint
from scalesearch.ablations.spec import Ablation
from scalesearch.architectures import BASELINES, cost, scale
from scalesearch.published import PAPER_PIXELS, PUBLISHED_MODELS, TABLE_3, TABLE_7
from scalesearch.rounding import ROUNDINGS

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
            candidates.append((max(ratio, 1 / ratio), PaperResult(model.name, model.top1, model.macs)))
    distance, nearest = min(candidates, key=lambda pair: pair[0])
    return nearest if distance <= MAX_COST_RATIO else None
