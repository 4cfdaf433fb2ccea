"""Numbers of the papers as data, each with its citation; we measured none of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scalesearch.scaling.coefficients import Coefficients, Multipliers, Shares

EFFICIENTNET_CITATION = "Tan & Le, arXiv:1905.11946v5"
"""Source of every number of this module, unless it names another."""

PAPER_COEFFICIENTS = Coefficients(1.2, 1.1, 1.15)
"""Section 4: from a "small grid search" at phi = 1, whose grid and proxy were not published."""

PAPER_RESOLUTION = 224
DROP_CONNECT = 0.2


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A row of the EfficientNet table; None where the paper prints no number.

    ``width``, ``depth``: multipliers of B0 under the official rounding. ``resolution``: pixels.
    ``top1``, ``top5``: ImageNet accuracy as a fraction. ``params``, ``macs``: rounded as printed
    (the paper's "FLOPS" are multiply-adds); ``cost`` counts the exact ones.
    """

    name: str
    width: float
    depth: float
    resolution: int
    dropout: float
    top1: float | None = None
    top5: float | None = None
    params: float | None = None
    macs: float | None = None

    @property
    def multipliers(self) -> Multipliers:
        """Multipliers of EfficientNet-B0."""
        return Multipliers(self.depth, self.width, self.resolution / PAPER_RESOLUTION)


PUBLISHED_MODELS: dict[str, PublishedModel] = {
    model.name: model
    for model in (
        # Table 2 (top1 ... macs); width, depth, resolution, dropout from the released models
        PublishedModel("b0", 1.0, 1.0, 224, 0.2, 0.771, 0.933, 5.3e6, 0.39e9),
        PublishedModel("b1", 1.0, 1.1, 240, 0.2, 0.791, 0.944, 7.8e6, 0.70e9),
        PublishedModel("b2", 1.1, 1.2, 260, 0.3, 0.801, 0.949, 9.2e6, 1.0e9),
        PublishedModel("b3", 1.2, 1.4, 300, 0.3, 0.816, 0.957, 12e6, 1.8e9),
        PublishedModel("b4", 1.4, 1.8, 380, 0.4, 0.829, 0.964, 19e6, 4.2e9),
        PublishedModel("b5", 1.6, 2.2, 456, 0.4, 0.836, 0.967, 30e6, 9.9e9),
        PublishedModel("b6", 1.8, 2.6, 528, 0.5, 0.840, 0.968, 43e6, 19e9),
        PublishedModel("b7", 2.0, 3.1, 600, 0.5, 0.843, 0.970, 66e6, 37e9),
        # released later, with other training (arXiv:1911.09665 and arXiv:1911.04252)
        PublishedModel("b8", 2.2, 3.6, 672, 0.5),
        PublishedModel("l2", 4.3, 5.3, 800, 0.5),
    )
}


@dataclass(frozen=True, slots=True)
class PublishedAccuracy:
    """ImageNet accuracy of one model and crop, and the paper that prints it."""

    top1: float
    source: str


PUBLISHED_ACCURACIES: dict[str, PublishedAccuracy] = {
    "resnet50": PublishedAccuracy(0.760, f"{EFFICIENTNET_CITATION}, table 2"),
    "resnet152": PublishedAccuracy(0.778, f"{EFFICIENTNET_CITATION}, table 2"),
    "densenet169": PublishedAccuracy(0.762, f"{EFFICIENTNET_CITATION}, table 2"),
    "mobilenet_v1": PublishedAccuracy(0.706, f"{EFFICIENTNET_CITATION}, table 3"),
    "mobilenet_v2": PublishedAccuracy(0.720, "Sandler et al., arXiv:1801.04381, table 4"),
} | {
    f"efficientnet_{model.name}": PublishedAccuracy(model.top1, f"{EFFICIENTNET_CITATION}, table 2")
    for model in PUBLISHED_MODELS.values()
    if model.top1 is not None
}
"""Accuracies by baseline name. Recipes differ: those of the older networks are older."""


def implied_phi(multipliers: Multipliers, coefficients: Coefficients = PAPER_COEFFICIENTS) -> float:
    """Phi at which the coefficients ask for the multipliers' compute (d * w^2 * r^2).

    The paper states no phi for B1 to B7, and no single phi gives a row: B1 is 0.52 in depth, 0 in
    width and 0.49 in resolution, B7 is 6.2, 7.3 and 7.05 (``implied_phis``).
    """
    return math.log(multipliers.factor) / math.log(coefficients.factor)


def implied_phis(
    multipliers: Multipliers, coefficients: Coefficients = PAPER_COEFFICIENTS
) -> tuple[float, float, float]:
    """Phi that each axis implies by itself: depth, width, resolution."""
    return (
        math.log(multipliers.depth, coefficients.alpha),
        math.log(multipliers.width, coefficients.beta),
        math.log(multipliers.resolution, coefficients.gamma),
    )


@dataclass(frozen=True, slots=True)
class PublishedAblation:
    """A scaled network of the paper's comparisons.

    ``multipliers``: None if the paper does not state them. ``macs``: as printed. ``top1``: a
    fraction.
    """

    baseline: str
    multipliers: Multipliers | None
    macs: float
    top1: float


