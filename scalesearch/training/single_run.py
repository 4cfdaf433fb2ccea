"""Epochs as TensorBoard's scalars (``pip install 'scalesearch[tensorboard]'``).

One network trained to the end of its recipe, and the folder that this leaves behind.

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

from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint, to_json
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import Experiment
from scalesearch.data.augmentation.geometry import default_zoom, input_transform
from scalesearch.data.dataset import Dataset, Split
from scalesearch.data.sources.by_name import load_dataset, load_test_split
from scalesearch.errors import SearchError
from scalesearch.figures.classification import confusion_figure, confusion_matrix
from scalesearch.figures.style import write_figure
from scalesearch.figures.training_curves import training_curves, training_curves_figure
from scalesearch.io import to_document, write_json, write_text
from scalesearch.models.custom_model import code_allowed
from scalesearch.results.environment import environment_info
from scalesearch.results.run_folder import (
    SCHEMA,
    VERSION,
    Epoch,
    has_ended,
    lock_run_folder,
    read_epochs,
    read_epochs_table,
    read_run,
)
from scalesearch.training.device import resolve_device
from scalesearch.training.distributed import (
    DistributedContext,
    distributed_recipe,
    join_process_group,
    run_on_main_process,
)
from scalesearch.training.inference import (
    ClassificationMetrics,
    classification_metrics,
    load_trained_model,
    logits,
)
from scalesearch.training.initial_weights import (
    PretrainedNetwork,
    read_pretrained,
    validate_transfer,
    with_transfer,
    with_transfer_statistics,
    write_trained_network,
)
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train_together
from scalesearch.training.lr_rules import adapted_recipe
from scalesearch.training.trainer import evaluation_batch_size

TAGS = {
    "train_loss": "loss/training",
    "loss": "loss/validation",
    "accuracy": "accuracy/top-1",
    "top5": "accuracy/top-5",
}
"""Where a measure is shown; the others have a chart each, by their own name."""


@contextmanager
def tensorboard_writer(folder: Path) -> Iterator[Callable[[Epoch], None]]:
    """Within, epochs are written to event files in the folder.

    A run that goes on tells all its epochs again, which replace those told before. Raises
    SearchError where the package is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SearchError(
            "--tensorboard: needs the package tensorboard, which cannot be imported "
            f"({error}); pip install 'scalesearch[tensorboard]'"
        ) from error
    with SummaryWriter(str(folder), purge_step=1) as writer:

        def write_epoch(epoch: Epoch) -> None:
            measures = asdict(epoch)
            index = measures.pop("index")
            for name, value in measures.items():
                if value is not None:
                    writer.add_scalar(TAGS.get(name, name), value, index)
            writer.flush()

        yield write_epoch


REQUESTED_PARTS = ("name", "baseline", "data", "recipe", "seed", "device")
"""The parts of an experiment that a single run has."""

OnData = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class RunCallbacks:
    """Who is told what while runs are trained.

    ``on_epoch``: each epoch with its run's seed. ``on_data``: what is done and what there is, while
    images are downloaded and decoded. ``log``: TensorBoard, in ``tensorboard`` of a run's folder.
    """

    on_epoch: Callable[[int, Epoch], None] | None = None
    on_data: OnData | None = None
    tensorboard: bool = False


NO_CALLBACKS = RunCallbacks()


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """What stays the same from the first epoch to the last. ``start``: what it goes on from."""

    experiment: Experiment
    folder: Path
    train_job: TrainingJob
    dataset: Dataset
    device: str
    processes: DistributedContext
    pretrained: PretrainedNetwork | None = None


