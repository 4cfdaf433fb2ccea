"""Networks beside each other: what they cost, what was printed of them, what they were timed at."""

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
"""What is compared where nothing else is asked for."""

USER_SOURCE = "given"
"""The source of an accuracy that no paper prints."""


def released_efficientnet(name: str) -> Architecture | None:
    """EfficientNet-B0 to B7 as released, by a name such as ``efficientnet_b3``; None for others."""
    return published_network(name) if re.fullmatch(r"efficientnet[-_]b[0-7]", name) else None


def published_accuracy(model: NamedNetwork) -> PublishedAccuracy | None:
    """What a paper prints of exactly this network, at its own resolution and for ImageNet's
    classes; None where it is another, or code's."""
    if not isinstance(model.network, Architecture):
        return None
    return _accuracies_by_fingerprint().get(fingerprint(model.network))


def comparison_rows(
    models: Sequence[NamedNetwork],
    *,
    top1: Mapping[str, float] | None = None,
    timings: Sequence[NetworkTiming] | None = None,
) -> list[dict[str, Any]]:
    """A flat row for each network: pixels, cost, accuracy with its source (None where unknown).

    ``top1``: accuracies by name that no paper prints. ``timed``: adds the seconds of a batch and
    their ratio to the reference, None for what was not timed.
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
    """The eager time, or none."""
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
