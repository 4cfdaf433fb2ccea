"""Training of one network with several seeds, with a summary of all of them.

Each seed's run has its own folder ``seed-K``, written as by ``train_one_seed``. Beside these are
``summary.json``, ``epochs.csv`` (of all seeds) and ``figures/curves``.
"""

import re
import statistics
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError
from scalesearch.figures.style import write_figure
from scalesearch.figures.training_curves import seed_curves, seed_curves_figure
from scalesearch.io import write_json, write_text
from scalesearch.locks import lock_folder
from scalesearch.models.custom_model import code_allowed
from scalesearch.results.run_folder import (
    convert_write_errors,
    read_epochs_table,
    require_same_settings,
)
from scalesearch.training.device import resolve_device
from scalesearch.training.distributed import join_process_group, run_on_main_process
from scalesearch.training.epoch_log import NO_CALLBACKS, RunCallbacks
from scalesearch.training.prepared_run import prepare_run, read_pretrained, with_transfer
from scalesearch.training.single_run import train_runs

SCHEMA = "scalesearch/seeds"
VERSION = 1
SEED_FOLDER_FILES = ("lock", "summary.json", "epochs.csv", "figures")


class MixedSeedsWarning(UserWarning):
    """Warning for seeds that were trained in different environments."""


def train_seeds(
    experiment: Experiment,
    folder: str | Path,
    *,
    seeds: int,
    together: bool = False,
    recipe_name: str | None = None,
    baseline: Architecture | CustomModel | None = None,
    weights: str | Path | None = None,
    callbacks: RunCallbacks = NO_CALLBACKS,
    allow_code: bool = False,
) -> dict[str, Any] | None:
    """Train consecutive seeds; write and return ``summary.json``.

    The first seed is the experiment's. Seed K is trained in ``folder/seed-K`` as by
    ``train_one_seed``: an unfinished run continues, and a finished one stays. ``together``: train
    all at once, which is faster if one network does not fill the device (a GPU). ``recipe_name``:
    name for the summary. ``weights``: as in ``train_one_seed``. Under torchrun the main process
    writes; the others return None.

    Raises the errors of ``train_one_seed``; if any seed's folder holds another run, before
    training.
    """
    if seeds < 1:
        raise SearchError(f"seeds: need at least 1, got {seeds}")
    path = Path(folder)
    with (
        code_allowed(allow_code),
        join_process_group(resolve_device(experiment.device)) as process_group,
        ExitStack() as locks,
    ):
        pretrained = read_pretrained(weights)
        experiment = with_transfer(experiment, pretrained)
        experiments = [
            replace(experiment, seed=experiment.seed + number) for number in range(seeds)
        ]
        # A generator, so that seeds in turn load their images when they begin.
        prepared_runs = (
            prepare_run(
                seed_experiment,
                _seed_folder(path, seed_experiment.seed),
                process_group,
                baseline,
                callbacks,
                pretrained,
            )
            for seed_experiment in experiments
        )
        first_run = next(prepared_runs)  # raises errors before anything is written
        run_on_main_process(
            partial(locks.enter_context, _lock_seeds_folder(path, experiment)), process_group
        )
        runs = chain([first_run], prepared_runs)
        run_groups = iter([list(runs)]) if together else ([run] for run in runs)
        documents = [document for group in run_groups for document in train_runs(group, callbacks)]
        return run_on_main_process(
            partial(_write_summary, path, documents, recipe_name), process_group
        )


def _seed_folder(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}"


@contextmanager
def _lock_seeds_folder(folder: Path, experiment: Experiment) -> Iterator[None]:
    """Check the folder for these seeds, and lock it within the block.

    Seeds of earlier single runs are accepted if their settings are equal.
    """
    with convert_write_errors(folder):
        if (folder / "run.json").exists():
            raise SearchError(
                f"{folder}: need a folder of seeds, got a single run; choose another --out"
            )
        present_seeds = list(_seeds_in(folder)) if folder.is_dir() else []
        has_unknown_files = folder.is_dir() and any(map(_is_unknown_file, folder.iterdir()))
        if folder.is_file() or (has_unknown_files and not present_seeds):
            raise SearchError(
                f"{folder}: need an empty folder or one of these seeds, got other files; "
                "choose another --out"
            )
        for seed in present_seeds:
            require_same_settings(_seed_folder(folder, seed), replace(experiment, seed=seed))
        folder.mkdir(parents=True, exist_ok=True)
        with lock_folder(folder, "run is training"):
            yield