def train_model(
    experiment: Experiment,
    folder: str | Path,
    *,
    baseline: Architecture | CustomModel | None = None,
    weights: str | Path | None = None,
    callbacks: RunCallbacks = NO_CALLBACKS,
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
    with (
        code_allowed(allow_code),
        join_process_group(resolve_device(experiment.device)) as process_group,
    ):
        pretrained = read_pretrained(weights)
        run_experiment = with_transfer(experiment, pretrained)
        (document,) = train_runs(
            [
                prepare_run(
                    run_experiment, Path(folder), process_group, baseline, callbacks, pretrained
                )
            ],
            callbacks,
        )
        return document


def prepare_run(
    experiment: Experiment,
    folder: Path,
    process_group: DistributedContext,
    baseline: Architecture | CustomModel | None = None,
    callbacks: RunCallbacks = NO_CALLBACKS,
    pretrained: PretrainedNetwork | None = None,
) -> PreparedRun:
    """The run of an experiment, its images at hand; nothing is written yet."""
    if experiment.recipe.learning_rate_rule == "tuned":
        raise SearchError(
            "recipe.learning_rate_rule: a single run needs fixed or depth, got tuned, which is a "
            "search's way to find a rate for each candidate; set recipe.learning_rate"
        )
    device = process_group.own_device(resolve_device(experiment.device))
    on_data = callbacks.on_data if process_group.is_main_process else None
    dataset = load_dataset(experiment.data, experiment.seed, device=device, progress=on_data)
    channels, classes = dataset.channels, dataset.num_classes
    network = experiment.baseline.build_architecture(in_channels=channels, num_classes=classes)
    if pretrained is not None:
        validate_transfer(pretrained, experiment.recipe, network, dataset)
        dataset = with_transfer_statistics(pretrained, experiment.recipe, dataset)
    tuned_network = replace(baseline or network, in_channels=channels, num_classes=classes)
    recipe = adapted_recipe(experiment.recipe, network, tuned_network)
    if recipe.evaluation_zoom is None:
        recipe = replace(
            recipe, evaluation_zoom=default_zoom(dataset.pixels, tuned_network.resolution)
        )
    job = TrainingJob(
        architecture=network,
        recipe=distributed_recipe(recipe, process_group),
        seed=experiment.seed,
        fingerprint=fingerprint(network),
        checkpoint=folder / "checkpoint",
        weights=None if pretrained is None else pretrained.weights,
    )
    return PreparedRun(experiment, folder, job, dataset, device, process_group, pretrained)


def train_runs(
    runs: Sequence[PreparedRun], callbacks: RunCallbacks = NO_CALLBACKS
) -> list[dict[str, Any] | None]:
    """Bring runs, each with a seed and a folder of its own, to their ends at once.

    Returns the ``run.json`` of each, and in all processes but the first None for each.
    """
    process_group = runs[0].processes
    with ExitStack() as locks:
        for run in runs:
            run_on_main_process(
                partial(locks.enter_context, lock_run_folder(run.folder, _run_document(run, None))),
                process_group,
            )
        epoch_logs = run_on_main_process(
            lambda: [locks.enter_context(_open_epoch_log(run, callbacks)) for run in runs],
            process_group,
        )
        finished = [has_ended(run.folder) for run in runs]
        for epoch_log, is_finished in zip(epoch_logs or (), finished, strict=False):
            if is_finished:
                epoch_log.replay()
        unfinished = [index for index, done in enumerate(finished) if not done]
        jobs, datasets = (
            [runs[at].train_job for at in unfinished],
            [runs[at].dataset for at in unfinished],
        )
        for job_index, epoch in train_together(
            jobs, datasets, device=runs[0].device, distributed=process_group
        ):
            if epoch_logs:
                epoch_logs[unfinished[job_index]].write(epoch)
        return [
            run_on_main_process(partial(_finish_run, run, callbacks.on_data), process_group)
            for run in runs
        ]


@dataclass(frozen=True, slots=True)
class _EpochLog:
    """A run's epochs, written down and told as they end."""

    folder: Path
    listeners: tuple[Callable[[Epoch], None], ...]
    epochs: list[Epoch] = field(default_factory=list)

    def write(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)
        table = pd.DataFrame([asdict(record) for record in self.epochs])
        text = table.rename(columns={"index": "epoch"}).to_csv(index=False)
        write_text(self.folder / "epochs.csv", text)
        self._notify(epoch)

    def replay(self) -> None:
        """Tell what was written when the run was trained."""
        for epoch in read_epochs(self.folder):
            self._notify(epoch)

    def _notify(self, epoch: Epoch) -> None:
        for listener in self.listeners:
            listener(epoch)


@contextmanager
def _open_epoch_log(run: PreparedRun, callbacks: RunCallbacks) -> Iterator[_EpochLog]:
    listeners = (
        [] if callbacks.on_epoch is None else [partial(callbacks.on_epoch, run.train_job.seed)]
    )
    with (
        tensorboard_writer(run.folder / "tensorboard")
        if callbacks.tensorboard
        else nullcontext() as writer
    ):
        yield _EpochLog(run.folder, tuple([writer, *listeners] if writer else listeners))


def _run_document(run: PreparedRun, results: dict[str, Any] | None) -> dict[str, Any]:
    dataset, job = run.dataset, run.train_job
    request = to_document(run.experiment)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "name": run.experiment.name,
        "asked": {part: request[part] for part in REQUESTED_PARTS},
        "recipe": asdict(job.recipe),
        "architecture": to_json(job.architecture),
        "fingerprint": job.fingerprint,
        "weights": None if run.pretrained is None else run.pretrained.to_document(),
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
        "environment": environment_info(run.device),
        "processes": run.processes.world_size,
        "results": results,
    }


