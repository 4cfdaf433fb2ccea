"""Grad-CAM of an ablation's networks on the same images, with its figure.

Networks come from the search's checkpoints. A missing one is trained again, which gives the same
network, since a job is a pure function (on a CPU, to the last bit).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from scalesearch.ablations.ablation_prose import AblationResult
from scalesearch.ablations.ablation_table import AblationRow
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import Experiment
from scalesearch.config.recipe import Recipe
from scalesearch.data.dataset import Dataset
from scalesearch.data.sources.by_name import load_dataset
from scalesearch.errors import SearchError
from scalesearch.figures.class_maps import GradCamGrid, GradCamPanel, gradcam_figure
from scalesearch.figures.style import write_figure
from scalesearch.locks import remove_checkpoint
from scalesearch.results.search_folder import SearchFolder
from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.jobs import candidate_recipe, checkpoint_path
from scalesearch.training.gradcam import grad_cam_of_validation, validation_images
from scalesearch.training.inference import load_trained_model
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train


@dataclass(frozen=True, slots=True)
class TrainedCandidate:
    """A candidate's trained network in evaluation mode, with its job and data."""

    candidate: str
    network: nn.Module
    job: TrainingJob
    images: Dataset
    device: str


def retrain_candidates(folder: str | Path, seed: int) -> Iterator[TrainedCandidate]:
    """Yield each planned candidate that has finished with this seed.

    Checkpoints that ``run_search(keep=True)`` has left are read; missing ones are trained and kept.
    Raises the same errors as ``run_search`` if the images are missing.
    """
    search = SearchFolder(folder)
    experiment, records, environment = search.experiment, search.records, search.environment
    device = environment["device"]
    images = load_dataset(experiment.data, seed, device=device).to(device)
    source = CandidateSource.from_experiment(experiment, environment["data"])
    finished_records = records[(records["seed"] == seed) & (records["epoch"] == search.last_epoch)]
    for trial in source.planned:
        fingerprint, network = trial.candidate.fingerprint, trial.candidate.architecture
        rows = finished_records[finished_records["candidate"] == fingerprint]
        if rows.empty:
            continue
        job = TrainingJob(
            architecture=network,
            recipe=_recorded_recipe(experiment, network, source.space.baseline, rows, images),
            seed=seed,
            fingerprint=fingerprint,
            stop=search.last_epoch,
            checkpoint=checkpoint_path(search.paths.checkpoints, fingerprint, seed),
        )
        for _ in train(job, images, device=device):
            pass
        yield TrainedCandidate(
            fingerprint, load_trained_model(job, images, torch.device(device)), job, images, device
        )


def _recorded_recipe(
    experiment: Experiment,
    network: Architecture | CustomModel,
    baseline: Architecture | CustomModel,
    rows: pd.DataFrame,
    images: Dataset,
) -> Recipe:
    """Return the recipe with which the rows of a candidate were trained."""
    recipe = experiment.recipe
    micro_batch = int(rows["micro_batch"].iloc[0])
    if micro_batch != (recipe.micro_batch or recipe.batch_size):
        recipe = replace(recipe, micro_batch=micro_batch)
    rate = None
    if recipe.learning_rate_rule == "tuned":  # the recorded rate is scaled with the batch size
        batch = recipe.learning_rate_batch or recipe.batch_size
        rate = float(rows["learning_rate"].iloc[0]) * batch / recipe.batch_size
    return candidate_recipe(recipe, network, baseline, images.pixels, rate)


FIGURE_NAME = "figure7"
"""The number of the figure in the paper."""


def write_gradcam(result: AblationResult) -> None:
    """Write ``maps.npz`` and ``figures/figure7`` for the first baseline and seed.

    If the file is already of these networks and images, only the figure is drawn again. The
    checkpoints are removed at the end. Raises the errors of ``retrain_candidates``, and SearchError
    if no network has finished with that seed.
    """
    path = result.folder / "maps.npz"
    rows = _gradcam_rows(result)
    if not _is_current(path, result, rows):
        _write_gradcam_file(path, result, rows)
    write_figure(gradcam_figure(read_gradcam(path)), result.folder / "figures" / FIGURE_NAME)
    for checkpoint in (result.folder / rows[0].baseline / "checkpoints").glob("*.pt"):
        remove_checkpoint(checkpoint)


def gradcam_stage(network: Architecture, least_pixels: int) -> int | None:
    """Choose the last stage whose feature maps are at least ``least_pixels`` wide.

    None stands for the maps after the last stage. The first stage is chosen if none is wide enough.
    """
    sides = list(_stage_resolutions(network))
    if sides[-1] >= least_pixels:
        return None
    return max((stage for stage, side in enumerate(sides) if side >= least_pixels), default=0)


