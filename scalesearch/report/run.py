"""One network trained to the end of its recipe, and the folder that this leaves behind.

``run.json`` (what was asked, and what came of it), ``epochs.csv``, ``metrics.json``,
``confusion.csv``, ``figures/``, ``network.safetensors`` and, for going on, ``checkpoint``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.architectures import Architecture, Foreign, cost
from scalesearch.architectures.fingerprint import fingerprint, to_json
from scalesearch.data import Dataset, Split, load, load_test, view, zoom
from scalesearch.environment import environment
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment, to_document
from scalesearch.files import write_text
from scalesearch.nets import code_allowed
from scalesearch.plots import write_figure
from scalesearch.plots.confusion import confusion, confusion_figure
from scalesearch.plots.curves import curves, curves_figure
from scalesearch.report.run_folder import (
    SCHEMA,
    VERSION,
    claimed,
    has_ended,
    recorded_epochs,
    recorded_run,
    recorded_table,
    write_json,
)
from scalesearch.report.start import (
    Start,
    going_on,
    normalised,
    require_transfer,
    start_at,
    write_trained,
)
from scalesearch.search.advance import chosen_device
from scalesearch.training import Epoch, Job, train_together
from scalesearch.training.answers import logits, trained
from scalesearch.training.distributed import Processes, led, processes, shared
from scalesearch.training.metrics import Metrics, metrics
from scalesearch.training.run import evaluation_batch
from scalesearch.training.shape import adapted
from scalesearch.training.tensorboard import tensorboard

ASKED = ("name", "baseline", "data", "recipe", "seed", "device")
"""The parts of an experiment that a single run has."""

OnData = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told what while runs are trained.

    ``on_epoch``: each epoch with its run's seed. ``on_data``: what is done and what there is, while
    images are downloaded and decoded. ``log``: TensorBoard, in ``tensorboard`` of a run's folder.
    """

    on_epoch: Callable[[int, Epoch], None] | None = None
    on_data: OnData | None = None
    log: bool = False


NOBODY = Told()


@dataclass(frozen=True, slots=True)
class Run:
    """What stays the same from the first epoch to the last. ``start``: what it goes on from."""

    experiment: Experiment
    folder: Path
    job: Job
    dataset: Dataset
    device: str
    processes: Processes
    start: Start | None = None


def train_network(
    experiment: Experiment,
    folder: str | Path,
    *,
    baseline: Architecture | Foreign | None = None,
    weights: str | Path | None = None,
    told: Told = NOBODY,
    allow_code: bool = False,
) -> dict[str, Any] | None:
    """Train the experiment's baseline itself, by its recipe on its data, and return ``run.json``.

    Where the run was begun in the folder it goes on; where it has ended nothing is trained, and
    only what is missing of its files is made again. ``baseline``: what the recipe was set for (see
    ``training.shape``); None: the network itself. ``weights``: a file of ``weights.write_network``,
    from whose network, which is the experiment's too, training goes on by the recipe's
    ``transfer``. Under torchrun the first of the processes tells and writes; the others return
    None.

    Raises ArchitectureError, DataError, WeightsError or SearchError for what cannot be trained or
    written as it is asked for, and TrainingDiverged, which keeps the epochs before it.
    """
    with code_allowed(allow_code), processes(chosen_device(experiment.device)) as group:
        start = start_at(weights)
        asked = going_on(experiment, start)
        (document,) = ended([prepared(asked, Path(folder), group, baseline, told, start)], told)
        return document


def prepared(
    experiment: Experiment,
    folder: Path,
    group: Processes,
    baseline: Architecture | Foreign | None = None,
    told: Told = NOBODY,
    start: Start | None = None,
) -> Run:
    """The run of an experiment, its images at hand; nothing is written yet."""
    if experiment.recipe.learning_rate_rule == "tuned":
        raise SearchError(
            "recipe.learning_rate_rule: a single run needs fixed or depth, got tuned, which is a "
            "search's way to find a rate for each candidate; set recipe.learning_rate"
        )
    device = group.device(chosen_device(experiment.device))
    on_data = told.on_data if group.first else None
    dataset = load(experiment.data, experiment.seed, device=device, progress=on_data)
    channels, classes = dataset.channels, dataset.num_classes
    network = experiment.baseline.build(in_channels=channels, num_classes=classes)
    if start is not None:
        require_transfer(start, experiment.recipe, network, dataset)
        dataset = normalised(start, experiment.recipe, dataset)
    set_for = replace(baseline or network, in_channels=channels, num_classes=classes)
    recipe = adapted(experiment.recipe, network, set_for)
    if recipe.evaluation_zoom is None:
        recipe = replace(recipe, evaluation_zoom=zoom(dataset.pixels, set_for.resolution))
    job = Job(
        architecture=network,
        recipe=shared(recipe, group),
        seed=experiment.seed,
        fingerprint=fingerprint(network),
        checkpoint=folder / "checkpoint",
        weights=None if start is None else start.weights,
    )
    return Run(experiment, folder, job, dataset, device, group, start)


