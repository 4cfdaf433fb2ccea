"""One network trained with several seeds, and what they say together.

Each seed's run has a folder of its own, ``seed-K``, as a single run would leave it. Beside them are
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
from scalesearch.training.initial_weights import read_pretrained, with_transfer
from scalesearch.training.single_run import NO_CALLBACKS, RunCallbacks, prepare_run, train_runs

SCHEMA = "scalesearch/seeds"
VERSION = 1
SEED_FOLDER_FILES = ("lock", "summary.json", "epochs.csv", "figures")


class MixedSeedsWarning(UserWarning):
    """Seeds that were not trained alike."""


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
    """Train so many seeds, from the experiment's own on; write and return ``summary.json``.

    Seed K is trained in ``folder/seed-K`` as ``train_network`` would train it there: what is begun
    goes on, and what has ended stays as it is. ``together``: all at once, which is faster where one
    network does not fill the device (a GPU); else one after the other. ``recipe_name``: for the
    record. ``weights``: as in ``train_network``. Under torchrun the first of the processes writes;
    the others return None.

    Raises as ``train_network`` does, before anything is trained where any seed's folder holds
    another run.
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
        # Lazily: seeds in turn have their images loaded when they begin.
        later_runs = (
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
        first_run = next(later_runs)  # what cannot be trained is refused before anything is written
        run_on_main_process(
            partial(locks.enter_context, _lock_seeds_folder(path, experiment)), process_group
        )
        runs = chain([first_run], later_runs)
        run_groups = iter([list(runs)]) if together else ([run] for run in runs)
        documents = [document for runs in run_groups for document in train_runs(runs, callbacks)]
        return run_on_main_process(
            partial(_write_summary, path, documents, recipe_name), process_group
        )


def _seed_folder(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}"


@contextmanager
def _lock_seeds_folder(folder: Path, experiment: Experiment) -> Iterator[None]:
    """The folder found fit for these seeds, and held alone within.

    Seeds that single runs have left there are taken as they are, if their settings are the same.
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
    """Write what the seeds say together."""
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
    """``documents``: the ``run.json`` of each; ``tables``: the epochs of each seed."""
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
        "weights": first_run.get("weights"),  # unknown to earlier versions
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
    """A seed's part of the summary. ``images_per_second``: over all of its training."""
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
    """Accuracies on a split of which every seed has as many images."""
    statistics_by_name = {
        name: _mean_and_sd([accuracy[name] for accuracy in accuracies]) for name in ("top1", "top5")
    }
    return {"images": accuracies[0]["images"], **statistics_by_name}


def _mean_and_sd(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, and standard deviation of the sample, which a single value does not have."""
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
            f"{name}: {', '.join(dict.fromkeys(str(one.get(name)) for one in environments))}"
            for name in different
        )
        warnings.warn(f"seeds were not trained alike ({text})", MixedSeedsWarning, stacklevel=2)
