"""The trained network that a run starts from, and the file that it ends in."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.architectures import Architecture, Foreign
from scalesearch.data import Dataset, View
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment
from scalesearch.recipe import Recipe, Transfer
from scalesearch.report.run_folder import NETWORKS
from scalesearch.training import Job, Weights
from scalesearch.training.transfer import require_classes, require_like
from scalesearch.weights import Preparation, Saved, read_network, write_network
from scalesearch.weights.digest import digest

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A trained network, and the file that it is in."""

    saved: Saved
    weights: Weights

    def document(self) -> dict[str, Any]:
        """What ``run.json`` says of it."""
        return {
            "file": str(self.weights.path),
            "digest": self.weights.digest,
            "name": self.saved.name,
            "origin": self.saved.origin,
        }


def start_at(path: str | Path | None) -> Start | None:
    """The network in a file of ours; None where there is no file.

    Raises WeightsError for a file that is none of a whole network.
    """
    if path is None:
        return None
    saved = read_network(path)
    return Start(saved, Weights(path=Path(path), digest=digest(saved.network)))


def going_on(experiment: Experiment, start: Start | None) -> Experiment:
    """The experiment with a transfer in its recipe, which a trained network to start from needs.

    Raises SearchError where there is one without the network.
    """
    recipe = experiment.recipe
    if start is None and recipe.transfer is not None:
        raise SearchError(
            "recipe.transfer: need a trained network to go on from, got none; name its file, "
            "`scalesearch train NETWORK.safetensors`"
        )
    if start is None or recipe.transfer is not None:
        return experiment
    return replace(experiment, recipe=replace(recipe, transfer=Transfer()))


def require_transfer(
    start: Start, recipe: Recipe, network: Architecture | Foreign, dataset: Dataset
) -> None:
    """Refuse a network, classes or parts to freeze that are not the file's."""
    transfer, where = recipe.transfer or Transfer(), str(start.weights.path)
    require_like(start.saved, network, where)
    if transfer.classifier == "keep":
        require_classes(start.saved, dataset.class_names, where)
    if isinstance(network, Architecture) and (
        problems := list(transfer.problems(len(network.stages)))
    ):
        raise SearchError("\n".join(f"recipe.transfer.{problem}" for problem in problems))


def normalised(start: Start, recipe: Recipe, dataset: Dataset) -> Dataset:
    """The images with the statistics that the recipe's transfer asks for.

    Grey images take the mean over the network's channels, as they take the sum of its stem's
    weights; for colours a grey network's statistics are repeated.
    """
    known = start.saved.preparation
    if known is None or recipe.transfer is None or recipe.transfer.statistics == "data":
        return dataset
    mean, std = (_for_channels(each, dataset.channels) for each in (known.mean, known.std))
    return replace(dataset, mean=mean, std=std)


def _for_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) == channels:
        return values
    return (sum(values) / len(values),) * channels


def write_trained(
    folder: Path, network: "nn.Module", job: Job, seen: View, dataset: Dataset, name: str
) -> Path:
    """Write a run's network with what it takes to answer as the run's own evaluation does."""
    pixels = round(job.architecture.resolution * job.recipe.evaluation_scale)
    preparation = Preparation(
        pixels=pixels,
        stored=dataset.pixels,
        zoom=seen.zoom,
        mean=seen.mean,
        std=seen.std,
        class_names=dataset.class_names,
    )
    return write_network(
        folder / NETWORKS[0],
        network,
        preparation,
        architecture=job.architecture,
        name=name,
        origin=f"scalesearch train: seed {job.seed}, images {dataset.fingerprint}",
    )
