"""The report page's interactive triangle of shares, as SVG paths for the template."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize, to_hex
from numpy.typing import NDArray

from scalesearch.analysis.summary import CandidateResult
from scalesearch.figures.simplex import SimplexData
from scalesearch.figures.style import COLOUR_MAP
from scalesearch.figures.ternary import Ternary
from scalesearch.figures.triangle import (
    CORNERS,
    cartesian,
    colour_limits,
    legend_order,
    references_text,
)
from scalesearch.reporting.report_data import ReportData
from scalesearch.reporting.tables import FINGERPRINT_DIGITS, roles_text

SIDE, LEFT, TOP = 520.0, 60.0, 46.0
"""Side and position of the triangle, in units of the drawing."""
HEIGHT = SIDE * float(CORNERS[2, 1])
BAND_COUNT = 12
"""Number of colours of the surface."""
REFERENCE_CORNERS = {"depth": 4, "width": -4, "resolution": 3, "uniform": 5, "paper": -5}
"""Corners of the mark of each reference; negative for a diamond and a star."""

OPTIMUM_PATH = (
    "M-7-3.5l3.5-3.5 3.5 3.5 3.5-3.5 3.5 3.5-3.5 3.5 3.5 3.5-3.5 3.5-3.5-3.5"
    "-3.5 3.5-3.5-3.5 3.5-3.5z"
)
"""Mark of the optimum, around the origin."""
FRAME_PATH = f"M{LEFT:g} {TOP + HEIGHT:.1f}h{SIDE:g}L{LEFT + SIDE / 2:g} {TOP:g}z"

Floats: TypeAlias = NDArray[np.float64]
XY: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class CandidateMark:
    """The mark of a candidate, with the facts that the page shows about it."""

    candidate: str
    x: float
    y: float
    shape: str
    colour: str
    label: str
    facts: tuple[tuple[str, str], ...]
    references: tuple[str, ...]

    @property
    def reference(self) -> bool:
        """Whether the candidate is a reference."""
        return bool(self.references)


@dataclass(frozen=True, slots=True)
class TernarySvg:
    """Everything in the triangle; parts of the surface are empty if there is none."""

    marks: tuple[CandidateMark, ...]
    """Candidates; references are last, and so in front."""
    stopped: tuple[XY, ...]
    """Positions of stopped candidates."""
    bands: tuple[tuple[str, str], ...]
    """Colour and path of each part of the surface."""
    flat: str
    """Path of the area that is as good as the optimum."""
    border: str
    """Path of the border of that area."""
    region: str
    """Path of the optimum's confidence region."""
    optimum: XY | None
    scale: tuple[str, ...]
    """Colours from the ``low`` to the ``high`` accuracy."""
    low: float
    high: float


def ternary_svg(report: ReportData, data: Ternary | SimplexData) -> TernarySvg:
    """Make the drawing from the data of the figure and the results of each candidate."""
    surface = data if isinstance(data, Ternary) else None
    simplex = data.trained if isinstance(data, Ternary) else data
    accuracies = [point.accuracy for point in simplex.points]
    if surface is not None:
        accuracies += [float(mean) for mean in surface.means]
    low, high = colour_limits(accuracies)
    colour_of = _AccuracyColour(low, high)
    references = {point.candidate: point.references for point in simplex.points}
    marks = [
        _mark(result, references.get(result.candidate, ()), colour_of) for result in report.results
    ]
    return TernarySvg(
        marks=tuple(sorted(marks, key=lambda mark: mark.reference)),
        stopped=tuple(to_xy(shares) for shares in simplex.stopped),
        bands=tuple(_band_paths(surface, colour_of)) if surface else (),
        flat="".join(_flat_paths(surface)) if surface else "",
        border="".join(_border_paths(surface)) if surface else "",
        region=_closed_path([to_xy(corner) for corner in surface.region]) if surface else "",
        optimum=to_xy(surface.optimum) if surface else None,
        scale=tuple(colour_of(low + (high - low) * step / 8) for step in range(9)),
        low=low,
        high=high,
    )


