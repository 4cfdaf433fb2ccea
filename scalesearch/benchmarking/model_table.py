"""Networks side by side: their cost, published accuracy, and measured latency."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture
from scalesearch.benchmarking.timing import NetworkTiming
from scalesearch.models.named import NamedNetwork, published_network
from scalesearch.scaling.published import PUBLISHED_ACCURACIES, PublishedAccuracy

DEFAULT_NETWORKS = (
    *("resnet50", "resnet152", "densenet169", "mobilenet_v2"),
    *("efficientnet_b0", "efficientnet_b1", "efficientnet_b7"),
)
"""Networks compared by default."""

USER_SOURCE = "given"
"""Source of an accuracy that no paper prints."""


def released_efficientnet(name: str) -> Architecture | None:
    """EfficientNet-B0 to B7 as released, by its name; else None."""
    return published_network(name) if re.fullmatch(r"efficientnet[-_]b[0-7]", name) else None


def published_accuracy(model: NamedNetwork) -> PublishedAccuracy | None:
    """Return the published accuracy of exactly this network, or None.

    At its own resolution and for ImageNet's classes.
    """
    if not isinstance(model.network, Architecture):
        return None
    return _accuracies_by_fingerprint().get(fingerprint(model.network))


def comparison_rows(
    models: Sequence[NamedNetwork],
    *,
    top1: Mapping[str, float] | None = None,
    timings: Sequence[NetworkTiming] | None = None,
) -> list[dict[str, Any]]:
    """Return a flat row for each network: pixels, cost, accuracy and its source.

    ``top1``: accuracies by name that no paper prints. ``timings``: adds the seconds of a batch and
    their ratio to the reference, None for networks without a timing.
    """
    user_top1 = dict(top1 or {})
    rows = []
    for model in models:
        published = published_accuracy(model)
        accuracy, source = (published.top1, published.source) if published else (None, None)
        if model.name in user_top1:
            accuracy, source = user_top1[model.name], USER_SOURCE
        rows.append(
            {
                "network": model.name,
                "resolution": model.resolution,
                **asdict(model.cost),
                **({} if timings is None else _timing_columns(model.name, timings)),
                "top1": accuracy,
                "source": source,
            }
        )
    return rows


def _timing_columns(name: str, timings: Sequence[NetworkTiming]) -> dict[str, Any]:
    """Columns of the eager timing, or of none."""
    timing = next((row for row in timings if row.name == name and row.mode == "eager"), None)
    return {
        "batch_size": timing and timing.batch_size,
        "seconds": timing and timing.seconds,
        "images_per_second": timing and timing.images_per_second,
        "ratio": timing and timing.ratio,
    }


@cache
def _accuracies_by_fingerprint() -> dict[str, PublishedAccuracy]:
    return {
        fingerprint(released_efficientnet(name) or baseline(name)): PUBLISHED_ACCURACIES[name]
        for name in PUBLISHED_ACCURACIES
    }