def read_gradcam(path: Path) -> GradCamGrid:
    """Read ``maps.npz``. Raises SearchError if it is another file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            content: dict[str, NDArray[Any]] = dict(file)
        names, classes = content["series"].tolist(), content["class_names"].tolist()
        labels = content["labels"]
        return GradCamGrid(
            images=content["images"],
            labels=tuple(classes[label] for label in labels),
            stage=int(content["stage"]) or None,
            panels=tuple(
                GradCamPanel(
                    series=name,
                    heatmaps=content[f"maps_{index}"],
                    predictions=tuple(
                        classes[prediction] for prediction in content[f"answers_{index}"]
                    ),
                    factor=float(content["factors"][index]),
                )
                for index, name in enumerate(names)
            ),
        )
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise SearchError(f"{path}: not a file of class maps: {error}; remove it") from error


def _gradcam_rows(result: AblationResult) -> list[AblationRow]:
    """Rows of the first baseline's networks, each once, without those whose first seed failed."""
    baseline, seed = next(iter(result.ablation.baselines)), result.ablation.seed
    records = SearchFolder(result.folder / baseline).records
    final_records = records[
        (records["seed"] == seed) & (records["epoch"] == records["epoch"].max())
    ]
    trained = set(final_records["candidate"])
    baseline_rows = [
        row for row in result.rows if row.baseline == baseline and row.candidate in trained
    ]
    if not baseline_rows:
        raise SearchError(
            f"{result.folder / baseline}: maps need a network that was trained to the end with "
            f"seed {seed}, got none; `scalesearch retry {result.folder / baseline}` trains failed "
            "networks again"
        )
    return list({row.candidate: row for row in reversed(baseline_rows)}.values())[::-1]


def _gradcam_settings(result: AblationResult) -> list[int]:
    """Return the settings of the heatmaps, to detect changes."""
    config = result.ablation.maps
    assert config is not None
    return [config.images, config.least_pixels]


def _write_gradcam_file(path: Path, result: AblationResult, rows: list[AblationRow]) -> None:
    config, ablation = result.ablation.maps, result.ablation
    assert config is not None
    row_by_candidate = {row.candidate: row for row in rows}
    content: dict[str, Any] = {}
    for retrained_network in retrain_candidates(result.folder / rows[0].baseline, ablation.seed):
        if retrained_network.candidate not in row_by_candidate:
            continue
        if not content:  # the first network is the baseline, or the nearest to it
            stage = gradcam_stage(_architecture_of(retrained_network), config.least_pixels)
            indices = _image_indices(retrained_network, config.images)
            content = {
                **validation_images(retrained_network.images, indices),
                "stage": np.array(_stage_number(stage)),
            }
        index = rows.index(row_by_candidate[retrained_network.candidate])
        heatmaps, predictions = grad_cam_of_validation(
            retrained_network.network,
            retrained_network.job,
            retrained_network.images,
            indices,
            stage,
            retrained_network.device,
        )
        content[f"maps_{index}"], content[f"answers_{index}"] = heatmaps, predictions
    content["asked"] = np.array(_gradcam_settings(result))
    content["series"] = np.array([row.series for row in rows])
    content["candidates"] = np.array([row.candidate for row in rows])
    content["factors"] = np.array([row.factor for row in rows])
    partial_path = path.with_name(f".{path.stem}.partial.npz")
    np.savez_compressed(partial_path, **content)
    partial_path.replace(path)


def _architecture_of(retrained_network: TrainedCandidate) -> Architecture:
    if not isinstance(retrained_network.job.architecture, Architecture):
        raise SearchError("maps: need a baseline as data, got code; leave `maps` out")
    return retrained_network.job.architecture


def _image_indices(retrained_network: TrainedCandidate, count: int) -> list[int]:
    """Return the first validation image of each class, so that nobody picks them."""
    labels = retrained_network.images.validation.labels.tolist()
    firsts = {label: index for index, label in reversed(list(enumerate(labels)))}
    return sorted(firsts.values())[:count]


def _stage_number(stage: int | None) -> int:
    """Return the number of a stage, from 1; 0 for the maps after the last stage."""
    return 0 if stage is None else stage + 1


def _is_current(path: Path, result: AblationResult, rows: list[AblationRow]) -> bool:
    """Whether the file is complete and of these networks and images."""
    try:
        read_gradcam(path)
        with np.load(path, allow_pickle=False) as file:
            settings = _gradcam_settings(result)  # files of earlier versions do not have them
            is_same = file["asked"].tolist() == settings if "asked" in file else True
            names = [str(name) for name in file["candidates"]]
        return is_same and names == [row.candidate for row in rows]
    except SearchError:
        return False


def _stage_resolutions(network: Architecture) -> Iterator[int]:
    """Pixels per side after each stage."""
    side = -(-network.resolution // network.stem_stride)
    side = -(-side // network.stem_pool)
    for stage in network.stages:
        side = -(-side // stage.stride)
        yield side
