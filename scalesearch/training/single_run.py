"""Training of one network to the end of its recipe, with results in a folder.

The folder holds ``run.json`` (the request and the results), ``epochs.csv``, ``metrics.json``,
``confusion.csv``, ``figures/``, ``network.safetensors`` and, to resume, ``checkpoint``.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import Experiment
from scalesearch.models.custom_model import code_allowed
from scalesearch.results.run_folder import has_ended, lock_run_folder
from scalesearch.training.device import resolve_device
from scalesearch.training.distributed import join_process_group, run_on_main_process
from scalesearch.training.epoch_log import NO_CALLBACKS, EpochLog, RunCallbacks, open_epoch_log
from scalesearch.training.loop import train_together
from scalesearch.training.prepared_run import (
    PreparedRun,
    prepare_run,
    read_pretrained,
    with_transfer,
)
from scalesearch.training.run_results import run_document, write_results


def train_one_seed(
    experiment: Experiment,
    folder: str | Path,
    *,
    baseline: Architecture | CustomModel | None = None,
    weights: str | Path | None = None,
    callbacks: RunCallbacks = NO_CALLBACKS,
    allow_code: bool = False,
) -> dict[str, Any] | None:
    """Train the experiment's baseline by its recipe; return ``run.json``.

    An unfinished run in the folder continues. A finished one is not trained again; only missing
    files are written. ``baseline``: network that the recipe was set for (see
    ``lr_rules.adapted_recipe``); None: the network itself. ``weights``: a network file to start
    from, by the recipe's ``transfer``; it must hold the experiment's network. Under torchrun the
    main process calls the callbacks and writes; the others return None.

    Raises ArchitectureError, DataError, WeightsError or SearchError if the run cannot be trained
    or written, and TrainingDiverged, which keeps the epochs before it.
    """
    with (
        code_allowed(allow_code),
        join_process_group(resolve_device(experiment.device)) as process_group,
    ):
        pretrained = read_pretrained(weights)
        run = prepare_run(
            with_transfer(experiment, pretrained),
            Path(folder),
            process_group,
            baseline,
            callbacks,
            pretrained,
        )
        (document,) = train_runs([run], callbacks)
        return document


def train_runs(
    runs: Sequence[PreparedRun], callbacks: RunCallbacks = NO_CALLBACKS
) -> list[dict[str, Any] | None]:
    """Train runs at once, each with its own seed and folder.

    Returns each ``run.json``; in all processes but the main one, None for each.
    """
    process_group = runs[0].process_group
    with ExitStack() as resources:
        for run in runs:
            folder_lock = lock_run_folder(run.folder, run_document(run, None))
            run_on_main_process(partial(resources.enter_context, folder_lock), process_group)
        epoch_logs = run_on_main_process(
            lambda: [
                resources.enter_context(open_epoch_log(run.folder, run.job.seed, callbacks))
                for run in runs
            ],
            process_group,
        )
        _train_unfinished(runs, epoch_logs)
        return [
            run_on_main_process(partial(write_results, run, callbacks.on_data), process_group)
            for run in runs
        ]


def _train_unfinished(runs: Sequence[PreparedRun], epoch_logs: Sequence[EpochLog] | None) -> None:
    """Train the unfinished runs; the logs replay the epochs of finished ones."""
    is_finished = [has_ended(run.folder) for run in runs]
    for epoch_log, finished in zip(epoch_logs or (), is_finished, strict=False):
        if finished:
            epoch_log.replay()
    unfinished = [index for index, finished in enumerate(is_finished) if not finished]
    jobs = [runs[index].job for index in unfinished]
    datasets = [runs[index].dataset for index in unfinished]
    for job_index, epoch in train_together(
        jobs, datasets, device=runs[0].device, distributed=runs[0].process_group
    ):
        if epoch_logs:
            epoch_logs[unfinished[job_index]].write(epoch)
