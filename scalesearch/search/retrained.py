"""The networks of a search with their trained weights: from its checkpoints, or trained again.

A job is a pure function, so what was not kept can be had once more, on a CPU to the last bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from scalesearch.architectures import Architecture, Foreign
from scalesearch.data import Dataset, load
from scalesearch.environment import read_environment
from scalesearch.experiment import Experiment, read_experiment
from scalesearch.recipe import Recipe
from scalesearch.records import read_records
from scalesearch.search.driver import source_of
from scalesearch.search.folder import Folder
from scalesearch.search.jobs import checkpoint
from scalesearch.search.setting import own_recipe
from scalesearch.training import Job, train, trained


@dataclass(frozen=True, slots=True)
class Retrained:
    """A candidate's network in evaluation mode, on ``device``, and what it was trained on."""

    candidate: str
    network: nn.Module
    job: Job
    images: Dataset
    device: str


def retrained(folder: str | Path, seed: int) -> Iterator[Retrained]:
    """Each planned candidate of the search in the folder that is on record with this seed, trained
    to the last epoch, in the order of the plan.

    Checkpoints that ``search(keep=True)`` has left are read; what is missing is trained and then
    left there, too. Raises what ``search`` raises where the images are not there.
    """
    where = Folder(Path(folder))
    experiment, records = read_experiment(where.experiment), read_records(where.records)
    begun = read_environment(where.environment)
    device = begun["device"]
    images = load(experiment.data, seed, device=device).to(device)
    source = source_of(experiment, begun["data"])
    done = records[(records["seed"] == seed) & (records["epoch"] == experiment.rungs[-1])]
    for item in source.planned:
        name, network = item.candidate.fingerprint, item.candidate.architecture
        rows = done[done["candidate"] == name]
        if rows.empty:
            continue
        job = Job(
            architecture=network,
            recipe=_recipe(experiment, network, source.where.baseline, rows, images),
            seed=seed,
            fingerprint=name,
            stop=experiment.rungs[-1],
            checkpoint=checkpoint(where.checkpoints, name, seed),
        )
        for _ in train(job, images, device=device):
            pass
        yield Retrained(name, trained(job, images, torch.device(device)), job, images, device)


def _recipe(
    experiment: Experiment,
    network: Architecture | Foreign,
    baseline: Architecture | Foreign,
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
    return own_recipe(recipe, network, baseline, images.pixels, rate)
