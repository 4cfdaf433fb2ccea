"""One network trained to the end of its recipe, and the folder that this leaves behind.

``run.json`` (what was asked, and what came of it), ``epochs.csv``, ``metrics.json``,
``confusion.csv``, ``figures/``, ``network.pt`` and, for going on, ``checkpoint``.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.architectures import Architecture, Foreign, cost
from scalesearch.architectures.fingerprint import fingerprint, to_json
from scalesearch.data import Dataset, Split, load, load_test, view
from scalesearch.environment import environment
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment, differences, experiment_from, to_document
from scalesearch.files import write_text
from scalesearch.nets import code_allowed
from scalesearch.plots import write_figure
from scalesearch.plots.confusion import confusion, confusion_figure
from scalesearch.plots.curves import curves, curves_figure
from scalesearch.search.driver import chosen_device
from scalesearch.search.folder import locked
from scalesearch.training import Epoch, Job, train
from scalesearch.training.answers import logits, trained, write_network
from scalesearch.training.distributed import Processes, processes, shared
from scalesearch.training.metrics import Metrics, metrics
from scalesearch.training.shape import adapted
from scalesearch.training.tensorboard import tensorboard

SCHEMA = "scalesearch/run"
VERSION = 1
ASKED = ("name", "baseline", "data", "recipe", "seed", "device")
"""The parts of an experiment that a single run has."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What stays the same from the first epoch to the last."""

    experiment: Experiment
    folder: Path
    job: Job
    dataset: Dataset
    device: str
    processes: Processes


def train_network(
    experiment: Experiment,
    folder: str | Path,
    *,
    baseline: Architecture | Foreign | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    log: bool = False,
    allow_code: bool = False,
) -> dict[str, Any] | None:
    """Train the experiment's baseline itself, by its recipe on its data, and return ``run.json``.

    Where the run was begun in the folder it goes on; where it has ended its files are written
    anew. ``baseline``: what the recipe was set for (see ``training.shape``); None: the network
    itself. ``log``: write TensorBoard's events into ``folder/tensorboard``. Under torchrun the
    first of the processes writes; the others return None.

    Raises ArchitectureError, DataError or SearchError for what cannot be trained or written as it
    is asked for, and TrainingDiverged, which keeps the epochs before it.
    """
    name = chosen_device(experiment.device)
    with code_allowed(allow_code), processes(name) as group:
        run = _prepared(experiment, Path(folder), baseline, group, group.device(name))
        if not group.first:
            for _ in train(run.job, run.dataset, device=run.device, processes=run.processes):
                pass
            return None
        with _claimed(run), tensorboard(run.folder / "tensorboard") if log else nullcontext() as to:
            epochs = []
            for epoch in train(run.job, run.dataset, device=run.device, processes=run.processes):
                epochs.append(epoch)
                write_text(run.folder / "epochs.csv", _table(epochs).to_csv(index=False))
                for told in (to, on_epoch):
                    if told:
                        told(epoch)
            return _concluded(run, _table(epochs))


def _prepared(
    experiment: Experiment,
    folder: Path,
    baseline: Architecture | Foreign | None,
    group: Processes,
    device: str,
) -> _Run:
    if experiment.recipe.learning_rate_rule == "tuned":
        raise SearchError(
            "recipe.learning_rate_rule: a single run needs fixed or depth, got tuned, which is a "
            "search's way to find a rate for each candidate; set recipe.learning_rate"
        )
    dataset = load(experiment.data, experiment.seed, device=device)
    channels, classes = dataset.channels, dataset.num_classes
    network = experiment.baseline.build(in_channels=channels, num_classes=classes)
    set_for = replace(baseline or network, in_channels=channels, num_classes=classes)
    job = Job(
        architecture=network,
        recipe=shared(adapted(experiment.recipe, network, set_for), group),
        seed=experiment.seed,
        fingerprint=fingerprint(network),
        checkpoint=folder / "checkpoint",
    )
    return _Run(experiment, folder, job, dataset, device, group)


