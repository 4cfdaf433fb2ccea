"""Predictions of a trained network, and the metrics counted from them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scalesearch.config.recipe import Precision
from scalesearch.data.augmentation.geometry import InputTransform
from scalesearch.data.batches import evaluation_batches
from scalesearch.data.dataset import Dataset, Split
from scalesearch.errors import SearchError
from scalesearch.training.device import autocast, resolved_precision
from scalesearch.training.job import TrainingJob
from scalesearch.training.trainer import EVALUATION_BATCH_SIZE, start_run

TOP_K = 5


@dataclass(frozen=True, slots=True)
class ClassificationMetrics:
    """Metrics of predictions for K classes; all but the counts are fractions."""

    images: int
    """Number of images."""
    top1: float
    """Fraction of images whose true class is predicted."""
    top5: float
    """Fraction of images whose true class is among the first ``min(5, K)``."""
    precision: tuple[float, ...]
    """By class; 0 if the class is never predicted."""
    recall: tuple[float, ...]
    """By class; 0 if no image has the class."""
    f1: tuple[float, ...]
    """By class; 0 if neither happens."""
    confusion: tuple[tuple[int, ...], ...]
    """Number of images by true class (row) and predicted class (column)."""


def classification_metrics(logits_NK: Tensor, labels_N: Tensor) -> ClassificationMetrics:
    """Count the metrics from the logits of N images and their true classes.

    Among equal logits the lower class comes first. Raises ValueError for no images and for NaN,
    which has no order.
    """
    count, classes = logits_NK.shape
    if not count or logits_NK.isnan().any():
        raise ValueError(f"need logits of at least one image without NaN, got {logits_NK}")
    ranks_N = _label_ranks(logits_NK, labels_N)
    pairs_N = labels_N * classes + logits_NK.argmax(1)
    confusion_KK = torch.bincount(pairs_N, minlength=classes**2).view(classes, classes).cpu()
    correct_K, predicted_K, true_K = (
        confusion_KK.diagonal(),
        confusion_KK.sum(0),
        confusion_KK.sum(1),
    )
    return ClassificationMetrics(
        images=count,
        top1=int((ranks_N < 1).sum()) / count,
        top5=int((ranks_N < TOP_K).sum()) / count,
        precision=_ratios(correct_K, predicted_K),
        recall=_ratios(correct_K, true_K),
        f1=_ratios(2 * correct_K, predicted_K + true_K),
        confusion=tuple(tuple(row) for row in confusion_KK.tolist()),
    )


def _label_ranks(logits_NK: Tensor, labels_N: Tensor) -> Tensor:
    """Return how many classes rank before the true one."""
    labels_N1 = labels_N[:, None]
    true_N1 = logits_NK.gather(1, labels_N1)
    lower_NK = torch.arange(logits_NK.shape[1], device=logits_NK.device) < labels_N1
    ahead_NK = (logits_NK > true_N1) | ((logits_NK == true_N1) & lower_NK)
    return ahead_NK.sum(1)


def _ratios(numerators_K: Tensor, denominators_K: Tensor) -> tuple[float, ...]:
    return tuple((numerators_K.double() / denominators_K.clamp_min(1)).tolist())


def load_trained_model(job: TrainingJob, dataset: Dataset, device: torch.device | str) -> nn.Module:
    """Load the network of the job's checkpoint, in evaluation mode.

    Its weights are those of the best epoch if the recipe has patience, else the averages if the
    recipe has an EMA, else the last ones. Raises SearchError for a missing or damaged checkpoint.
    """
    if job.checkpoint is None or not job.checkpoint.is_file():
        raise SearchError(f"{job.checkpoint}: no such checkpoint; train the network first")
    run = start_run(job, dataset, torch.device(device))
    if not run.history:
        raise SearchError(f"{job.checkpoint}: the checkpoint is damaged; train the network again")
    return run.finalize()


def logits(
    network: nn.Module,
    split: Split,
    transform: InputTransform,
    resolution: int,
    device: torch.device | str,
    precision: Precision = "fp32",
    batch_size: int = EVALUATION_BATCH_SIZE,
) -> tuple[Tensor, Tensor]:
    """Return the logits (N, K) of a split's images and the labels (N,), on the CPU.

    The network must be on the device, in evaluation mode. ``precision``: as in a recipe.
    ``batch_size``: images per pass.
    """
    torch_device = torch.device(device)
    batches = evaluation_batches(
        split, transform, batch_size=batch_size, resolution=resolution, device=device
    )
    with (
        torch.inference_mode(),
        autocast(resolved_precision(precision, torch_device), torch_device),
    ):
        outputs = [(network(images).float().cpu(), labels.cpu()) for images, labels in batches]
    logits_NK, labels_N = (torch.cat(parts) for parts in zip(*outputs, strict=True))
    return logits_NK, labels_N
