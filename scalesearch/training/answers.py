"""A network that has been trained, and what it answers."""

import torch
from torch import Tensor, nn

from scalesearch.data import Dataset, Split, View, evaluation_batches
from scalesearch.errors import SearchError
from scalesearch.recipe import Precision
from scalesearch.training.job import Job
from scalesearch.training.precision import cast, resolved
from scalesearch.training.run import EVALUATION_BATCH, begun


def trained(job: Job, dataset: Dataset, device: torch.device | str) -> nn.Module:
    """The network that the job's checkpoint holds, in evaluation mode: with its best weights where
    the recipe has patience, else the averaged ones where it averages, else the last ones.

    Raises SearchError where there is no checkpoint yet, or a damaged one.
    """
    if job.checkpoint is None or not job.checkpoint.is_file():
        raise SearchError(f"{job.checkpoint}: no such checkpoint; train the network first")
    run = begun(job, dataset, torch.device(device))
    if not run.history:
        raise SearchError(f"{job.checkpoint}: not a whole checkpoint; train the network again")
    return run.finish()


def logits(
    network: nn.Module,
    split: Split,
    view: View,
    resolution: int,
    device: torch.device | str,
    precision: Precision = "fp32",
    batch_size: int = EVALUATION_BATCH,
) -> tuple[Tensor, Tensor]:
    """The network's answers (N, K) to all images at a resolution, and the labels (N,), on the CPU.

    The network has to be in evaluation mode, and on the device. ``precision``: as in a recipe.
    ``batch_size``: images in one pass.
    """
    where = torch.device(device)
    batches = evaluation_batches(
        split, view, batch_size=batch_size, resolution=resolution, device=device
    )
    with torch.inference_mode(), cast(resolved(precision, where), where):
        answers = [(network(images).float().cpu(), labels.cpu()) for images, labels in batches]
    logits_NK, labels_N = (torch.cat(parts) for parts in zip(*answers, strict=True))
    return logits_NK, labels_N
