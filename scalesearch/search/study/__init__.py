"""The Optuna study of a search, in which everything is recorded first.

Each Optuna trial is one candidate: its parameters are the shares of the trained network, its value
is the mean accuracy over seeds, and its attributes hold the candidate's columns and one list of
measured epochs for each outcome. Records are derived from the study, and the study can be rebuilt
from them. The cost of a write does not depend on the number of trials; only ``read_trials`` reads
all of them.
"""

from scalesearch.search.study.identity import bind_study, lock_study
from scalesearch.search.study.rebuilding import needs_rebuild, rebuild_study
from scalesearch.search.study.search_trial import (
    SearchTrial,
    failure_documents,
    mean_accuracies,
    read_trials,
    trial_records,
)
from scalesearch.search.study.storage import close_study, open_study
from scalesearch.search.study.writing import (
    add_trial,
    record_outcome,
    record_tuning,
    reopen_trial,
    report_mean,
    tell_complete,
    tell_failed,
    tell_stopped,
)

__all__ = [
    "SearchTrial",
    "add_trial",
    "bind_study",
    "close_study",
    "failure_documents",
    "lock_study",
    "mean_accuracies",
    "needs_rebuild",
    "open_study",
    "read_trials",
    "rebuild_study",
    "record_outcome",
    "record_tuning",
    "reopen_trial",
    "report_mean",
    "tell_complete",
    "tell_failed",
    "tell_stopped",
    "trial_records",
]
