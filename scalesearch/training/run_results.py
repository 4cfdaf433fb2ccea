"""The results of a finished run: evaluation, tables, figures, network."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from scalesearch.architectures.cost import cost
from scalesearch.architectures.fingerprint import to_json
from scalesearch.data.augmentation.geometry import InputTransform, input_transform
from scalesearch.data.dataset import Split
from scalesearch.data.preparation import Preparation
from scalesearch.data.sources.by_name import load_test_split
from scalesearch.figures.classification import confusion_figure, confusion_matrix
from scalesearch.figures.style import write_figure
from scalesearch.figures.training_curves import training_curves, training_curves_figure
from scalesearch.io import to_document, write_json, write_text
from scalesearch.results.environment import environment_info
from scalesearch.results.run_folder import (
    NETWORK_FILES,
    SCHEMA,
    VERSION,
    has_ended,
    read_epochs_table,
    read_run,
)
from scalesearch.training.epoch_log import OnData
from scalesearch.training.inference import (
    ClassificationMetrics,
    classification_metrics,
    load_trained_model,
    logits,
)
from scalesearch.training.job import TrainingJob
from scalesearch.training.network_file import write_network
from scalesearch.training.prepared_run import PreparedRun
from scalesearch.training.trainer import evaluation_batch_size

REQUESTED_PARTS = ("name", "baseline", "data", "recipe", "seed", "device")
"""Parts of an experiment that a single run uses."""


def write_results(run: PreparedRun, on_data: OnData | None) -> dict[str, Any]:
    """Evaluate a trained run, write the missing result files, and return ``run.json``.

    A finished run is not evaluated again. Rewritten files keep the environment of the training.
    """
    recorded = read_run(run.folder)
    if has_ended(run.folder):
        return recorded
    metrics_by_split = _evaluate(run, on_data)
    class_names, table = run.dataset.class_names, read_epochs_table(run.folder)
    write_json(
        run.folder / "metrics.json",
        {
            split_name: to_metrics_document(metrics, class_names)
            for split_name, metrics in metrics_by_split.items()
        },
    )
    _write_figures(run.folder, table, metrics_by_split["test"], class_names)
    accuracies = {
        split_name: {"images": metrics.images, "top1": metrics.top1, "top5": metrics.top5}
        for split_name, metrics in metrics_by_split.items()
    }
    last_epoch, seconds = table.to_dict("records")[-1], float(table["seconds"].sum())
    document = run_document(
        run, {"epochs": len(table), "seconds": seconds, "last": last_epoch, **accuracies}
    )
    if recorded["results"] is not None:
        document["environment"] = recorded["environment"]
    write_json(run.folder / "run.json", document)
    return document


def run_document(run: PreparedRun, results: dict[str, Any] | None) -> dict[str, Any]:
    """Return the content of ``run.json``; ``results`` is None before the end."""
    dataset, job = run.dataset, run.job
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
        "processes": run.process_group.world_size,
        "results": results,
    }


def to_metrics_document(
    split_metrics: ClassificationMetrics, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Return the metrics as JSON values with a row per class.

    ``images`` of a class is the number of images that truly have it. ``confusion`` is written to a
    file of its own.
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


def _evaluate(run: PreparedRun, on_data: OnData | None) -> dict[str, ClassificationMetrics]:
    """Write the trained network, and evaluate it on validation and test images."""
    network = load_trained_model(run.job, run.dataset, run.device)
    test = load_test_split(run.experiment.data, device=run.device, progress=on_data)
    recipe, pixels = run.job.recipe, _evaluation_pixels(run.job)
    image_view = input_transform(run.dataset, recipe, run.job.architecture.resolution)
    _write_network_file(run, network, image_view)

    def split_metrics(split: Split) -> ClassificationMetrics:
        """Evaluate the network on a split."""
        batch_size = evaluation_batch_size(recipe)
        return classification_metrics(
            *logits(network, split, image_view, pixels, run.device, recipe.precision, batch_size)
        )

    return {"validation": split_metrics(run.dataset.validation), "test": split_metrics(test)}


def _write_figures(
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


def _write_network_file(run: PreparedRun, network: nn.Module, image_view: InputTransform) -> None:
    """Write a run's network with the preparation of the run's own evaluation."""
    job, dataset = run.job, run.dataset
    preparation = Preparation(
        pixels=_evaluation_pixels(job),
        stored=dataset.pixels,
        zoom=image_view.zoom,
        mean=image_view.mean,
        std=image_view.std,
        class_names=dataset.class_names,
    )
    write_network(
        run.folder / NETWORK_FILES[0],
        network,
        preparation,
        architecture=job.architecture,
        name=run.experiment.name,
        origin=f"scalesearch train: seed {job.seed}, images {dataset.fingerprint}",
    )


def _evaluation_pixels(job: TrainingJob) -> int:
    """Return the resolution at which a run is evaluated."""
    return round(job.architecture.resolution * job.recipe.evaluation_scale)