def to_xy(shares: Sequence[float] | Floats) -> XY:
    """Return the position of shares: depth is left, width right, resolution up."""
    x, y = cartesian([tuple(shares)])[0].tolist()
    return round(LEFT + SIDE * x, 1), round(TOP + HEIGHT - SIDE * y, 1)


class _AccuracyColour:
    """Maps an accuracy to a colour."""

    def __init__(self, low: float, high: float) -> None:
        self.norm, self.colours = Normalize(low, high), mpl.colormaps[COLOUR_MAP]

    def __call__(self, accuracy: float) -> str:
        return to_hex(self.colours(float(self.norm(accuracy))))


def _mark(
    result: CandidateResult, references: Sequence[str], colour_of: _AccuracyColour
) -> CandidateMark:
    x, y = to_xy(result.shares.as_tuple())
    error = "" if result.standard_error is None else f" ± {result.standard_error:.4f}"
    facts = (
        ("network", result.candidate[:FINGERPRINT_DIGITS]),
        ("part", roles_text(result.role)),
        ("accuracy", f"{result.accuracy:.4f}{error}"),
        ("seeds", str(result.seeds)),
        ("shares", _axis_values(result.shares.as_tuple(), ".2f")),
        (
            "multipliers",
            _axis_values(
                (result.multipliers.depth, result.multipliers.width, result.multipliers.resolution),
                "x",
            ),
        ),
        ("cost", f"{result.factor:.3f} times the baseline's"),
        ("multiply-adds", f"{result.macs:,}"),
        ("parameters", f"{result.params:,}"),
        ("activations", f"{result.activations:,}"),
    )
    label = references_text(references) or "searched"
    return CandidateMark(
        candidate=result.candidate,
        x=x,
        y=y,
        shape=_mark_path(references, x, y),
        colour=colour_of(result.accuracy),
        label=f"{label}: accuracy {result.accuracy:.4f}{error}, shares {facts[4][1]}",
        facts=facts,
        references=tuple(references),
    )


def legend_marks(data: TernarySvg) -> tuple[tuple[str, str], ...]:
    """Return the name and the path of each kind of mark, for the legend."""
    reference_sets = sorted({mark.references for mark in data.marks}, key=legend_order)
    return tuple(
        (references_text(references) or "searched", _mark_path(references, 0, 0))
        for references in reference_sets
    )


def _axis_values(values: Sequence[float], number_format: str) -> str:
    names = ("depth", "width", "resolution")
    texts = [
        f"{value:.3f}x" if number_format == "x" else format(value, number_format)
        for value in values
    ]
    return ", ".join(f"{name} {value}" for name, value in zip(names, texts, strict=True))


def _mark_path(references: Sequence[str], x: float, y: float) -> str:
    """Return the path of a mark: a circle for a candidate that is no reference."""
    if not references:
        return f"M{x - 6:g} {y:g}a6 6 0 1 0 12 0a6 6 0 1 0-12 0z"
    corners = REFERENCE_CORNERS.get(references[0], 6)
    count, radius = abs(corners), 12.0 if corners == -5 else 9.5
    turn = math.pi / 4 if corners == 4 else 0.0
    steps = 2 * count if corners == -5 else count
    points = []
    for step in range(steps):
        angle = turn + 2 * math.pi * step / steps - math.pi / 2
        distance = radius * (0.45 if corners == -5 and step % 2 else 1.0)
        points.append(
            (round(x + distance * math.cos(angle), 1), round(y + distance * math.sin(angle), 1))
        )
    return _closed_path(points)


def _closed_path(points: Iterable[XY]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) + "z"


