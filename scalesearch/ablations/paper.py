"""What the paper prints of a network, and what that network really costs."""

from dataclasses import dataclass, replace

from scalesearch.ablations.points import Point
from scalesearch.ablations.spec import Ablation
from scalesearch.architectures import BASELINES, cost, scaled
from scalesearch.published import PAPER_PIXELS, PUBLISHED, TABLE_3, TABLE_7
from scalesearch.rounding import ROUNDINGS

NEAR = 1.25
"""Factor of cost within which a published model stands beside a member of the family."""
UNSTATED = "compound"
"""The series that a row without stated coefficients is taken for."""


@dataclass(frozen=True, slots=True)
class Printed:
    """``where``: the row. ``accuracy``: a fraction, on ImageNet. ``macs``: as printed, rounded."""

    where: str
    accuracy: float
    macs: float


def printed(ablation: Ablation, point: Point) -> Printed | None:
    """The paper's row of a point; None where it prints none.

    Of the emitted family, whose members the paper does not have, the published model whose cost
    over B0's is the nearest, if it is near.
    """
    if point.matched:
        return (
            _model(point.factor)
            if ablation.figure == "costs" and _is_first(ablation, point)
            else None
        )
    table, name = (TABLE_3, "table 3") if ablation.name == "table3" else (TABLE_7, "table 7")
    rows = [row for row in table if row.baseline == point.baseline]
    for row in rows:
        if row.multipliers == point.asked:
            return Printed(name, row.top1, row.macs)
    for row in rows:
        if row.multipliers is None and point.series == UNSTATED:
            return Printed(f"{name}, coefficients not stated", row.top1, row.macs)
    return None


def recounted(point: Point) -> int | None:
    """Multiply-adds of the network that these multipliers are of the whole baseline: at the paper's
    resolution and under the official rounding. None for one of another definition."""
    if point.matched or point.baseline not in BASELINES:
        return None
    network = scaled(BASELINES[point.baseline](), point.asked, ROUNDINGS["official"])
    named = PAPER_PIXELS.get(point.asked.resolution, network.resolution)
    return cost(replace(network, resolution=named)).macs


def _is_first(ablation: Ablation, point: Point) -> bool:
    return point.series == ablation.series[0].name and point.baseline == "efficientnet_b0"


def _model(factor: float) -> Printed | None:
    own = PUBLISHED["b0"].macs
    found = []
    for model in PUBLISHED.values():
        if model.macs is not None and model.top1 is not None and own is not None:
            ratio = model.macs / own / factor
            found.append((max(ratio, 1 / ratio), Printed(model.name, model.top1, model.macs)))
    off, nearest = min(found, key=lambda pair: pair[0])
    return nearest if off <= NEAR else None
