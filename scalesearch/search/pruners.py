"""Optuna's pruners as a replacement for successive halving at the rungs."""

from collections.abc import Sequence
from typing import Protocol

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner
from optuna.trial import TrialState, create_trial

from scalesearch.search.study import optuna_private


class Pruner(Protocol):
    """Decides which trials stop at a rung, in place of successive halving."""

    @property
    def name(self) -> str:
        """Name for people."""

    def should_prune(self, trial: int, epoch: int, value: float) -> bool:
        """Whether a trial with this mean accuracy at a rung has to stop."""

    def report_end(self, trial: int, value: float | None) -> None:
        """Learn the end of a trial: its accuracy at the last epoch, None where it stopped."""


class OptunaPruner:
    """A pruner of Optuna over an in-memory study that holds the rungs only.

    The same trials reported in the same order give the same decisions.
    """

    def __init__(self, name: str, rungs: Sequence[int], eta: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.name = name
        pruner: BasePruner
        if name == "median":
            pruner = MedianPruner(n_startup_trials=5)
        else:
            pruner = HyperbandPruner(
                min_resource=rungs[0], max_resource=rungs[-1], reduction_factor=eta
            )
        # Hyperband assigns trials to its brackets by the name of the study.
        self.study = optuna.create_study(study_name="rungs", direction="maximize", pruner=pruner)
        self.trial_ids: dict[int, int] = {}

    def should_prune(self, trial: int, epoch: int, value: float) -> bool:
        """Whether a trial with this mean accuracy at a rung has to stop."""
        if trial not in self.trial_ids:
            running = create_trial(state=TrialState.RUNNING)
            self.trial_ids[trial] = optuna_private.create_trial(self.study, running)
        trial_id = self.trial_ids[trial]
        optuna_private.set_intermediate_value(self.study, trial_id, epoch, value)
        return self.study.pruner.prune(self.study, optuna_private.read_trial(self.study, trial_id))

    def report_end(self, trial: int, value: float | None) -> None:
        """Learn the end of a trial: its accuracy at the last epoch, None where it stopped."""
        if trial not in self.trial_ids:
            return  # it failed before its first rung
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        values = None if value is None else [value]
        optuna_private.set_state(self.study, self.trial_ids[trial], state, values)