def ended(runs: Sequence[Run], told: Told = NOBODY) -> list[dict[str, Any] | None]:
    """Bring runs, each with a seed and a folder of its own, to their ends at once.

    Returns the ``run.json`` of each, and in all processes but the first None for each.
    """
    group = runs[0].processes
    with ExitStack() as held:
        for run in runs:
            led(partial(held.enter_context, claimed(run.folder, _document(run, None))), group)
        diaries = led(lambda: [held.enter_context(_diary(run, told)) for run in runs], group)
        over = [has_ended(run.folder) for run in runs]
        for diary, done in zip(diaries or (), over, strict=False):
            if done:
                diary.read()
        left = [place for place, done in enumerate(over) if not done]
        jobs, datasets = [runs[at].job for at in left], [runs[at].dataset for at in left]
        for number, epoch in train_together(jobs, datasets, device=runs[0].device, processes=group):
            if diaries:
                diaries[left[number]].write(epoch)
        return [led(partial(_concluded, run, told.on_data), group) for run in runs]


@dataclass(frozen=True, slots=True)
class _Diary:
    """A run's epochs, written down and told as they end."""

    folder: Path
    listeners: tuple[Callable[[Epoch], None], ...]
    epochs: list[Epoch] = field(default_factory=list)

    def write(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)
        table = pd.DataFrame([asdict(told) for told in self.epochs])
        text = table.rename(columns={"index": "epoch"}).to_csv(index=False)
        write_text(self.folder / "epochs.csv", text)
        self._tell(epoch)

    def read(self) -> None:
        """Tell what was written when the run was trained."""
        for epoch in recorded_epochs(self.folder):
            self._tell(epoch)

    def _tell(self, epoch: Epoch) -> None:
        for listener in self.listeners:
            listener(epoch)


@contextmanager
def _diary(run: Run, told: Told) -> Iterator[_Diary]:
    listeners = [] if told.on_epoch is None else [partial(told.on_epoch, run.job.seed)]
    with tensorboard(run.folder / "tensorboard") if told.log else nullcontext() as log:
        yield _Diary(run.folder, tuple([log, *listeners] if log else listeners))


def _document(run: Run, results: dict[str, Any] | None) -> dict[str, Any]:
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
        "weights": None if run.start is None else run.start.document(),
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


def _concluded(run: Run, on_data: OnData | None) -> dict[str, Any]:
    """Evaluate what was trained, and write all that is left to write: nothing where all is there.

    Files that are made again leave it on record where the run was trained.
    """
    begun = recorded_run(run.folder)
    if has_ended(run.folder):
        return begun
    network = trained(run.job, run.dataset, run.device)
    test = load_test(run.experiment.data, device=run.device, progress=on_data)
    recipe, resolution = run.job.recipe, run.job.architecture.resolution
    seen = view(run.dataset, recipe, resolution)
    shown_at = round(resolution * recipe.evaluation_scale)
    write_trained(run.folder, network, run.job, seen, run.dataset, run.experiment.name)

    def answered(split: Split) -> Metrics:
        size = evaluation_batch(recipe)
        return metrics(*logits(network, split, seen, shown_at, run.device, recipe.precision, size))

    found = {"validation": answered(run.dataset.validation), "test": answered(test)}
    names, table = run.dataset.class_names, recorded_table(run.folder)
    write_json(
        run.folder / "metrics.json",
        {part: metrics_document(measured, names) for part, measured in found.items()},
    )
    _write_figures(run.folder, table, found["test"], names)
    brief = {
        part: {"images": measured.images, "top1": measured.top1, "top5": measured.top5}
        for part, measured in found.items()
    }
    last, seconds = table.to_dict("records")[-1], float(table["seconds"].sum())
    document = _document(run, {"epochs": len(table), "seconds": seconds, "last": last, **brief})
    if begun["results"] is not None:
        document["environment"] = begun["environment"]
    write_json(run.folder / "run.json", document)
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
