"""Progress of a search: computed from the tuner, and reported as it runs."""

import time
from collections.abc import Callable
from typing import TypeAlias

from scipy.special import stdtrit

from scalesearch.analysis.paired import paired_noise
from scalesearch.results.search_folder import SearchPaths
from scalesearch.search.heartbeats import current_progress
from scalesearch.search.progress import BestTrial, JobProgress, Progress, RungProgress
from scalesearch.search.results_writer import ResultsWriter
from scalesearch.search.simulated_schedule import simulate_schedule
from scalesearch.search.successive_halving import SuccessiveHalving
from scalesearch.search.tuner import Tuner

ProgressCallback: TypeAlias = Callable[[Progress], None]
REPORT_SECONDS = 0.25
T_QUANTILE = 0.95
"""Quantile of Student's t for a two-sided interval of 90%."""


class ProgressReporter:
    """Reports the progress of a tuner at most four times a second."""

    def __init__(
        self, tuner: Tuner, folder: SearchPaths, on_progress: ProgressCallback | None
    ) -> None:
        self.tuner = tuner
        self.heartbeats = folder.heartbeats
        self.writer = ResultsWriter(folder)
        self.on_progress = on_progress
        self.started_at = time.monotonic()
        self.due = self.started_at
        self.max_epochs = max_epochs(tuner)

    def report(self, *, force: bool = False, finished: bool = False) -> None:
        """Write the progress file and call the callback.

        ``force``: even if the last report was just now. ``finished``: the search has ended and
        need not be resumed.
        """
        now = time.monotonic()
        if now < self.due and not force:
            return
        seconds = now - self.started_at
        progress = current_progress(
            tuner_progress(self.tuner, self.max_epochs, seconds=seconds, finished=finished),
            self.heartbeats,
        )
        self.writer.write_progress(progress, force=force)
        if self.on_progress:
            self.on_progress(progress)
        self.due = time.monotonic() + REPORT_SECONDS


def tuner_progress(
    tuner: Tuner, max_epochs: int, *, seconds: float, finished: bool = False
) -> Progress:
    """Return the progress that a tuner knows of.

    ``max_epochs``: largest number of epochs of the search. ``seconds``: time since this driver
    started to train.
    """
    epochs_done = tuner.stopping_criteria.epochs
    epochs_total = max(max_epochs, epochs_done)
    trial_states = [trial.state for trial in tuner.halving.trials.values()]
    new_epochs = epochs_done - tuner.resumed_epochs
    return Progress(
        name=tuner.experiment.name,
        epochs_done=epochs_done,
        epochs_total=epochs_done if finished else epochs_total,
        rungs=_rung_progress(tuner),
        running=tuple(
            JobProgress(running_job.job.name, "", tuner.pool.now() - running_job.started_at)
            for running_job in tuner.running.values()
        ),
        best=_best_trial(tuner),
        seconds_left=seconds / new_epochs * (epochs_total - epochs_done) if new_epochs else None,
        stopped=trial_states.count("stopped"),
        failures=dict(tuner.failure_counts),
        finished=finished,
        ended=tuner.stopping_criteria.reason,
        at=time.time(),
    )


def max_epochs(tuner: Tuner) -> int:
    """Count the epochs of a search in which no trial fails or drops out of the race."""
    empty_halving = SuccessiveHalving(tuner.halving.config)
    simulated = simulate_schedule(empty_halving, tuner.source, tuner.pool.slots, lambda trial: 1.0)
    return simulated.trained_epochs


def _rung_progress(tuner: Tuner) -> tuple[RungProgress, ...]:
    rung_progress = []
    for rung in tuner.halving.config.rungs:
        bound_for_rung = [
            trial
            for trial in tuner.halving.trials.values()
            if max(trial.last_epoch, *trial.target_epochs.values(), 0) >= rung
        ]
        arrived = sum(trial.last_epoch >= rung for trial in bound_for_rung)
        rung_progress.append(RungProgress(rung, arrived, len(bound_for_rung)))
    return tuple(rung_progress)


def _reference_trials(tuner: Tuner, epoch: int) -> list[int]:
    """Trials that are references only, are on no rung, and have reached an epoch."""
    initial_seeds = tuner.halving.config.initial_seeds
    return [
        trial.index
        for trial in tuner.halving.trials.values()
        if not trial.is_searched and trial.mean_accuracy(epoch, initial_seeds) is not None
    ]


def _best_trial(tuner: Tuner) -> BestTrial | None:
    """Best trial at the highest rung that one has reached with all initial seeds."""
    for epoch in reversed(tuner.halving.config.rungs):
        indices = [*tuner.halving.rungs[epoch].trials[:100], *_reference_trials(tuner, epoch)]
        if indices:
            accuracies_by_trial = {
                str(index): tuner.halving.trials[index].rung_accuracies[epoch] for index in indices
            }
            means = {name: sum(v.values()) / len(v) for name, v in accuracies_by_trial.items()}
            name = max(means, key=lambda name: (len(accuracies_by_trial[name]), means[name]))
            noise = paired_noise(accuracies_by_trial)
            error = noise.standard_error(len(accuracies_by_trial[name]))
            half_width = None if error is None else float(stdtrit(noise.df, T_QUANTILE)) * error
            best_trial = tuner.trials[int(name)]
            return BestTrial(
                shares=best_trial.shares,
                accuracy=means[name],
                low=None if half_width is None else means[name] - half_width,
                high=None if half_width is None else means[name] + half_width,
                seeds=len(accuracies_by_trial[name]),
                epoch=epoch,
            )
    return None
