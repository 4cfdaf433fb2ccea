"""Simulated accuracies over shares, with a known optimum and keyed random numbers.

Random numbers are keyed by names instead of drawn in turn, so they do not depend on the order.

Accuracies, noise and curves resemble those of EfficientNet-B0 at quarter width on a few thousand
images of CIFAR-10: after 3 epochs the standard deviation of a run within its seed is 0.8 points,
and falls with the length of training. About half of its variance is the same at every epoch.
"""

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import NamedTuple, Protocol

from scalesearch.scaling.coefficients import Shares
from scalesearch.seeding import stream_seed

_NORMAL = NormalDist()


def keyed_uniform(seed: int, *keys: str | int) -> float:
    """Return a uniform random number in the open interval (0, 1) for these keys."""
    return (stream_seed(seed, *keys) + 0.5) / 2.0**63


def keyed_normal(seed: int, *keys: str | int) -> float:
    """Return a standard normal random number for these keys."""
    # Rounded to a float, the last of 2^63 steps is 1.
    return _NORMAL.inv_cdf(min(keyed_uniform(seed, *keys), 1 - 2.0**-53))


ShareVector = tuple[float, float, float]


class SurfacePoint(NamedTuple):
    """A candidate on a surface: the architecture's fingerprint and shares."""

    candidate: str
    shares: Shares


class Surface(Protocol):
    """Accuracy, noise and cost of every candidate, without training."""

    @property
    def name(self) -> str: ...

    def accuracy(self, point: SurfacePoint, epoch: int) -> float:
        """Return the true accuracy: the expectation over seeds."""

    def deviation(self, point: SurfacePoint, run: int, epoch: int, world: int) -> float:
        """Return the deviation of the run with seed ``run`` from the true accuracy.

        It has a part that the seed gives to all candidates and a part of this candidate's own.
        ``world`` numbers independent repetitions.
        """

    def seconds(self, point: SurfacePoint) -> float:
        """Return the seconds of one epoch on a worker of speed 1."""


def measured_accuracy(
    surface: Surface, point: SurfacePoint, run: int, epoch: int, world: int
) -> float:
    """Compute the measured accuracy of a run after an epoch, a fraction."""
    value = surface.accuracy(point, epoch) + surface.deviation(point, run, epoch, world)
    return min(max(value, 0.0), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedNoise:
    """Standard deviations after three epochs; they fall with sqrt(epochs)."""

    seed: float = 0.006
    """Effect of a seed on all candidates."""
    run: float = 0.008
    """Effect of a seed on one candidate."""
    lasting_fraction: float = 0.5
    """Fraction of a run's variance that is the same at every epoch."""

    def deviation(self, candidate: str, run: int, epoch: int, world: int) -> float:
        """Draw the deviation of a run from the mean over all seeds."""
        run_keys = ("run", candidate, run)
        lasting = math.sqrt(self.lasting_fraction) * keyed_normal(world, *run_keys)
        passing = math.sqrt(1 - self.lasting_fraction) * keyed_normal(world, *run_keys, epoch)
        shared = self.seed * keyed_normal(world, "seed", run)
        return math.sqrt(3 / epoch) * (shared + self.run * (lasting + passing))


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyticSurface:
    """A surface with a known optimum."""

    name: str
    peaks: tuple[tuple[ShareVector, float], ...]
    """Shares of the optimum, then of lower peaks, each with how much lower it is."""
    accuracy_range: float = 0.05
    """Accuracy of the optimum minus that of the worst corner after long training."""
    share_weights: ShareVector = (1.0, 1.0, 1.0)
    """Weight of the squared distance along each share."""
    initial_peak: ShareVector | None = None
    """Optimum at the first epoch, if it moves during training."""
    settling_epochs: float = 4.0
    """Epochs in which a moving optimum covers 63% of its way."""
    roughness: float = 0.0
    """Standard deviation of a candidate's fixed deviation from the smooth surface."""
    initial_accuracy: float = 0.1
    """Accuracy before training, that of guessing."""
    final_accuracy: float = 0.7
    """Accuracy of the optimum after long training."""
    saturation_epochs: float = 4.0
    """Epochs in which the learning curve covers 63% of its way."""
    noise: SimulatedNoise = field(default_factory=SimulatedNoise)

    def accuracy(self, point: SurfacePoint, epoch: int) -> float:
        progress = 1 - math.exp(-epoch / self.saturation_epochs)
        level = self.initial_accuracy + (self.final_accuracy - self.initial_accuracy) * progress
        # Differences show early but not in full: the curves fan out.
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
        """Return the seconds of an epoch; deep networks take longer at equal cost."""
        return 20.0 * (1 + 1.5 * max(0.0, point.shares.depth))

    def _relative_distance(self, shares: ShareVector, epoch: int) -> float:
        """Compute the distance from the optimum; 1 is that of the worst corner."""
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
"""Surfaces by name, with an optimum inside, near an edge, or in a corner; almost flat; along a
ridge; with a second, lower peak; with an optimum that moves during training (ResNet-RS,
arXiv:2103.07579, section 6); and one that is not smooth."""
