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

from scalesearch.architectures import Architecture, Foreign
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment
from scalesearch.files import write_text
from scalesearch.nets import code_allowed
from scalesearch.plots import write_figure
from scalesearch.plots.curves import seed_curves, seeds_figure
from scalesearch.report.run import NOBODY, Told, ended, prepared
from scalesearch.report.run_folder import (
    recorded_table,
    require_same_settings,
    write_json,
    written,
)
from scalesearch.report.start import going_on, start_at
from scalesearch.search.advance import chosen_device
from scalesearch.search.folder import locked
from scalesearch.training.distributed import led, processes

SCHEMA = "scalesearch/seeds"
VERSION = 1
OURS = ("lock", "summary.json", "epochs.csv", "figures")


class MixedSeedsWarning(UserWarning):
    """Seeds that were not trained alike."""


def train_seeds(
    experiment: Experiment,
    folder: str | Path,
    *,
    seeds: int,
    together: bool = False,
    recipe_name: str | None = None,
    baseline: Architecture | Foreign | None = None,
    weights: str | Path | None = None,
    told: Told = NOBODY,
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
        processes(chosen_device(experiment.device)) as group,
        ExitStack() as held,
    ):
        start = start_at(weights)
        experiment = going_on(experiment, start)
        each = [replace(experiment, seed=experiment.seed + number) for number in range(seeds)]
        # Lazily: seeds in turn have their images loaded when they begin.
        rest = (prepared(one, _place(path, one.seed), group, baseline, told, start) for one in each)
        first = next(rest)  # what cannot be trained is refused before anything is written
        led(partial(held.enter_context, _claimed(path, experiment)), group)
        runs = chain([first], rest)
        groups = iter([list(runs)]) if together else ([run] for run in runs)
        documents = [document for runs in groups for document in ended(runs, told)]
        return led(partial(_concluded, path, documents, recipe_name), group)


def _place(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}"


@contextmanager
def _claimed(folder: Path, experiment: Experiment) -> Iterator[None]:
    """The folder found fit for these seeds, and held alone within.

    Seeds that single runs have left there are taken as they are, if their settings are the same.
    """
    with written(folder):
        if (folder / "run.json").exists():
            raise SearchError(
                f"{folder}: need a folder of seeds, got a single run; choose another --out"
            )
        found = list(_seeds(folder)) if folder.is_dir() else []
        other = folder.is_dir() and any(map(_foreign, folder.iterdir()))
        if folder.is_file() or (other and not found):
            raise SearchError(
                f"{folder}: need an empty folder or one of these seeds, got other files; "
                "choose another --out"
            )
        for seed in found:
            require_same_settings(_place(folder, seed), replace(experiment, seed=seed))
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, "run is training"):
            yield


def _seeds(folder: Path) -> Iterator[int]:
    for path in folder.iterdir():
        if path.is_dir() and (named := re.fullmatch(r"seed-(\d+)", path.name)):
            yield int(named[1])


def _foreign(entry: Path) -> bool:
    return entry.name not in OURS and not entry.name.endswith(".partial")


def _concluded(
    folder: Path, documents: Sequence[dict[str, Any] | None], recipe_name: str | None
) -> dict[str, Any]:
    """Write what the seeds say together."""
    runs = [document for document in documents if document is not None]
    tables = {
        run["asked"]["seed"]: recorded_table(_place(folder, run["asked"]["seed"])) for run in runs
    }
    table = pd.concat([one.assign(seed=seed) for seed, one in tables.items()], ignore_index=True)
    table = table[["seed", *table.columns.drop("seed")]]
    write_text(folder / "epochs.csv", table.to_csv(index=False))
    write_figure(seeds_figure(seed_curves(table)), folder / "figures" / "curves")
    summary = _summary(runs, tables, recipe_name)
    write_json(folder / "summary.json", summary)
    return summary


def _summary(
    documents: Sequence[dict[str, Any]], tables: dict[int, pd.DataFrame], recipe_name: str | None
) -> dict[str, Any]:
    """``documents``: the ``run.json`` of each; ``tables``: the epochs of each seed."""
    first = documents[0]
    _warn_of_differences([document["environment"] for document in documents])
    runs = [_one(document, tables[document["asked"]["seed"]]) for document in documents]
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "name": first["name"],
        "recipe_name": recipe_name,
        "asked": {part: value for part, value in first["asked"].items() if part != "seed"},
        "recipe": first["recipe"],
        "fingerprint": first["fingerprint"],
        "weights": first.get("weights"),  # unknown to earlier versions
        "cost": first["cost"],
        "data": {part: value for part, value in first["data"].items() if part != "fingerprint"},
        "environment": first["environment"],
        "seeds": list(tables),
        **{part: _split([run[part] for run in runs]) for part in ("validation", "test")},
        **{name: _spread([run[name] for run in runs]) for name in ("seconds", "images_per_second")},
        "runs": runs,
    }


def _one(document: dict[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    """A seed's part of the summary. ``images_per_second``: over all of its training."""
    results, where = document["results"], document["environment"]
    return {
        "seed": document["asked"]["seed"],
        "epochs": results["epochs"],
        "validation": results["validation"],
        "test": results["test"],
        "seconds": results["seconds"],
        "images_per_second": statistics.harmonic_mean(table["images_per_second"]),
        "device": where["device"],
        "commit": where["commit"],
    }


def _split(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Accuracies on a split of which every seed has as many images."""
    tops = {name: _spread([one[name] for one in found]) for name in ("top1", "top5")}
    return {"images": found[0]["images"], **tops}


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, and standard deviation of the sample, which a single value does not have."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "sd": sd}


def _warn_of_differences(environments: Sequence[dict[str, Any]]) -> None:
    first = environments[0]
    unlike = [name for name in first if any(one.get(name) != first[name] for one in environments)]
    if unlike:
        told = "; ".join(
            f"{name}: {', '.join(dict.fromkeys(str(one.get(name)) for one in environments))}"
            for name in unlike
        )
        warnings.warn(f"seeds were not trained alike ({told})", MixedSeedsWarning, stacklevel=2)