def _finish_run(run: PreparedRun, on_data: OnData | None) -> dict[str, Any]:
    """Evaluate what was trained, and write all that is left to write: nothing where all is there.

    Files that are made again leave it on record where the run was trained.
    """
    recorded = read_run(run.folder)
    if has_ended(run.folder):
        return recorded
    network = load_trained_model(run.train_job, run.dataset, run.device)
    test = load_test_split(run.experiment.data, device=run.device, progress=on_data)
    recipe, resolution = run.train_job.recipe, run.train_job.architecture.resolution
    image_view = input_transform(run.dataset, recipe, resolution)
    pixels = round(resolution * recipe.evaluation_scale)
    write_trained_network(
        run.folder, network, run.train_job, image_view, run.dataset, run.experiment.name
    )

    def split_metrics(split: Split) -> ClassificationMetrics:
        batch_size = evaluation_batch_size(recipe)
        return classification_metrics(
            *logits(network, split, image_view, pixels, run.device, recipe.precision, batch_size)
        )

    metrics_by_split = {
        "validation": split_metrics(run.dataset.validation),
        "test": split_metrics(test),
    }
    class_names, table = run.dataset.class_names, read_epochs_table(run.folder)
    write_json(
        run.folder / "metrics.json",
        {
            split_name: to_metrics_document(split_result, class_names)
            for split_name, split_result in metrics_by_split.items()
        },
    )
    _write_run_figures(run.folder, table, metrics_by_split["test"], class_names)
    accuracies = {
        part: {"images": measured.images, "top1": measured.top1, "top5": measured.top5}
        for part, measured in metrics_by_split.items()
    }
    last_epoch, seconds = table.to_dict("records")[-1], float(table["seconds"].sum())
    document = _run_document(
        run, {"epochs": len(table), "seconds": seconds, "last": last_epoch, **accuracies}
    )
    if recorded["results"] is not None:
        document["environment"] = recorded["environment"]
    write_json(run.folder / "run.json", document)
    return document


def to_metrics_document(
    split_metrics: ClassificationMetrics, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """The metrics as JSON values, with a row for each class; ``confusion`` has a file of its own.

    ``images`` of a class: how many are truly of it.
    """
    columns = zip(
        class_names,
        split_metrics.confusion,
        split_metrics.precision,
        split_metrics.recall,
        split_metrics.f1,
        strict=True,
    )
    return {
        "images": split_metrics.images,
        "top1": split_metrics.top1,
        "top5": split_metrics.top5,
        "classes": [
            {"class": name, "images": sum(row), "precision": precision, "recall": recall, "f1": f1}
            for name, row, precision, recall, f1 in columns
        ],
    }


def _write_run_figures(
    folder: Path,
    table: pd.DataFrame,
    test_metrics: ClassificationMetrics,
    class_names: tuple[str, ...],
) -> None:
    matrix = pd.DataFrame(
        test_metrics.confusion, index=list(class_names), columns=list(class_names)
    )
    write_text(folder / "confusion.csv", matrix.to_csv(index_label="truth"))
    write_figure(training_curves_figure(training_curves(table)), folder / "figures" / "curves")
    figure = confusion_figure(confusion_matrix(test_metrics.confusion, class_names))
    write_figure(figure, folder / "figures" / "confusion")
