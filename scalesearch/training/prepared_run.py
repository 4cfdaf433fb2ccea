"""A single run before training: its images, its job, and its folder."""

from dataclasses import dataclass, replace
from pathlib import Path

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import Experiment
from scalesearch.data.augmentation.geometry import default_zoom
from scalesearch.data.dataset import Dataset
from scalesearch.data.sources.by_name import load_dataset
from scalesearch.errors import SearchError
from scalesearch.training.device import resolve_device
from scalesearch.training.distributed import DistributedContext, distributed_recipe
from scalesearch.training.epoch_log import NO_CALLBACKS, RunCallbacks
from scalesearch.training.initial_weights import (
    PretrainedNetwork,
    validate_transfer,
    with_transfer_statistics,
)
from scalesearch.training.job import TrainingJob
from scalesearch.training.lr_rules import adapted_recipe


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """Everything that stays fixed while a run is trained."""

    experiment: Experiment
    folder: Path
    job: TrainingJob
    dataset: Dataset
    device: str
    process_group: DistributedContext
    pretrained: PretrainedNetwork | None = None
    """Network that the run starts from; None: initial weights are drawn from the seed."""


def prepare_run(
    experiment: Experiment,
    folder: Path,
    process_group: DistributedContext,
    baseline: Architecture | CustomModel | None = None,
    callbacks: RunCallbacks = NO_CALLBACKS,
    pretrained: PretrainedNetwork | None = None,
) -> PreparedRun:
    """Load the images of an experiment and create its job, without writing anything."""
    if experiment.recipe.learning_rate_rule == "tuned":
        raise SearchError(
            "recipe.learning_rate_rule: need fixed or depth in a single run, got tuned, which "
            "finds a rate for each candidate of a search; set recipe.learning_rate"
        )
    device = process_group.own_device(resolve_device(experiment.device))
    on_data = callbacks.on_data if process_group.is_main_process else None
    dataset = load_dataset(experiment.data, experiment.seed, device=device, progress=on_data)
    channels, classes = dataset.channels, dataset.num_classes
    network = experiment.baseline.build_architecture(in_channels=channels, num_classes=classes)
    if pretrained is not None:
        validate_transfer(pretrained, experiment.recipe, network, dataset)
        dataset = with_transfer_statistics(pretrained, experiment.recipe, dataset)
    tuned_network = replace(baseline or network, in_channels=channels, num_classes=classes)
    recipe = adapted_recipe(experiment.recipe, network, tuned_network)
    if recipe.evaluation_zoom is None:
        recipe = replace(
            recipe, evaluation_zoom=default_zoom(dataset.pixels, tuned_network.resolution)
        )
    job = TrainingJob(
        architecture=network,
        recipe=distributed_recipe(recipe, process_group),
        seed=experiment.seed,
        fingerprint=fingerprint(network),
        checkpoint=folder / "checkpoint",
        weights=None if pretrained is None else pretrained.weights,
    )
    return PreparedRun(experiment, folder, job, dataset, device, process_group, pretrained)