def _lattice_triangles(data: Ternary) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of the corners of each smallest triangle of the lattice."""
    steps = round(1 / np.min(data.shares[data.shares > 0]))
    counts = np.rint(data.shares * steps).astype(int)
    index_of = {tuple(count): index for index, count in enumerate(counts.tolist())}
    for (first, second, third), index in index_of.items():
        right, up = (first - 1, second + 1, third), (first - 1, second, third + 1)
        across = (first - 2, second + 1, third + 1)
        if right in index_of and up in index_of:
            yield np.array([index, index_of[right], index_of[up]])
            if across in index_of:
                yield np.array([index_of[right], index_of[across], index_of[up]])


def _band_paths(data: Ternary, colour_of: _AccuracyColour) -> Iterator[tuple[str, str]]:
    """Yield each colour with the path of the surface between its bounds."""
    edges = np.linspace(colour_of.norm.vmin or 0.0, colour_of.norm.vmax or 0.0, BAND_COUNT + 1)
    edges[0], edges[-1] = -np.inf, np.inf
    inner = np.diff(edges[1:-1]).mean()
    triangles = [
        (data.shares[corners], data.means[corners]) for corners in _lattice_triangles(data)
    ]
    for band, (low, high) in enumerate(pairwise(edges)):
        path = "".join(
            _closed_path(to_xy(corner_point) for corner_point in polygon)
            for corner_shares, means in triangles
            if means.max() >= low
            and means.min() <= high
            and len(polygon := clip_polygon(corner_shares, means, low, high)) > 2
        )
        if path:
            yield colour_of(float(edges[1] + (band - 0.5) * inner)), path


def _flat_paths(data: Ternary) -> Iterator[str]:
    """Yield the path of the part of each triangle whose margin is at most 0."""
    for corners in _lattice_triangles(data) if data.has_outline else ():
        polygon = clip_polygon(data.shares[corners], data.margins[corners], -np.inf, 0.0)
        if len(polygon) > 2:
            yield _closed_path(to_xy(corner_point) for corner_point in polygon)


def _border_paths(data: Ternary) -> Iterator[str]:
    for corners in _lattice_triangles(data) if data.has_outline else ():
        corner_shares, margins = data.shares[corners], data.margins[corners]
        crossings = [
            to_xy(_crossing_point(corner_shares, margins, side, (side + 1) % 3, 0.0))
            for side in range(3)
            if (margins[side] <= 0) != (margins[(side + 1) % 3] <= 0)
        ]
        if len(crossings) == 2:
            (x, y), (to_x, to_y) = crossings
            yield f"M{x:g} {y:g}L{to_x:g} {to_y:g}"


def clip_polygon(points_N3: Floats, values: Floats, low: float, high: float) -> list[Floats]:
    """Return the corners of the part of a polygon with values from low to high."""
    for bound, sign in ((low, -1.0), (high, 1.0)):
        if not np.isfinite(bound):
            continue
        is_inside = sign * (values - bound) <= 0
        corners: list[tuple[Floats, float]] = []
        for corner in range(len(points_N3)):
            next_corner = (corner + 1) % len(points_N3)
            if is_inside[corner]:
                corners.append((points_N3[corner], float(values[corner])))
            if is_inside[corner] != is_inside[next_corner]:
                corners.append(
                    (_crossing_point(points_N3, values, corner, next_corner, bound), bound)
                )
        if not corners:
            return []
        points_N3 = np.array([point for point, _ in corners])
        values = np.array([value for _, value in corners])
    return list(points_N3)


def _crossing_point(points: Floats, values: Floats, start: int, end: int, bound: float) -> Floats:
    """Return the point of a side with a given value."""
    fraction = (bound - values[start]) / (values[end] - values[start])
    point: Floats = points[start] + fraction * (points[end] - points[start])
    return point


def grid_ticks() -> Iterator[tuple[str, XY, XY, XY]]:
    """Yield share, start, end and label position of each grid line, at quarters."""
    for axis in range(3):
        for share in (0.25, 0.5, 0.75):
            start, end = np.zeros(3), np.zeros(3)
            start[axis] = end[axis] = share
            start[(axis + 2) % 3] = end[(axis + 1) % 3] = 1 - share
            (x, y) = to_xy(start)
            label_offset = ((0.0, 20.0), (18.0, -2.0), (-20.0, -2.0))[(axis + 2) % 3]
            yield f"{share:.2f}"[1:], (x, y), to_xy(end), (x + label_offset[0], y + label_offset[1])
