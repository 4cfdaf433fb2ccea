"""The networks of a search with their trained weights: from its checkpoints, or trained again.

A job is a pure function, so what was not kept can be had once more, on a CPU to the last bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from scalesearch.architectures import Architecture, CustomModel
from scalesearch.data import Dataset, load_dataset
from scalesearch.environment import read_environment
from scalesearch.experiment import Experiment, read_experiment
from scalesearch.recipe import Recipe
from scalesearch.records import read_records
from scalesearch.search.driver import candidate_source
from scalesearch.search.folder import SearchFolder
from scalesearch.search.jobs import checkpoint_path
from scalesearch.search.setting import candidate_recipe
from scalesearch.training import Job, train, load_trained_model


@dataclass(frozen=True, slots=True)
class TrainedCandidate:
    """A candidate's network in evaluation mode, on ``device``, and what it was trained on."""

    candidate: str
    network: nn.Module
    job: Job
    images: Dataset
    device: str


def retrain_candidates(folder: str | Path, seed: int) -> Iterator[TrainedCandidate]:
    """Each planned candidate of the search in the folder that is on record with this seed, trained
    to the last epoch, in the order of the plan.

    Checkpoints that ``search(keep=True)`` has left are read; what is missing is trained and then
    left there, too. Raises what ``search`` raises where the images are not there.
    """
    search_folder = SearchFolder(Path(folder))
    experiment, records = read_experiment(search_folder.experiment), read_records(search_folder.records)
    stored_environment = read_environment(search_folder.environment)
    device = stored_environment["device"]
    images = load_dataset(experiment.data, seed, device=device).to(device)
    source = candidate_source(experiment, stored_environment["data"])
    finished_records = records[(records["seed"] == seed) & (records["epoch"] == experiment.rungs[-1])]
    for trial in source.planned:
        fingerprint, network = trial.candidate.fingerprint, trial.candidate.architecture
        rows = finished_records[finished_records["candidate"] == fingerprint]
        if rows.empty:
            continue
        job = Job(
            architecture=network,
            recipe=_recorded_recipe(experiment, network, source.space.baseline, rows, images),
            seed=seed,
            fingerprint=fingerprint,
            stop=experiment.rungs[-1],
            checkpoint=checkpoint_path(search_folder.checkpoints, fingerprint, seed),
        )
        for _ in train(job, images, device=device):
            pass
        yield TrainedCandidate(fingerprint, load_trained_model(job, images, torch.device(device)), job, images, device)


def _recorded_recipe(
    experiment: Experiment,
    network: Architecture | CustomModel,
    baseline: Architecture | CustomModel,
    rows: pd.DataFrame,
    images: Dataset,
) -> Recipe:
    """What the rows of a candidate were trained with."""
    recipe = experiment.recipe
    micro_batch = int(rows["micro_batch"].iloc[0])
    if micro_batch != (recipe.micro_batch or recipe.batch_size):
        recipe = replace(recipe, micro_batch=micro_batch)
    rate = None
    if recipe.learning_rate_rule == "tuned":  # what is on record is in proportion to the batch
        batch = recipe.learning_rate_batch or recipe.batch_size
        rate = float(rows["learning_rate"].iloc[0]) * batch / recipe.batch_size
    return candidate_recipe(recipe, network, baseline, images.pixels, rate)
