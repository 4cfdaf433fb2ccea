"""Build a job's network with its initial weights, and check it against the images."""

import math

import torch
from torch import nn

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture
from scalesearch.data.dataset import Dataset
from scalesearch.errors import DataError, SearchError
from scalesearch.models.cpu_kernels import replace_narrow_strides
from scalesearch.models.custom_model import build_custom_model
from scalesearch.models.initialisation import initialise
from scalesearch.models.network import build_model
from scalesearch.seeding import stream_seed
from scalesearch.training.job import TrainingJob
from scalesearch.training.transfer import (
    computation_options,
    load_pretrained_weights,
    read_initial_weights,
    require_same_architecture,
)


def require_matching_data(job: TrainingJob, dataset: Dataset) -> None:
    """Check the network against the data set's channels, classes and number of images.

    Raises DataError for other channels or classes, and SearchError if batch norm would normalise a
    single value.
    """
    network, data = job.architecture, dataset
    expected, actual = (network.in_channels, network.num_classes), (data.channels, data.num_classes)
    if expected != actual:
        raise DataError(
            f"network {job.fingerprint}: need images of {expected[0]} channels in {expected[1]} "
            f"classes, got {actual[0]} channels in {actual[1]} classes; "
            "set in_channels and num_classes to the data's"
        )
    if (
        not isinstance(network, CustomModel)
        and _smallest_pass(job, dataset) == _last_map_side(job, network) == 1
    ):
        raise SearchError(
            f"recipe: need at least 2 images in each forward pass of network {job.fingerprint}, "
            "whose last feature maps have a single pixel, got 1; raise batch_size, micro_batch "
            "or the number of training images"
        )


def _smallest_pass(job: TrainingJob, dataset: Dataset) -> int:
    """Return the number of images in the smallest forward pass of training."""
    batch = min(job.recipe.batch_size, len(dataset.train))
    micro_batch = job.recipe.micro_batch or batch
    return batch % micro_batch or micro_batch


def _last_map_side(job: TrainingJob, network: Architecture) -> int:
    """Return the side in pixels of the last stage's output for the smallest images."""
    side = job.recipe.progressive.resolution(network.resolution, 1, job.recipe.epochs)
    strides = (network.stem_stride, network.stem_pool, *(stage.stride for stage in network.stages))
    return -(-side // math.prod(strides))


def require_fixed_rules(job: TrainingJob) -> None:
    """Raise SearchError if a rule of the recipe has not been applied yet."""
    for rule in ("learning_rate_rule", "regularisation"):
        if (value := getattr(job.recipe, rule)) != "fixed":
            raise SearchError(
                f"recipe.{rule}: need fixed in a job, got {value}; apply the rule with "
                "`training.lr_rules.adapted_recipe`, and find the rate for tuned with "
                "`training.lr_rules.run_lr_sweep`"
            )


def build_initial_model(job: TrainingJob, device: torch.device) -> nn.Module:
    """Build the job's network on the device, without the global generator.

    If it starts from the weights of a file, it takes over that network's computation options.
    Raises WeightsError if the weights do not fit.
    """
    recipe, seed = job.recipe, stream_seed(job.seed, "initialisation", job.fingerprint)
    network: nn.Module
    saved_network = None
    if job.weights is not None:
        saved_network = read_initial_weights(job.weights)
        require_same_architecture(saved_network, job.architecture, str(job.weights.path))
    if isinstance(job.architecture, CustomModel):
        network = _build_custom_model(job, job.architecture, seed).to(device)
    else:
        options = {} if saved_network is None else computation_options(saved_network)
        with torch.device("meta"):
            network = build_model(
                job.architecture,
                dropout=recipe.dropout,
                drop_connect=recipe.drop_connect,
                norm_momentum=recipe.norm_momentum,
                **options,
            )
        network.to_empty(device=device)
        generator = torch.Generator().manual_seed(seed)
        initialise(network, generator, recipe.initialisation, recipe.residual)
        if saved_network is not None and recipe.transfer is not None and job.weights is not None:
            load_pretrained_weights(network, saved_network, recipe.transfer, str(job.weights.path))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return replace_narrow_strides(network) if device.type == "cpu" else network


def _build_custom_model(job: TrainingJob, network: CustomModel, seed: int) -> nn.Module:
    """Build a custom model, with the weights and the regularisation of its own code.

    Raises SearchError if the code has changed since the job was planned.
    """
    recipe = job.recipe
    if recipe.dropout or recipe.drop_connect or recipe.residual != "tf":
        raise SearchError(
            f"recipe: need dropout 0, drop_connect 0 and residual tf for {network}, whose code "
            f"sets them, got {recipe.dropout:g}, {recipe.drop_connect:g}, {recipe.residual}"
        )
    if (current_fingerprint := fingerprint(network)) != job.fingerprint:
        raise SearchError(
            f"network {job.fingerprint}: need the code it was planned with, but {network} now "
            f"builds {current_fingerprint}; restore the code, or search in another folder"
        )
    return build_custom_model(network, seed)
