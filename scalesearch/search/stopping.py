"""Stopping criteria: reasons to end a search before all its trials are trained."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError
from scalesearch.search.study.search_trial import SearchTrial, trial_records


class StoppingCriteria:
    """The budget spent and the results so far, compared with ``search.stop``.

    ``reason``: why the search stops; empty while it does not. ``epochs`` and ``seconds``: trained
    by all workers together, including those of earlier drivers.
    """

    def __init__(self, experiment: Experiment, now: float) -> None:
        self.spec = experiment.search.stop
        self.factor = experiment.budget.factor
        self.started_at = now
        self.epochs = 0
        self.seconds = 0.0
        self.reason = ""

    def count_epochs(
        self, rows: Iterable[Mapping[str, Any]], tuning: Mapping[str, Any] | None = None
    ) -> None:
        """Count epochs on record, and the time of a learning-rate sweep."""
        for row in rows:
            self.epochs += 1
            self.seconds += row["seconds"]
        sweep_seconds = float(tuning["seconds"]) if tuning else 0.0
        if sweep_seconds > 0:  # NaN in records of version 0.1
            self.seconds += sweep_seconds

    def stop(self, reason: str) -> None:
        """Stop the search; the first reason is kept."""
        self.reason = self.reason or reason

    def check_budget(self, now: float) -> None:
        """Stop the search if its epochs, device-hours or hours are spent."""
        spec, hours = self.spec, self.seconds / 3600
        if spec.epochs is not None and self.epochs >= spec.epochs:
            self.stop(f"{self.epochs} epochs are trained (search.stop.epochs)")
        if spec.device_hours is not None and hours >= spec.device_hours:
            self.stop(f"{hours:.2f} device-hours are spent (search.stop.device_hours)")
        if spec.hours is not None and (now - self.started_at) / 3600 >= spec.hours:
            self.stop(f"{spec.hours:g} hours are over (search.stop.hours)")

    def check_results(self, trials: Sequence[SearchTrial], last_epoch: int) -> None:
        """Stop the search if the trials that have ended answer its question."""
        spec = self.spec
        if spec.accuracy is not None:
            complete_trials = [trial for trial in trials if trial.state == "complete"]
            best = max(
                (trial.intermediate_values.get(last_epoch, 0.0) for trial in complete_trials),
                default=0.0,
            )
            if best >= spec.accuracy:
                self.stop(f"an accuracy of {best:.4f} is reached (search.stop.accuracy)")
        if spec.interval is not None or spec.noise:
            from scalesearch.analysis.convergence import check_convergence

            try:
                convergence = check_convergence(
                    trial_records(trials),
                    self.factor,
                    max_width=spec.interval,
                    use_expected_gain=spec.noise or None,
                    epochs=last_epoch,  # lower rungs do not answer the question
                )
            except SearchError:
                return  # too few results yet
            if convergence.is_converged:
                self.stop(f"the answer is settled: {convergence.reason}")
