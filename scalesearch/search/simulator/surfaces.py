"""What a network would reach if it were trained: surfaces over shares, whose best is known.

Accuracies, noise and curves are about those of EfficientNet-B0 at quarter width on some thousand
images of CIFAR-10: after 3 epochs a run's standard deviation beside the others of its seed is 0.8
points, and falls with the length; of it, what one epoch shows is little more than half what the
next one shows.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from scalesearch.scaling import Shares
from scalesearch.search.simulator.chance import normal

Vector = tuple[float, float, float]


class Point(NamedTuple):
    """A candidate as a surface sees it: the architecture's fingerprint and effective shares."""

    candidate: str
    shares: Shares


class Surface(Protocol):
    """Accuracy, noise and cost of every candidate, without training."""

    @property
    def name(self) -> str: ...

    def accuracy(self, point: Point, epoch: int) -> float:
        """True accuracy: in the mean over all seeds there could be."""

    def deviation(self, point: Point, run: int, epoch: int, chance: int) -> float:
        """What a run with the seed ``run`` deviates by from that. A seed moves all candidates alike
        and each by something of its own; ``chance`` numbers the worlds in which it does."""

    def seconds(self, point: Point) -> float:
        """Of one epoch, on a worker of speed 1."""


def measured(surface: Surface, point: Point, run: int, epoch: int, chance: int) -> float:
    """The accuracy that a run shows after an epoch, a fraction."""
    value = surface.accuracy(point, epoch) + surface.deviation(point, run, epoch, chance)
    return min(max(value, 0.0), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Standard deviations after three epochs; they fall with the root of the length.

    ``seed``: of what a seed does to all candidates; ``run``: of what it does to one of them.
    ``lasting``: the part of a run's variance that is the same after every epoch.
    """

    seed: float = 0.006
    run: float = 0.008
    lasting: float = 0.5

    def deviation(self, candidate: str, run: int, epoch: int, chance: int) -> float:
        """What a run deviates by from the mean over all seeds."""
        own = ("run", candidate, run)
        lasting = math.sqrt(self.lasting) * normal(chance, *own)
        passing = math.sqrt(1 - self.lasting) * normal(chance, *own, epoch)
        shared = self.seed * normal(chance, "seed", run)
        return math.sqrt(3 / epoch) * (shared + self.run * (lasting + passing))


@dataclass(frozen=True, slots=True, kw_only=True)
class Analytic:
    """A surface with a known optimum.

    ``peaks``: shares of the optimum, and of lower ones with how much lower each is. ``range``: how
    far the worst corner is below the optimum once the curve is flat. ``weights``: how much it costs
    to stray along each share. ``begins``: where training begins to be best; the optimum moves from
    there to its place within some ``settling`` epochs. ``lumps``: standard deviation of what a
    candidate deviates by from a smooth surface, always the same.
    ``low``, ``high``, ``saturation``: the curve, from chance to the top, and the epochs it takes to
    cover 63% of the way.
    """

    name: str
    peaks: tuple[tuple[Vector, float], ...]
    range: float = 0.05
    weights: Vector = (1.0, 1.0, 1.0)
    begins: Vector | None = None
    settling: float = 4.0
    lumps: float = 0.0
    low: float = 0.1
    high: float = 0.7
    saturation: float = 4.0
    noise: Noise = field(default_factory=Noise)

    def accuracy(self, point: Point, epoch: int) -> float:
        grown = 1 - math.exp(-epoch / self.saturation)
        level = self.low + (self.high - self.low) * grown
        # Differences show early, if not in full: the curves fan out.
        spread = self.range * (0.4 + 0.6 * grown)
        lump = self.lumps * normal(0, "lump", self.name, point.candidate) if self.lumps else 0.0
        return level - spread * self._behind(point.shares.as_tuple(), epoch) + lump

    def deviation(self, point: Point, run: int, epoch: int, chance: int) -> float:
        return self.noise.deviation(point.candidate, run, epoch, chance)

    def seconds(self, point: Point) -> float:
        """Deep networks take longer at equal cost, as many small steps do."""
        return 20.0 * (1 + 1.5 * max(0.0, point.shares.depth))

    def _behind(self, shares: Vector, epoch: int) -> float:
        """How far these shares are behind the optimum; 1 is the worst corner's distance."""
        best, _ = self.peaks[0]
        reach = max(self._squared(corner, best) for corner in CORNERS)
        return min(
            self._squared(shares, self._moved(peak, epoch)) / reach + lower
            for peak, lower in self.peaks
        )

    def _moved(self, peak: Vector, epoch: int) -> Vector:
        if self.begins is None:
            return peak
        left = math.exp(-(epoch - 1) / self.settling)
        d, w, r = (p + left * (b - p) for p, b in zip(peak, self.begins, strict=True))
        return d, w, r

    def _squared(self, one: Vector, other: Vector) -> float:
        pairs = zip(self.weights, one, other, strict=True)
        return sum(weight * (a - b) ** 2 for weight, a, b in pairs)


CORNERS: tuple[Vector, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
PAPER: Vector = (0.28, 0.29, 0.43)
"""About the shares of the paper's alpha, beta, gamma (arXiv:1905.11946): 1.2, 1.1, 1.15."""

SURFACES: dict[str, Analytic] = {
    surface.name: surface
    for surface in (
        Analytic(name="interior", peaks=((PAPER, 0.0),)),
        Analytic(name="edge", peaks=(((0.05, 0.6, 0.35), 0.0),)),
        Analytic(name="corner", peaks=(((0.0, 0.0, 1.0), 0.0),)),
        Analytic(name="flat", peaks=((PAPER, 0.0),), range=0.003),
        Analytic(
            name="ridge", peaks=(((0.45, 0.2, 0.35), 0.0),), weights=(1.0, 0.05, 0.3), range=0.06
        ),
        Analytic(
            name="two-peaked",
            peaks=(((0.6, 0.1, 0.3), 0.0), ((0.05, 0.75, 0.2), 0.12)),
            range=0.05,
        ),
        Analytic(name="drifting", peaks=((PAPER, 0.0),), begins=(0.05, 0.85, 0.1)),
        Analytic(name="rugged", peaks=(((0.2, 0.45, 0.35), 0.0),), lumps=0.002),
    )
}
"""Optima in several places, all of differences that a search may meet: the optimum within, near an
edge, in a corner; none to speak of; one that is blurred along a ridge; a second one that is lower;
one that short training puts elsewhere (ResNet-RS, arXiv:2103.07579, section 6); and one among
networks that keep to no smooth surface."""