@contextmanager
def _claimed(run: _Run) -> Iterator[None]:
    """The folder made this run's, or found to be, and held alone within."""
    folder, path = run.folder, run.folder / "run.json"
    try:
        if path.exists():
            _require_same(run, _read(path))
        elif folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise SearchError(
                f"{folder}: need an empty folder or one of this run, got other files; "
                "choose another --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            if not path.exists():
                _write_json(path, _document(run, None))
            yield
    except OSError as error:
        raise SearchError(f"{folder}: cannot be written: {error}; choose another --out") from error


def _require_same(run: _Run, begun: dict[str, Any]) -> None:
    theirs = experiment_from(begun["asked"], f"{run.folder / 'run.json'}: asked")
    unlike = differences(_asked(run.experiment), theirs)
    for what, ours, there in (
        ("network", run.job.fingerprint, begun["fingerprint"]),
        ("images", run.dataset.fingerprint, begun["data"]["fingerprint"]),
    ):
        if ours != there:
            unlike.append(f"{what}: {ours} here, {there} there")
    if unlike:
        raise SearchError(
            f"{run.folder}: holds another run; choose another --out, or remove it.\n"
            + "\n".join(f"  {line}" for line in unlike)
        )


def _asked(experiment: Experiment) -> Experiment:
    """The experiment without what a single run does not have."""
    document = to_document(experiment)
    return experiment_from({part: document[part] for part in ASKED})


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA or not {"asked", "fingerprint", "data"} <= set(document):
            raise ValueError(f"need the schema {SCHEMA}")
    except (ValueError, KeyError, TypeError) as error:
        raise SearchError(f"{path}: not the record of a run ({error}); choose another --out") from (
            error
        )
    return dict(document)


def _document(run: _Run, results: dict[str, Any] | None) -> dict[str, Any]:
    dataset, job = run.dataset, run.job
    asked = to_document(run.experiment)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "name": run.experiment.name,
        "asked": {part: asked[part] for part in ASKED},
        "recipe": asdict(job.recipe),
        "architecture": to_json(job.architecture),
        "fingerprint": job.fingerprint,
        "cost": asdict(cost(job.architecture)),
        "data": {
            "source": run.experiment.data.source,
            "train": len(dataset.train),
            "validation": len(dataset.validation),
            "pixels": dataset.pixels,
            "channels": dataset.channels,
            "classes": list(dataset.class_names),
            "fingerprint": dataset.fingerprint,
        },
        "environment": environment(run.device),
        "processes": run.processes.size,
        "results": results,
    }


def _concluded(run: _Run, table: pd.DataFrame) -> dict[str, Any]:
    """Evaluate what was trained, and write all that is left to write."""
    network = trained(run.job, run.dataset, run.device)
    write_network(run.folder / "network.pt", network)
    test = load_test(run.experiment.data, device=run.device)

    def answered(split: Split) -> Metrics:
        recipe, resolution = run.job.recipe, run.job.architecture.resolution
        shown_at = round(resolution * recipe.evaluation_scale)
        seen = view(run.dataset, recipe, resolution)
        return metrics(*logits(network, split, seen, shown_at, run.device, recipe.precision))

    found = {"validation": answered(run.dataset.validation), "test": answered(test)}
    names = run.dataset.class_names
    _write_json(
        run.folder / "metrics.json",
        {part: metrics_document(measured, names) for part, measured in found.items()},
    )
    _write_figures(run.folder, table, found["test"], names)
    last = json.loads(table.iloc[-1].to_json())
    brief = {
        part: {"images": measured.images, "top1": measured.top1, "top5": measured.top5}
        for part, measured in found.items()
    }
    seconds = float(table["seconds"].sum())
    document = _document(run, {"epochs": len(table), "seconds": seconds, "last": last, **brief})
    _write_json(run.folder / "run.json", document)
    return document


def metrics_document(found: Metrics, class_names: tuple[str, ...]) -> dict[str, Any]:
    """The metrics as JSON values, with a row for each class; ``confusion`` has a file of its own.

    ``images`` of a class: how many are truly of it.
    """
    columns = zip(
        class_names, found.confusion, found.precision, found.recall, found.f1, strict=True
    )
    return {
        "images": found.images,
        "top1": found.top1,
        "top5": found.top5,
        "classes": [
            {"class": name, "images": sum(row), "precision": precision, "recall": recall, "f1": f1}
            for name, row, precision, recall, f1 in columns
        ],
    }


def _write_figures(
    folder: Path, table: pd.DataFrame, found: Metrics, class_names: tuple[str, ...]
) -> None:
    matrix = pd.DataFrame(found.confusion, index=list(class_names), columns=list(class_names))
    write_text(folder / "confusion.csv", matrix.to_csv(index_label="truth"))
    write_figure(curves_figure(curves(table)), folder / "figures" / "curves")
    drawn = confusion_figure(confusion(found.confusion, class_names))
    write_figure(drawn, folder / "figures" / "confusion")


def _table(epochs: list[Epoch]) -> pd.DataFrame:
    return pd.DataFrame([asdict(epoch) for epoch in epochs]).rename(columns={"index": "epoch"})


def _write_json(path: Path, document: dict[str, Any]) -> None:
    write_text(path, json.dumps(document, indent=2) + "\n")
