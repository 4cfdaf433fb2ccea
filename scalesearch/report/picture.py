"""The triangle of shares as a drawing whose points tell their runs: numbers for the template."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize, to_hex
from numpy.typing import NDArray

from scalesearch.analysis.answer import Result
from scalesearch.plots.simplex import SimplexData
from scalesearch.plots.style import COLOUR_MAP
from scalesearch.plots.ternary import Ternary
from scalesearch.plots.triangle import place_of, spoken
from scalesearch.report.facts import Facts
from scalesearch.report.tables import SHORT, parts

SIDE, LEFT, TOP = 520.0, 60.0, 46.0
"""Of the triangle, in the units of the drawing, and where it lies."""
HEIGHT = SIDE * math.sqrt(3) / 2
BANDS = 12
"""Colours of the surface."""
SHAPES = {"depth": 4, "width": -4, "resolution": 3, "uniform": 5, "paper": -5}
"""Corners of the mark of each reference; a square on a corner and a star are negative."""

CROSS = (
    "M-7-3.5l3.5-3.5 3.5 3.5 3.5-3.5 3.5 3.5-3.5 3.5 3.5 3.5-3.5 3.5-3.5-3.5"
    "-3.5 3.5-3.5-3.5 3.5-3.5z"
)
"""The optimum's mark, around the origin."""
FRAME = f"M{LEFT:g} {TOP + HEIGHT:.1f}h{SIDE:g}L{LEFT + SIDE / 2:g} {TOP:g}z"

