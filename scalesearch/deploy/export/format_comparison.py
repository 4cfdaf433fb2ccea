"""Comparison of a network's export formats: size, accuracy and latency."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scalesearch.deploy.export.fold_bn import fold_batch_norms
from scalesearch.deploy.export.onnx_files import onnx_logits_function
from scalesearch.deploy.export.parity import LogitsFunction, random_batches
from scalesearch.deploy.export.sample_images import ImageSet, torch_logits
from scalesearch.deploy.export.torch_export import input_size, read_program
from scalesearch.models.stopwatch import time_rounds, time_run, use_threads
from scalesearch.training.network_file import SavedNetwork

MIN_TURN_SECONDS = 0.005
"""Shortest turn in seconds; a shorter pass is repeated within its turn."""

MAX_PASSES = 100
"""Most passes of a turn."""

SPREAD_PERCENTILES = (10, 90)
"""Percentiles between which most rounds' ratios lie."""


@dataclass(frozen=True, slots=True, eq=False)
class ExportVariant:
    """An export format of the network: its file, if any, and its logits."""

    name: str
    logits: LogitsFunction
    path: Path | None = None

    @property
    def size_bytes(self) -> int | None:
        """Size of the file; None without one."""
        return None if self.path is None else self.path.stat().st_size


@dataclass(frozen=True, slots=True)
class VariantAccuracy:
    """Accuracy on ``images`` test images.

    ``same``: fraction with the same prediction as the eager network's.
    """

    images: int
    accuracy: float
    same: float


@dataclass(frozen=True, slots=True)
class VariantLatency:
    """Median milliseconds of a pass, and the median ratio to the eager network's.

    The ratio is taken within each round; its middle 80% lie between ``low`` and ``high``.
    """

    batch: int
    milliseconds: float
    ratio: float
    low: float
    high: float


def compare_exports(
    saved_network: SavedNetwork,
    files: Mapping[str, Path],
    image_set: ImageSet | None = None,
    *,
    batch_sizes: Sequence[int] = (1,),
    threads: int = 1,
    rounds: int = 20,
) -> list[dict[str, Any]]:
    """Return a flat row for each export format and batch size.

    Columns: name, bytes, accuracy and same predictions on all test images (None without
    ``image_set``), and latency.
    """
    variant_list = export_variants(saved_network, files, threads)
    accuracies = (
        [None] * len(variant_list)
        if image_set is None
        else variant_accuracies(variant_list, image_set)
    )
    unknown_accuracy = dict.fromkeys(("images", "accuracy", "same"))
    rows = []
    for batch in batch_sizes:
        images_BCHW = timing_images(saved_network, batch, image_set)
        latencies = variant_latencies(variant_list, images_BCHW, threads=threads, rounds=rounds)
        for variant, accuracy, latency in zip(variant_list, accuracies, latencies, strict=True):
            accuracy_columns = unknown_accuracy if accuracy is None else asdict(accuracy)
            rows.append(
                {
                    "form": variant.name,
                    "bytes": variant.size_bytes,
                    **accuracy_columns,
                    **asdict(latency),
                }
            )
    return rows


def export_variants(
    saved_network: SavedNetwork, files: Mapping[str, Path], threads: int = 1
) -> list[ExportVariant]:
    """Return the eager network, the folded one, and the files that are readable here.

    ``files``: by the names of their formats; other formats are left out.
    """
    variant_list = [
        ExportVariant(
            "eager", partial(torch_logits, _channels_last(copy.deepcopy(saved_network.network)))
        ),
        ExportVariant(
            "folded", partial(torch_logits, _channels_last(fold_batch_norms(saved_network.network)))
        ),
    ]
    for name, path in files.items():
        if path.suffix == ".pt2":
            variant_list.append(
                ExportVariant(name, partial(torch_logits, read_program(path)[0]), path)
            )
        elif path.suffix == ".onnx":
            variant_list.append(
                ExportVariant(name, onnx_logits_function(path, threads=threads), path)
            )
    return variant_list


def variant_accuracies(
    variant_list: Sequence[ExportVariant], image_set: ImageSet
) -> list[VariantAccuracy]:
    """Accuracy of each format on all test images; the first one is the reference."""
    predicted_batches: list[list[Tensor]] = [[] for _ in variant_list]
    label_batches = []
    for images, labels in image_set.batches(image_set.test):
        label_batches.append(labels)
        for batches, variant in zip(predicted_batches, variant_list, strict=True):
            batches.append(variant.logits(images).argmax(1))
    labels_N = torch.cat(label_batches)
    predicted_classes = [torch.cat(batches) for batches in predicted_batches]
    return [
        VariantAccuracy(
            len(labels_N),
            _fraction(classes_N == labels_N),
            _fraction(classes_N == predicted_classes[0]),
        )
        for classes_N in predicted_classes
    ]


def variant_latencies(
    variant_list: Sequence[ExportVariant],
    images_BCHW: Tensor,
    *,
    threads: int = 1,
    rounds: int = 20,
) -> list[VariantLatency]:
    """Latency of each format for these images, timed in turns.

    Each round times every format once, so a busy or hot moment affects all of them.
    """
    with use_threads(threads):
        runs = [partial(variant.logits, images_BCHW) for variant in variant_list]
        seconds = np.array(time_in_turn(runs, rounds))
    ratios = seconds / seconds[:, :1]
    latencies = []
    for variant_seconds, variant_ratios in zip(seconds.T, ratios.T, strict=True):
        low, high = np.percentile(variant_ratios, SPREAD_PERCENTILES)
        latencies.append(
            VariantLatency(
                batch=len(images_BCHW),
                milliseconds=1000 * float(np.median(variant_seconds)),
                ratio=float(np.median(variant_ratios)),
                low=float(low),
                high=float(high),
            )
        )
    return latencies


def time_in_turn(runs: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Mean seconds of each run in each round, (rounds, runs); a short run is repeated."""
    pass_counts = []
    for run in runs:
        run()  # allocates memory and chooses algorithms
        single_seconds = median(time_run(run) for _ in range(3))
        pass_counts.append(
            max(1, min(MAX_PASSES, math.ceil(MIN_TURN_SECONDS / max(single_seconds, 1e-9))))
        )
    return [[mean(turn) for turn in turns] for turns in time_rounds(runs, rounds, pass_counts)]


def timing_images(saved_network: SavedNetwork, batch: int, image_set: ImageSet | None) -> Tensor:
    """Return a batch for timing: test images if there are any, else noise."""
    if image_set is None:
        return random_batches(*input_size(saved_network), [batch])[0]
    image_batches = [images for images, _ in image_set.batches(image_set.test, batch)]
    images_BCHW = torch.cat(image_batches)
    return images_BCHW.repeat(-(-batch // len(images_BCHW)), 1, 1, 1)[:batch]


def _fraction(is_correct: Tensor) -> float:
    return float(is_correct.double().mean())


def _channels_last(network: nn.Module) -> nn.Module:
    network_channels_last: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network_channels_last
