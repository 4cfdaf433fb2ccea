"""A job's network with its first weights, where it fits the images."""

import torch
from torch import nn

from scalesearch.architectures import Foreign
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.data import Dataset
from scalesearch.errors import DataError, SearchError
from scalesearch.nets import build, initialise, made
from scalesearch.streams import stream
from scalesearch.training.job import Job


def require_fit(job: Job, dataset: Dataset) -> None:
    """Raise DataError where a network was not made for a data set's channels and classes."""
    network, data = job.architecture, dataset
    wanted, given = (network.in_channels, network.num_classes), (data.channels, data.num_classes)
    if wanted != given:
        raise DataError(
            f"network {job.fingerprint}: need images of {wanted[0]} channels in {wanted[1]} "
            f"classes, got {given[0]} channels in {given[1]} classes; "
            "set in_channels and num_classes to the data's"
        )


def initialised(job: Job, device: torch.device) -> nn.Module:
    """The job's network on the device, built without a draw from the global generator."""
    recipe, seed = job.recipe, stream(job.seed, "initialisation", job.fingerprint)
    network: nn.Module
    if isinstance(job.architecture, Foreign):
        network = _foreign(job, job.architecture, seed).to(device)
    else:
        with torch.device("meta"):
            network = build(
                job.architecture,
                dropout=recipe.dropout,
                drop_connect=recipe.drop_connect,
                norm_momentum=recipe.norm_momentum,
            )
        network.to_empty(device=device)
        generator = torch.Generator().manual_seed(seed)
        initialise(network, generator, recipe.initialisation, recipe.residual)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _foreign(job: Job, network: Foreign, seed: int) -> nn.Module:
    """The network that the user's code makes, with the weights and the regularisation it brings.

    Raises SearchError where the code has changed since the job was planned.
    """
    recipe = job.recipe
    if recipe.dropout or recipe.drop_connect:
        raise SearchError(
            f"recipe: need dropout 0 and drop_connect 0 for {network}, whose code brings its own, "
            f"got {recipe.dropout:g} and {recipe.drop_connect:g}"
        )
    if (now := fingerprint(network)) != job.fingerprint:
        raise SearchError(
            f"network {job.fingerprint}: its code now makes another ({now}) of {network}; put the "
            "code back, or search in another folder"
        )
    return made(network, seed)
