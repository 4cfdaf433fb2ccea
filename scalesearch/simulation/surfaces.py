"""Chance that is named, not drawn in turn: the same names give the same numbers, in any order.

What a network would reach if it were trained: surfaces over shares, whose best is known.

Accuracies, noise and curves are about those of EfficientNet-B0 at quarter width on some thousand
images of CIFAR-10: after 3 epochs a run's standard deviation beside the others of its seed is 0.8
points, and falls with the length; of it, what one epoch shows is little more than half what the
next one shows.
"""

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import NamedTuple, Protocol

from scalesearch.scaling.coefficients import Shares
from scalesearch.seeding import stream_seed

_NORMAL = NormalDist()


def keyed_uniform(seed: int, *keys: str | int) -> float:
    """Between 0 and 1, neither included."""
    return (stream_seed(seed, *keys) + 0.5) / 2.0**63


def keyed_normal(seed: int, *keys: str | int) -> float:
    """Of mean 0 and standard deviation 1."""
    # Rounded to a float, the last of 2^63 steps is 1.
    return _NORMAL.inv_cdf(min(keyed_uniform(seed, *keys), 1 - 2.0**-53))


ShareVector = tuple[float, float, float]


class SurfacePoint(NamedTuple):
    """A candidate as a surface sees it: the architecture's fingerprint and effective shares."""

    candidate: str
    shares: Shares


class Surface(Protocol):
    """Accuracy, noise and cost of every candidate, without training."""

    @property
    def name(self) -> str: ...

    def accuracy(self, point: SurfacePoint, epoch: int) -> float:
        """True accuracy: in the mean over all seeds there could be."""

    def deviation(self, point: SurfacePoint, run: int, epoch: int, world: int) -> float:
        """What a run with the seed ``run`` deviates by from that. A seed moves all candidates alike
        and each by something of its own; ``chance`` numbers the worlds in which it does."""

    def seconds(self, point: SurfacePoint) -> float:
        """Of one epoch, on a worker of speed 1."""


def measured_accuracy(
    surface: Surface, point: SurfacePoint, run: int, epoch: int, world: int
) -> float:
    """The accuracy that a run shows after an epoch, a fraction."""
    value = surface.accuracy(point, epoch) + surface.deviation(point, run, epoch, world)
    return min(max(value, 0.0), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedNoise:
    """Standard deviations after three epochs; they fall with the root of the length.

    ``seed``: of what a seed does to all candidates; ``run``: of what it does to one of them.
    ``lasting``: the part of a run's variance that is the same after every epoch.
    """

    seed: float = 0.006
    run: float = 0.008
    lasting_fraction: float = 0.5

    def deviation(self, candidate: str, run: int, epoch: int, world: int) -> float:
        """What a run deviates by from the mean over all seeds."""
        run_keys = ("run", candidate, run)
        lasting = math.sqrt(self.lasting_fraction) * keyed_normal(world, *run_keys)
        passing = math.sqrt(1 - self.lasting_fraction) * keyed_normal(world, *run_keys, epoch)
        shared = self.seed * keyed_normal(world, "seed", run)
        return math.sqrt(3 / epoch) * (shared + self.run * (lasting + passing))


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyticSurface:
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
    peaks: tuple[tuple[ShareVector, float], ...]
    accuracy_range: float = 0.05
    share_weights: ShareVector = (1.0, 1.0, 1.0)
    initial_peak: ShareVector | None = None
    settling_epochs: float = 4.0
    roughness: float = 0.0
    initial_accuracy: float = 0.1
    final_accuracy: float = 0.7
    saturation_epochs: float = 4.0
    noise: SimulatedNoise = field(default_factory=SimulatedNoise)

    def accuracy(self, point: SurfacePoint, epoch: int) -> float:
        progress = 1 - math.exp(-epoch / self.saturation_epochs)
        level = self.initial_accuracy + (self.final_accuracy - self.initial_accuracy) * progress
        # Differences show early, if not in full: the curves fan out.
        spread = self.accuracy_range * (0.4 + 0.6 * progress)
        candidate_offset = (
            self.roughness * keyed_normal(0, "lump", self.name, point.candidate)
            if self.roughness
            else 0.0
        )
        return (
            level
            - spread * self._relative_distance(point.shares.as_tuple(), epoch)
            + candidate_offset
        )

    def deviation(self, point: SurfacePoint, run: int, epoch: int, world: int) -> float:
        return self.noise.deviation(point.candidate, run, epoch, world)

    def seconds(self, point: SurfacePoint) -> float:
        """Deep networks take longer at equal cost, as many small steps do."""
        return 20.0 * (1 + 1.5 * max(0.0, point.shares.depth))

    def _relative_distance(self, shares: ShareVector, epoch: int) -> float:
        """How far these shares are behind the optimum; 1 is the worst corner's distance."""
        best_peak, _ = self.peaks[0]
        worst_distance = max(self._squared_distance(corner, best_peak) for corner in CORNERS)
        return min(
            self._squared_distance(shares, self._peak_at_epoch(peak, epoch)) / worst_distance
            + deficit
            for peak, deficit in self.peaks
        )

    def _peak_at_epoch(self, peak: ShareVector, epoch: int) -> ShareVector:
        if self.initial_peak is None:
            return peak
        remaining = math.exp(-(epoch - 1) / self.settling_epochs)
        d, w, r = (p + remaining * (b - p) for p, b in zip(peak, self.initial_peak, strict=True))
        return d, w, r

    def _squared_distance(self, first: ShareVector, second: ShareVector) -> float:
        pairs = zip(self.share_weights, first, second, strict=True)
        return sum(weight * (a - b) ** 2 for weight, a, b in pairs)


CORNERS: tuple[ShareVector, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
PAPER_SHARES: ShareVector = (0.28, 0.29, 0.43)
"""About the shares of the paper's alpha, beta, gamma (arXiv:1905.11946): 1.2, 1.1, 1.15."""

SURFACES: dict[str, AnalyticSurface] = {
    surface.name: surface
    for surface in (
        AnalyticSurface(name="interior", peaks=((PAPER_SHARES, 0.0),)),
        AnalyticSurface(name="edge", peaks=(((0.05, 0.6, 0.35), 0.0),)),
        AnalyticSurface(name="corner", peaks=(((0.0, 0.0, 1.0), 0.0),)),
        AnalyticSurface(name="flat", peaks=((PAPER_SHARES, 0.0),), accuracy_range=0.003),
        AnalyticSurface(
            name="ridge",
            peaks=(((0.45, 0.2, 0.35), 0.0),),
            share_weights=(1.0, 0.05, 0.3),
            accuracy_range=0.06,
        ),
        AnalyticSurface(
            name="two-peaked",
            peaks=(((0.6, 0.1, 0.3), 0.0), ((0.05, 0.75, 0.2), 0.12)),
            accuracy_range=0.05,
        ),
        AnalyticSurface(
            name="drifting", peaks=((PAPER_SHARES, 0.0),), initial_peak=(0.05, 0.85, 0.1)
        ),
        AnalyticSurface(name="rugged", peaks=(((0.2, 0.45, 0.35), 0.0),), roughness=0.002),
    )
}
"""Optima in several places, all of differences that a search may meet: the optimum within, near an
edge, in a corner; none to speak of; one that is blurred along a ridge; a second one that is lower;
one that short training puts elsewhere (ResNet-RS, arXiv:2103.07579, section 6); and one among
networks that keep to no smooth surface."""