TABLE_3: tuple[PublishedAblation, ...] = (
    PublishedAblation("mobilenet_v1", Multipliers(), 0.6e9, 0.706),
    PublishedAblation("mobilenet_v1", Multipliers(width=2.0), 2.2e9, 0.742),
    PublishedAblation("mobilenet_v1", Multipliers(resolution=2.0), 2.2e9, 0.727),
    PublishedAblation("mobilenet_v1", Multipliers(1.4, 1.2, 1.3), 2.3e9, 0.756),
    PublishedAblation("mobilenet_v2", Multipliers(), 0.3e9, 0.720),
    PublishedAblation("mobilenet_v2", Multipliers(depth=4.0), 1.2e9, 0.768),
    PublishedAblation("mobilenet_v2", Multipliers(width=2.0), 1.1e9, 0.764),
    PublishedAblation("mobilenet_v2", Multipliers(resolution=2.0), 1.2e9, 0.748),
    PublishedAblation("mobilenet_v2", None, 1.3e9, 0.774),
    PublishedAblation("resnet50", Multipliers(), 4.1e9, 0.760),
    PublishedAblation("resnet50", Multipliers(depth=4.0), 16.2e9, 0.781),
    PublishedAblation("resnet50", Multipliers(width=2.0), 14.7e9, 0.777),
    PublishedAblation("resnet50", Multipliers(resolution=2.0), 16.4e9, 0.775),
    PublishedAblation("resnet50", None, 16.7e9, 0.788),
)
"""Scaling of older networks. Recounted, ResNet-50's depth and width MACs look exchanged."""

TABLE_7: tuple[PublishedAblation, ...] = (
    PublishedAblation("efficientnet_b0", Multipliers(), 0.4e9, 0.773),
    PublishedAblation("efficientnet_b0", Multipliers(depth=4.0), 1.8e9, 0.790),
    PublishedAblation("efficientnet_b0", Multipliers(width=2.0), 1.8e9, 0.789),
    PublishedAblation("efficientnet_b0", Multipliers(resolution=2.0), 1.9e9, 0.791),
    PublishedAblation("efficientnet_b0", Multipliers(1.4, 1.2, 1.3), 1.8e9, 0.811),
)
"""Scaling of B0. Recounted, the compound row has 16 to 26% more compute than its rivals."""

PAPER_PIXELS = {1.3: 299}
"""Pixels per side that the paper names for a multiplier of B0's 224 (figure 4's caption)."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A known way to divide a budget, or a reference to compare answers with.

    ``published``: the coefficients as printed, if a paper prints any.
    """

    name: str
    shares: Shares
    citation: str
    published_coefficients: Coefficients | None = None

    def coefficients(self, factor: float = 2.0) -> Coefficients:
        """Coefficients that spend ``factor`` at phi = 1.

        At a factor of 2 the published ones as printed, although the paper's spend 1.92.
        """
        if self.published_coefficients is not None and factor == 2:
            return self.published_coefficients
        return self.shares.coefficients(factor)


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("paper", PAPER_COEFFICIENTS.shares, EFFICIENTNET_CITATION, PAPER_COEFFICIENTS),
        Scheme("uniform", Shares(1 / 3, 1 / 3, 1 / 3), "a third each; dwr in arXiv:2103.06877"),
        Scheme("depth", Shares(1.0, 0.0, 0.0), "depth alone, as ResNets grow; arXiv:1512.03385"),
        Scheme("width", Shares(0.0, 1.0, 0.0), "width alone, as MobileNets do; arXiv:1704.04861"),
        Scheme("resolution", Shares(0.0, 0.0, 1.0), "resolution alone"),
        Scheme("fast", Shares(0.1, 0.8, 0.1), "Dollar et al., arXiv:2103.06877: d1 w8 r1"),
    )
}
"""Schemes by name; every search is compared with the first five."""


@dataclass(frozen=True, slots=True)
class CoefficientGrid:
    """Coefficients ``step`` apart in closed ranges, with a product near a factor."""

    alpha: tuple[float, float]
    beta: tuple[float, float]
    gamma: tuple[float, float]
    step: float
    tolerance: float

    def coefficients(self, factor: float = 2.0) -> Iterator[Coefficients]:
        """Coefficients of the grid with a product near ``factor``, alpha slowest."""
        for alpha in self._values_in(self.alpha):
            for beta in self._values_in(self.beta):
                for gamma in self._values_in(self.gamma):
                    candidate = Coefficients(alpha, beta, gamma)
                    if abs(candidate.factor - factor) <= self.tolerance + 1e-9:
                        yield candidate

    def _values_in(self, bounds: tuple[float, float]) -> Iterator[float]:
        low, high = bounds
        for index in range(math.floor((high - low) / self.step + 1e-9) + 1):
            yield round(low + index * self.step, 10)


CLASSIC_GRID = CoefficientGrid((1.0, 2.0), (1.0, 1.5), (1.0, 1.5), step=0.05, tolerance=0.1)
"""Grid used by those who repeat the paper's search; the paper publishes none."""
