"""When a search is enough before all of its candidates are trained."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError
from scalesearch.search.study.search_trial import SearchTrial, trial_records


class StoppingCriteria:
    """What was spent and found so far, against ``search.stop``.

    ``reason``: why the search is to stop, empty as long as it is not. ``epochs`` and ``seconds``:
    trained by all workers together, also before this driver began.
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
        """These epochs are on record, and what a sweep found."""
        for row in rows:
            self.epochs += 1
            self.seconds += row["seconds"]
        sweep_seconds = float(tuning["seconds"]) if tuning else 0.0
        if sweep_seconds > 0:  # tables of version 0.1 do not tell: then it is NaN
            self.seconds += sweep_seconds

    def stop(self, reason: str) -> None:
        """The search is to stop; the first reason stays."""
        self.reason = self.reason or reason

    def check_budget(self, now: float) -> None:
        """Compare what was spent with what may be."""
        spec, hours = self.spec, self.seconds / 3600
        if spec.epochs is not None and self.epochs >= spec.epochs:
            self.stop(f"{self.epochs} epochs are trained (search.stop.epochs)")
        if spec.device_hours is not None and hours >= spec.device_hours:
            self.stop(f"{hours:.2f} device-hours are spent (search.stop.device_hours)")
        if spec.hours is not None and (now - self.started_at) / 3600 >= spec.hours:
            self.stop(f"{spec.hours:g} hours are over (search.stop.hours)")

    def check_results(self, trials: Sequence[SearchTrial], last_epoch: int) -> None:
        """See whether the candidates that have ended are enough."""
        spec = self.spec
        if spec.accuracy is not None:
            complete_trials = [trial for trial in trials if trial.state == "complete"]
            best = max(
                (entry.intermediate_values.get(last_epoch, 0.0) for entry in complete_trials),
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
                    epochs=last_epoch,  # a lower rung is no answer, however many have reached it
                )
            except SearchError:
                return  # too little yet to say anything
            if convergence.is_converged:
                self.stop(f"the answer is settled: {convergence.reason}")
