"""Networks beside each other: what they cost, what was printed of them, what they were timed at."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from scalesearch.architectures import Architecture, baseline, fingerprint
from scalesearch.latency import Timed
from scalesearch.nets import Entry
from scalesearch.published import PRINTED, Printed
from scalesearch.weights.layouts.members import published_network

DEFAULT = (
    *("resnet50", "resnet152", "densenet169", "mobilenet_v2"),
    *("efficientnet_b0", "efficientnet_b1", "efficientnet_b7"),
)
"""What is compared where nothing else is asked for."""

GIVEN = "given"
"""The source of an accuracy that no paper prints."""


def released(name: str) -> Architecture | None:
    """EfficientNet-B0 to B7 as released, by a name such as ``efficientnet_b3``; None for others."""
    return published_network(name) if re.fullmatch(r"efficientnet[-_]b[0-7]", name) else None


def printed(entry: Entry) -> Printed | None:
    """What a paper prints of exactly this network, at its own resolution and for ImageNet's
    classes; None where it is another, or code's."""
    if not isinstance(entry.network, Architecture):
        return None
    return _printed().get(fingerprint(entry.network))


def comparison(
    entries: Sequence[Entry],
    *,
    top1: Mapping[str, float] | None = None,
    timed: Sequence[Timed] | None = None,
) -> list[dict[str, Any]]:
    """A flat row for each network: pixels, cost, accuracy with its source (None where unknown).

    ``top1``: accuracies by name that no paper prints. ``timed``: adds the seconds of a batch and
    their ratio to the reference, None for what was not timed.
    """
    given = dict(top1 or {})
    rows = []
    for entry in entries:
        known = printed(entry)
        accuracy, source = (known.top1, known.source) if known else (None, None)
        if entry.name in given:
            accuracy, source = given[entry.name], GIVEN
        rows.append(
            {
                "network": entry.name,
                "resolution": entry.resolution,
                **asdict(entry.cost),
                **({} if timed is None else _time(entry.name, timed)),
                "top1": accuracy,
                "source": source,
            }
        )
    return rows


def _time(name: str, timed: Sequence[Timed]) -> dict[str, Any]:
    """The eager time, or none."""
    own = next((row for row in timed if row.name == name and row.mode == "eager"), None)
    return {
        "batch_size": own and own.batch_size,
        "seconds": own and own.seconds,
        "images_per_second": own and own.images_per_second,
        "ratio": own and own.ratio,
    }


@cache
def _printed() -> dict[str, Printed]:
    return {fingerprint(released(name) or baseline(name)): PRINTED[name] for name in PRINTED}