Floats: TypeAlias = NDArray[np.float64]
Place: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A candidate: where it is, its shape, and what is told of it, name by name."""

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
        return bool(self.references)


@dataclass(frozen=True, slots=True)
class Picture:
    """``marks``: references last, and so in front. ``stopped``: places. ``bands``: colour and path
    of the surface's parts; ``flat``: path of what is as good as the optimum, and ``border`` around
    it; ``region``: its confidence region. Empty without a surface. ``scale``: colours from the
    ``low`` to the ``high`` accuracy.
    """

    marks: tuple[Mark, ...]
    stopped: tuple[Place, ...]
    bands: tuple[tuple[str, str], ...]
    flat: str
    border: str
    region: str
    optimum: Place | None
    scale: tuple[str, ...]
    low: float
    high: float


def picture(facts: Facts, drawn: Ternary | SimplexData) -> Picture:
    """From the numbers of the figure, and what is on record of each candidate."""
    surface = drawn if isinstance(drawn, Ternary) else None
    trained = drawn.trained if isinstance(drawn, Ternary) else drawn
    values = [point.accuracy for point in trained.points]
    if surface is not None:
        values += [float(mean) for mean in surface.means]
    low, high = min(values), max(values)
    if high - low < 1e-6:
        low, high = low - 0.005, high + 0.005
    shade = _Shade(low, high)
    references = {point.candidate: point.references for point in trained.points}
    marks = [_mark(one, references.get(one.candidate, ()), shade) for one in facts.results]
    return Picture(
        marks=tuple(sorted(marks, key=lambda mark: mark.reference)),
        stopped=tuple(placed(shares) for shares in trained.stopped),
        bands=tuple(_bands(surface, shade)) if surface else (),
        flat="".join(_flat(surface)) if surface else "",
        border="".join(_border(surface)) if surface else "",
        region=_closed([placed(corner) for corner in surface.region]) if surface else "",
        optimum=placed(surface.optimum) if surface else None,
        scale=tuple(shade(low + (high - low) * step / 8) for step in range(9)),
        low=low,
        high=high,
    )


def placed(shares: Sequence[float] | Floats) -> Place:
    """Shares as x and y of the drawing: depth to the left, width to the right, resolution up."""
    _, width, resolution = (float(share) for share in shares)
    x = LEFT + SIDE * (width + resolution / 2)
    return round(x, 1), round(TOP + HEIGHT * (1 - resolution), 1)


class _Shade:
    """The colour of an accuracy."""

    def __init__(self, low: float, high: float) -> None:
        self.norm, self.colours = Normalize(low, high), mpl.colormaps[COLOUR_MAP]

    def __call__(self, accuracy: float) -> str:
        return to_hex(self.colours(float(self.norm(accuracy))))


def _mark(one: Result, references: Sequence[str], shade: _Shade) -> Mark:
    x, y = placed(one.shares.as_tuple())
    error = "" if one.standard_error is None else f" ± {one.standard_error:.4f}"
    told = (
        ("network", one.candidate[:SHORT]),
        ("part", parts(one.role)),
        ("accuracy", f"{one.accuracy:.4f}{error}"),
        ("seeds", str(one.seeds)),
        ("shares", _three(one.shares.as_tuple(), ".2f")),
        (
            "multipliers",
            _three((one.multipliers.depth, one.multipliers.width, one.multipliers.resolution), "x"),
        ),
        ("cost", f"{one.factor:.3f} times the baseline's"),
        ("multiply-adds", f"{one.macs:,}"),
        ("parameters", f"{one.params:,}"),
        ("activations", f"{one.activations:,}"),
    )
    named = spoken(references) or "searched"
    return Mark(
        candidate=one.candidate,
        x=x,
        y=y,
        shape=_shape(references, x, y),
        colour=shade(one.accuracy),
        label=f"{named}: accuracy {one.accuracy:.4f}{error}, shares {told[4][1]}",
        facts=told,
        references=tuple(references),
    )


def key_of(drawn: Picture) -> tuple[tuple[str, str], ...]:
    """Names and shapes of the marks, each once, for a legend around the origin."""
    kinds = sorted({mark.references for mark in drawn.marks}, key=place_of)
    return tuple((spoken(kind) or "searched", _shape(kind, 0, 0)) for kind in kinds)


def _three(values: Sequence[float], form: str) -> str:
    names = ("depth", "width", "resolution")
    told = [f"{value:.3f}x" if form == "x" else format(value, form) for value in values]
    return ", ".join(f"{name} {value}" for name, value in zip(names, told, strict=True))


def _shape(references: Sequence[str], x: float, y: float) -> str:
    """The path of a mark: a circle for what was only searched."""
    if not references:
        return f"M{x - 6:g} {y:g}a6 6 0 1 0 12 0a6 6 0 1 0-12 0z"
    corners = SHAPES.get(references[0], 6)
    count, radius = abs(corners), 12.0 if corners == -5 else 9.5
    turn = math.pi / 4 if corners == 4 else 0.0
    steps = 2 * count if corners == -5 else count
    places = []
    for step in range(steps):
        angle = turn + 2 * math.pi * step / steps - math.pi / 2
        reach = radius * (0.45 if corners == -5 and step % 2 else 1.0)
        places.append(
            (round(x + reach * math.cos(angle), 1), round(y + reach * math.sin(angle), 1))
        )
    return _closed(places)


def _closed(places: Iterable[Place]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in places) + "z"


def _triangles(drawn: Ternary) -> Iterator[NDArray[np.int64]]:
    """Numbers of the three places around each smallest triangle of the lattice."""
    steps = round(1 / np.min(drawn.places[drawn.places > 0]))
    counts = np.rint(drawn.places * steps).astype(int)
    number = {tuple(count): place for place, count in enumerate(counts.tolist())}
    for (first, second, third), place in number.items():
        right, up = (first - 1, second + 1, third), (first - 1, second, third + 1)
        across = (first - 2, second + 1, third + 1)
        if right in number and up in number:
            yield np.array([place, number[right], number[up]])
            if across in number:
                yield np.array([number[right], number[across], number[up]])


def _bands(drawn: Ternary, shade: _Shade) -> Iterator[tuple[str, str]]:
    """Each colour once, with all of the surface that lies between its bounds."""
    edges = np.linspace(shade.norm.vmin or 0.0, shade.norm.vmax or 0.0, BANDS + 1)
    edges[0], edges[-1] = -np.inf, np.inf
    inner = np.diff(edges[1:-1]).mean()
    triangles = [(drawn.places[corners], drawn.means[corners]) for corners in _triangles(drawn)]
    for band, (least, most) in enumerate(pairwise(edges)):
        path = "".join(
            _closed(placed(place) for place in kept)
            for places, means in triangles
            if means.max() >= least
            and means.min() <= most
            and len(kept := clipped(places, means, least, most)) > 2
        )
        if path:
            yield shade(float(edges[1] + (band - 0.5) * inner)), path


def _outlined(drawn: Ternary) -> bool:
    return not drawn.undecided and bool(drawn.margins.min() <= 0 < drawn.margins.max())


def _flat(drawn: Ternary) -> Iterator[str]:
    """The part of each triangle whose margin is not above 0."""
    for corners in _triangles(drawn) if _outlined(drawn) else ():
        kept = clipped(drawn.places[corners], drawn.margins[corners], -np.inf, 0.0)
        if len(kept) > 2:
            yield _closed(placed(place) for place in kept)


def _border(drawn: Ternary) -> Iterator[str]:
    for corners in _triangles(drawn) if _outlined(drawn) else ():
        places, margins = drawn.places[corners], drawn.margins[corners]
        ends = [
            placed(_between(places, margins, at, (at + 1) % 3, 0.0))
            for at in range(3)
            if (margins[at] <= 0) != (margins[(at + 1) % 3] <= 0)
        ]
        if len(ends) == 2:
            (x, y), (to_x, to_y) = ends
            yield f"M{x:g} {y:g}L{to_x:g} {to_y:g}"


def clipped(places_N3: Floats, values: Floats, least: float, most: float) -> list[Floats]:
    """Corners, going round, of the part of a polygon where values, linear in it, lie between."""
    for bound, sign in ((least, -1.0), (most, 1.0)):
        if not np.isfinite(bound):
            continue
        inside = sign * (values - bound) <= 0
        kept: list[tuple[Floats, float]] = []
        for at in range(len(places_N3)):
            after = (at + 1) % len(places_N3)
            if inside[at]:
                kept.append((places_N3[at], float(values[at])))
            if inside[at] != inside[after]:
                kept.append((_between(places_N3, values, at, after, bound), bound))
        if not kept:
            return []
        places_N3 = np.array([place for place, _ in kept])
        values = np.array([value for _, value in kept])
    return list(places_N3)


def _between(places: Floats, values: Floats, at: int, after: int, bound: float) -> Floats:
    """Where a side comes to a value."""
    part = (bound - values[at]) / (values[after] - values[at])
    there: Floats = places[at] + part * (places[after] - places[at])
    return there


def ticks() -> Iterator[tuple[str, Place, Place, Place]]:
    """The grid at quarters: the share, where its line begins and ends, and where it is written."""
    for axis in range(3):
        for share in (0.25, 0.5, 0.75):
            start, end = np.zeros(3), np.zeros(3)
            start[axis] = end[axis] = share
            start[(axis + 2) % 3] = end[(axis + 1) % 3] = 1 - share
            (x, y) = placed(start)
            away = ((0.0, 20.0), (18.0, -2.0), (-20.0, -2.0))[(axis + 2) % 3]
            yield f"{share:.2f}"[1:], (x, y), placed(end), (x + away[0], y + away[1])
