"""A single run before training: its pretrained network, images, job, and folder."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import Experiment
from scalesearch.config.recipe import Recipe
from scalesearch.config.transfer_spec import Transfer
from scalesearch.data.augmentation.geometry import default_zoom
from scalesearch.data.dataset import Dataset
from scalesearch.data.sources.by_name import load_dataset
from scalesearch.errors import SearchError
from scalesearch.training.device import resolve_device
from scalesearch.training.distributed import DistributedContext, distributed_recipe
from scalesearch.training.epoch_log import NO_CALLBACKS, RunCallbacks
from scalesearch.training.job import InitialWeights, TrainingJob
from scalesearch.training.lr_rules import adapted_recipe
from scalesearch.training.network_file import SavedNetwork, read_network, weights_hash
from scalesearch.training.transfer import require_classes, require_same_architecture


@dataclass(frozen=True, slots=True, eq=False)
class PretrainedNetwork:
    """A trained network with its file and the hash of its weights."""

    network_file: SavedNetwork
    weights: InitialWeights

    def to_document(self) -> dict[str, Any]:
        """Return its entry in ``run.json``."""
        return {
            "file": str(self.weights.path),
            "digest": self.weights.weights_hash,
            "name": self.network_file.name,
            "origin": self.network_file.origin,
        }


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
        _validate_transfer(pretrained, experiment.recipe, network, dataset)
        dataset = _with_transfer_statistics(pretrained, experiment.recipe, dataset)
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


def read_pretrained(path: str | Path | None) -> PretrainedNetwork | None:
    """Read the network of a ``network.safetensors``; None for no path.

    Raises WeightsError for a file that is damaged or is no network file.
    """
    if path is None:
        return None
    saved = read_network(path)
    return PretrainedNetwork(
        saved, InitialWeights(path=Path(path), weights_hash=weights_hash(saved.network))
    )


def with_transfer(experiment: Experiment, pretrained: PretrainedNetwork | None) -> Experiment:
    """Add the default transfer to the recipe of a run from pretrained weights.

    Raises SearchError for a recipe with a transfer but no pretrained network.
    """
    recipe = experiment.recipe
    if pretrained is None and recipe.transfer is not None:
        raise SearchError(
            "recipe.transfer: need a trained network to start from, got none; name its file: "
            "`scalesearch train NETWORK.safetensors`"
        )
    if pretrained is None or recipe.transfer is not None:
        return experiment
    return replace(experiment, recipe=replace(recipe, transfer=Transfer()))


def _validate_transfer(
    pretrained: PretrainedNetwork,
    recipe: Recipe,
    network: Architecture | CustomModel,
    dataset: Dataset,
) -> None:
    """Raise an error if network, classes or frozen parts do not match the file."""
    transfer, file_name = recipe.transfer or Transfer(), str(pretrained.weights.path)
    require_same_architecture(pretrained.network_file, network, file_name)
    if transfer.classifier == "keep":
        require_classes(pretrained.network_file, dataset.class_names, file_name)
    if isinstance(network, Architecture) and (
        problems := list(transfer.problems(len(network.stages)))
    ):
        raise SearchError("\n".join(f"recipe.transfer.{problem}" for problem in problems))


def _with_transfer_statistics(
    pretrained: PretrainedNetwork, recipe: Recipe, dataset: Dataset
) -> Dataset:
    """Return the data set with the statistics that the recipe's transfer names.

    Grey images use the mean over the network's channels, as they use the sum of its stem weights.
    Colour images repeat the statistics of a grey network.
    """
    preparation = pretrained.network_file.preparation
    if preparation is None or recipe.transfer is None or recipe.transfer.statistics == "data":
        return dataset
    mean, std = (
        _for_channels(statistic, dataset.channels)
        for statistic in (preparation.mean, preparation.std)
    )
    return replace(dataset, mean=mean, std=std)


def _for_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) == channels:
        return values
    return (sum(values) / len(values),) * channels