def _seeds_in(folder: Path) -> Iterator[int]:
    for path in folder.iterdir():
        if path.is_dir() and (match := re.fullmatch(r"seed-(\d+)", path.name)):
            yield int(match[1])


def _is_unknown_file(path: Path) -> bool:
    return path.name not in SEED_FOLDER_FILES and not path.name.endswith(".partial")


def _write_summary(
    folder: Path, documents: Sequence[dict[str, Any] | None], recipe_name: str | None
) -> dict[str, Any]:
    """Write the table, the figure and the summary of all seeds."""
    runs = [document for document in documents if document is not None]
    tables = {
        run["asked"]["seed"]: read_epochs_table(_seed_folder(folder, run["asked"]["seed"]))
        for run in runs
    }
    table = pd.concat(
        [epochs.assign(seed=seed) for seed, epochs in tables.items()], ignore_index=True
    )
    table = table[["seed", *table.columns.drop("seed")]]
    write_text(folder / "epochs.csv", table.to_csv(index=False))
    write_figure(seed_curves_figure(seed_curves(table)), folder / "figures" / "curves")
    summary = _summary(runs, tables, recipe_name)
    write_json(folder / "summary.json", summary)
    return summary


def _summary(
    documents: Sequence[dict[str, Any]], tables: dict[int, pd.DataFrame], recipe_name: str | None
) -> dict[str, Any]:
    """Return ``summary.json`` from each ``run.json`` and each seed's table of epochs."""
    first_run = documents[0]
    _warn_of_mixed_environments([document["environment"] for document in documents])
    runs = [_run_summary(document, tables[document["asked"]["seed"]]) for document in documents]
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "name": first_run["name"],
        "recipe_name": recipe_name,
        "asked": {
            part_name: value
            for part_name, value in first_run["asked"].items()
            if part_name != "seed"
        },
        "recipe": first_run["recipe"],
        "fingerprint": first_run["fingerprint"],
        "weights": first_run.get("weights"),  # absent in runs of earlier versions
        "cost": first_run["cost"],
        "data": {part: value for part, value in first_run["data"].items() if part != "fingerprint"},
        "environment": first_run["environment"],
        "seeds": list(tables),
        **{part: _split_statistics([run[part] for run in runs]) for part in ("validation", "test")},
        **{
            name: _mean_and_sd([run[name] for run in runs])
            for name in ("seconds", "images_per_second")
        },
        "runs": runs,
    }


def _run_summary(document: dict[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    """Return a seed's part of the summary; its speed is that over all of its training."""
    results, environment = document["results"], document["environment"]
    return {
        "seed": document["asked"]["seed"],
        "epochs": results["epochs"],
        "validation": results["validation"],
        "test": results["test"],
        "seconds": results["seconds"],
        "images_per_second": statistics.harmonic_mean(table["images_per_second"]),
        "device": environment["device"],
        "commit": environment["commit"],
    }


def _split_statistics(accuracies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean accuracies on a split, which has as many images for every seed."""
    statistics_by_name = {
        name: _mean_and_sd([accuracy[name] for accuracy in accuracies]) for name in ("top1", "top5")
    }
    return {"images": accuracies[0]["images"], **statistics_by_name}


def _mean_and_sd(values: Sequence[float]) -> dict[str, float | None]:
    """Return mean and sample standard deviation; the latter needs two values."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "sd": sd}


def _warn_of_mixed_environments(environments: Sequence[dict[str, Any]]) -> None:
    first_environment = environments[0]
    different = [
        name
        for name in first_environment
        if any(environment.get(name) != first_environment[name] for environment in environments)
    ]
    if different:
        text = "; ".join(
            f"{name}: {', '.join(dict.fromkeys(str(env.get(name)) for env in environments))}"
            for name in different
        )
        warnings.warn(
            f"seeds were trained in different environments ({text})",
            MixedSeedsWarning,
            stacklevel=2,
        )
