"""The study as the only ledger of a search.

One Optuna trial is one candidate. Its parameters are the effective shares of what is trained, its
value the mean accuracy over seeds, its attributes what was known before training and, one for each
outcome, what training measured. Records are a projection of this, and this can be made again from
them. Writing costs the same however many trials there are; only ``contents`` reads them all.
"""

from scalesearch.search.study.bound import bind_study
from scalesearch.search.study.entries import SearchTrial, mean_accuracies
from scalesearch.search.study.lock import lock_study
from scalesearch.search.study.opened import close_study, open_study
from scalesearch.search.study.reading import read_trials, failure_documents, trial_records
from scalesearch.search.study.rebuilding import needs_rebuild, rebuild_study
from scalesearch.search.study.writing import (
    add_trial,
    record_outcome,
    reopen_trial,
    report_mean,
    record_tuning,
    tell_complete,
    tell_failed,
    tell_stopped,
)

__all__ = [
    "SearchTrial",
    "bind_study",
    "close_study",
    "read_trials",
    "add_trial",
    "lock_study",
    "failure_documents",
    "mean_accuracies",
    "needs_rebuild",
    "open_study",
    "rebuild_study",
    "record_outcome",
    "trial_records",
    "reopen_trial",
    "report_mean",
    "record_tuning",
    "tell_complete",
    "tell_failed",
    "tell_stopped",
]
