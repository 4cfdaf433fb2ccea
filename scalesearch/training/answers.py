"""A network that has been trained, and what it answers."""

import torch
from torch import Tensor, nn

from scalesearch.data import Dataset, Split, InputTransform, evaluation_batches
from scalesearch.errors import SearchError
from scalesearch.recipe import Precision
from scalesearch.training.job import Job
from scalesearch.training.precision import autocast, resolved_precision
from scalesearch.training.run import EVALUATION_BATCH_SIZE, start_run


def load_trained_model(job: Job, dataset: Dataset, device: torch.device | str) -> nn.Module:
    """The network that the job's checkpoint holds, in evaluation mode: with its best weights where
    the recipe has patience, else the averaged ones where it averages, else the last ones.

    Raises SearchError where there is no checkpoint yet, or a damaged one.
    """
    if job.checkpoint is None or not job.checkpoint.is_file():
        raise SearchError(f"{job.checkpoint}: no such checkpoint; train the network first")
    run = start_run(job, dataset, torch.device(device))
    if not run.history:
        raise SearchError(f"{job.checkpoint}: not a whole checkpoint; train the network again")
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
    """The network's answers (N, K) to all images at a resolution, and the labels (N,), on the CPU.

    The network has to be in evaluation mode, and on the device. ``precision``: as in a recipe.
    ``batch_size``: images in one pass.
    """
    torch_device = torch.device(device)
    batches = evaluation_batches(
        split, transform, batch_size=batch_size, resolution=resolution, device=device
    )
    with torch.inference_mode(), autocast(resolved_precision(precision, torch_device), torch_device):
        outputs = [(network(images).float().cpu(), labels.cpu()) for images, labels in batches]
    logits_NK, labels_N = (torch.cat(parts) for parts in zip(*outputs, strict=True))
    return logits_NK, labels_N
