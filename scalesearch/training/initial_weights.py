"""The pretrained network of a run's start, and the file of its end."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import Experiment
from scalesearch.config.recipe import Recipe
from scalesearch.config.transfer_spec import Transfer
from scalesearch.data.augmentation.geometry import InputTransform
from scalesearch.data.dataset import Dataset
from scalesearch.data.preparation import Preparation
from scalesearch.errors import SearchError
from scalesearch.results.run_folder import NETWORK_FILES
from scalesearch.training.job import InitialWeights, TrainingJob
from scalesearch.training.network_file import (
    SavedNetwork,
    read_network,
    weights_hash,
    write_network,
)
from scalesearch.training.transfer import require_classes, require_same_architecture

if TYPE_CHECKING:
    from torch import nn


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


def validate_transfer(
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


def with_transfer_statistics(
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


def write_trained_network(
    folder: Path,
    network: "nn.Module",
    job: TrainingJob,
    image_view: InputTransform,
    dataset: Dataset,
    name: str,
) -> Path:
    """Write a run's network with the preparation of the run's own evaluation."""
    pixels = round(job.architecture.resolution * job.recipe.evaluation_scale)
    preparation = Preparation(
        pixels=pixels,
        stored=dataset.pixels,
        zoom=image_view.zoom,
        mean=image_view.mean,
        std=image_view.std,
        class_names=dataset.class_names,
    )
    return write_network(
        folder / NETWORK_FILES[0],
        network,
        preparation,
        architecture=job.architecture,
        name=name,
        origin=f"scalesearch train: seed {job.seed}, images {dataset.fingerprint}",
    )
