"""Grad-CAM: the parts of an image that show a class (arXiv:1610.02391)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scalesearch.data.augmentation.geometry import input_transform
from scalesearch.data.augmentation.pipeline import evaluation_inputs
from scalesearch.data.dataset import Dataset
from scalesearch.errors import ArchitectureError
from scalesearch.models.network import Network
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import reproducible


def grad_cam(
    network: nn.Module, images_BCHW: Tensor, classes_B: Tensor, *, stage: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return each image's map (B, h, w) and the logits (B, K).

    A map is positive where the image speaks for its class, negative where it speaks against it.
    ``stage``: stage (from 0) whose output is mapped; None: the features that are pooled. The
    latter give the class activation map of Zhou et al. (arXiv:1512.04150): if a linear classifier
    follows, the map sums to the class's logit without its bias. The network must be in evaluation
    mode. Raises ArchitectureError for a custom model, whose stages are unknown.
    """
    if not isinstance(network, Network):
        raise ArchitectureError("class maps: need a network with known stages, got a custom model")
    if network.training:
        raise ValueError("need a network in evaluation mode, got one in training")
    with torch.enable_grad():
        features_BCHW = _features(network, images_BCHW, stage).detach().requires_grad_()
        logits_BK = _remaining_logits(network, features_BCHW, stage)
        class_score = logits_BK.gather(1, classes_B[:, None]).sum()
        (gradients_BCHW,) = torch.autograd.grad(class_score, features_BCHW)
    weights_BC11 = gradients_BCHW.mean((2, 3), keepdim=True)
    return (weights_BC11 * features_BCHW).sum(1).detach(), logits_BK.detach()


def validation_images(dataset: Dataset, indices: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Return stored validation images with their labels.

    Keys: ``images`` (N, C, H, W), ``labels`` (N,) and all ``class_names``.
    """
    rows = torch.tensor(list(indices))
    images, labels = next(iter(dataset.validation.batches([rows], "cpu")))
    return {
        "images": images.numpy(),
        "labels": labels.numpy(),
        "class_names": np.array(dataset.class_names),
    }


def _features(network: Network, images_BCHW: Tensor, stage: int | None) -> Tensor:
    with torch.no_grad():
        x_BCHW: Tensor = network.stem_pool(network.stem(images_BCHW))
        for stage_module in list(network.stages)[: None if stage is None else stage + 1]:
            x_BCHW = stage_module(x_BCHW)
        if stage is None and not network.architecture.head_pooled:
            x_BCHW = network.head(x_BCHW)
    return x_BCHW


def _remaining_logits(network: Network, x_BCHW: Tensor, stage: int | None) -> Tensor:
    """Pass the features of a stage through the rest of the network."""
    pooled = network.architecture.head_pooled
    for stage_module in [] if stage is None else list(network.stages)[stage + 1 :]:
        x_BCHW = stage_module(x_BCHW)
    if stage is not None and not pooled:
        x_BCHW = network.head(x_BCHW)
    x_BC = x_BCHW.mean((2, 3))
    logits_BK: Tensor = network.classifier(network.head(x_BC) if pooled else x_BC)
    return logits_BK


def grad_cam_of_validation(
    network: nn.Module,
    job: TrainingJob,
    dataset: Dataset,
    indices: Sequence[int],
    stage: int | None,
    device: torch.device | str,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return maps (N, h, w) of the true classes, and the predicted classes (N,).

    The validation images are prepared as in evaluation.
    """
    rows = torch.tensor(list(indices))
    recipe, full = job.recipe, job.architecture.resolution
    images, labels = next(iter(dataset.validation.batches([rows], device)))
    inputs = evaluation_inputs(
        images, input_transform(dataset, recipe, full), round(full * recipe.evaluation_scale)
    )
    with reproducible(recipe.threads, torch.device(device)):
        maps_BHW, logits_BK = grad_cam(network, inputs, labels, stage=stage)
    return maps_BHW.float().cpu().numpy(), logits_BK.argmax(1).cpu().numpy()
