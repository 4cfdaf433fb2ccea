"""Optuna's pruners as judges at the rungs."""

from collections.abc import Sequence

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner
from optuna.trial import TrialState, create_trial


class OptunaPruner:
    """A pruner of Optuna's over a study of its own, in memory, which holds rungs and nothing else.

    Told the same candidates in the same order, it decides the same.
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
        # Hyperband deals trials to its brackets by the study's name.
        self.study = optuna.create_study(study_name="rungs", direction="maximize", pruner=pruner)
        self.trial_ids: dict[int, int] = {}

    def should_prune(self, trial: int, epoch: int, value: float) -> bool:
        """Whether a candidate with this mean accuracy at a rung is to be stopped."""
        storage = self.study._storage
        if trial not in self.trial_ids:
            running = create_trial(state=TrialState.RUNNING)
            self.trial_ids[trial] = storage.create_new_trial(self.study._study_id, running)
        trial_id = self.trial_ids[trial]
        storage.set_trial_intermediate_value(trial_id, epoch, value)
        return self.study.pruner.prune(self.study, storage.get_trial(trial_id))

    def report_end(self, trial: int, value: float | None) -> None:
        """A candidate was trained to the last epoch (None: it was not)."""
        if trial not in self.trial_ids:
            return  # it failed before its first rung
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        values = None if value is None else [value]
        self.study._storage.set_trial_state_values(self.trial_ids[trial], state, values)
