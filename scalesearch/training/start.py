"""A job's network with its first weights, where it fits the images."""

import math

import torch
from torch import nn

from scalesearch.architectures import Architecture, Foreign
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.data import Dataset
from scalesearch.errors import DataError, SearchError
from scalesearch.nets import build, initialise, made
from scalesearch.nets.strided import without_narrow_strides
from scalesearch.streams import stream
from scalesearch.training.job import Job
from scalesearch.training.transfer import computing, require_like, start_of, take_over


def require_fit(job: Job, dataset: Dataset) -> None:
    """Raise DataError where a network was not made for a data set's channels and classes, and
    SearchError where batch norm would have a single value to normalise."""
    network, data = job.architecture, dataset
    wanted, given = (network.in_channels, network.num_classes), (data.channels, data.num_classes)
    if wanted != given:
        raise DataError(
            f"network {job.fingerprint}: need images of {wanted[0]} channels in {wanted[1]} "
            f"classes, got {given[0]} channels in {given[1]} classes; "
            "set in_channels and num_classes to the data's"
        )
    if not isinstance(network, Foreign) and _fewest(job, dataset) == _last_side(job, network) == 1:
        raise SearchError(
            f"recipe: need at least 2 images in each forward pass of network {job.fingerprint}, "
            "whose last maps have a single pixel, got 1; raise batch_size, micro_batch or the "
            "number of training images"
        )


def _fewest(job: Job, dataset: Dataset) -> int:
    """Images in the smallest forward pass of training."""
    batch = min(job.recipe.batch_size, len(dataset.train))
    at_once = job.recipe.micro_batch or batch
    return batch % at_once or at_once


def _last_side(job: Job, network: Architecture) -> int:
    """Pixels per side behind the last stage, when images are smallest."""
    side = job.recipe.progressive.resolution(network.resolution, 1, job.recipe.epochs)
    strides = (network.stem_stride, network.stem_pool, *(stage.stride for stage in network.stages))
    return -(-side // math.prod(strides))


def require_fixed(job: Job) -> None:
    """Raise SearchError where a rule of the recipe is still to be carried out, or it would be
    trained as if there were none."""
    for rule in ("learning_rate_rule", "regularisation"):
        if (asked := getattr(job.recipe, rule)) != "fixed":
            raise SearchError(
                f"recipe.{rule}: need fixed in a job, got {asked}; `training.adapted` carries "
                "rules out for a network and the baseline that the recipe was set for, and "
                "`training.swept` finds a rate for tuned"
            )


def initialised(job: Job, device: torch.device) -> nn.Module:
    """The job's network on the device, built without a draw from the global generator.

    Where it starts from a file's weights, it computes as the file's network does. Raises
    WeightsError where they cannot be taken over.
    """
    recipe, seed = job.recipe, stream(job.seed, "initialisation", job.fingerprint)
    network: nn.Module
    saved = None
    if job.weights is not None:
        saved = start_of(job.weights)
        require_like(saved, job.architecture, str(job.weights.path))
    if isinstance(job.architecture, Foreign):
        network = _foreign(job, job.architecture, seed).to(device)
    else:
        kept = {} if saved is None else computing(saved)
        with torch.device("meta"):
            network = build(
                job.architecture,
                dropout=recipe.dropout,
                drop_connect=recipe.drop_connect,
                norm_momentum=recipe.norm_momentum,
                **kept,
            )
        network.to_empty(device=device)
        generator = torch.Generator().manual_seed(seed)
        initialise(network, generator, recipe.initialisation, recipe.residual)
        if saved is not None and recipe.transfer is not None and job.weights is not None:
            take_over(network, saved, recipe.transfer, str(job.weights.path))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return without_narrow_strides(network) if device.type == "cpu" else network


def _foreign(job: Job, network: Foreign, seed: int) -> nn.Module:
    """The network that the user's code makes, with the weights and the regularisation it brings.

    Raises SearchError where the code has changed since the job was planned.
    """
    recipe = job.recipe
    if recipe.dropout or recipe.drop_connect or recipe.residual != "tf":
        raise SearchError(
            f"recipe: need dropout 0, drop_connect 0 and residual tf for {network}, whose code "
            f"brings its own, got {recipe.dropout:g}, {recipe.drop_connect:g}, {recipe.residual}"
        )
    if (now := fingerprint(network)) != job.fingerprint:
        raise SearchError(
            f"network {job.fingerprint}: its code now makes another ({now}) of {network}; put the "
            "code back, or search in another folder"
        )
    return made(network, seed)
