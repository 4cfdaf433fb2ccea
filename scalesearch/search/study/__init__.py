"""The study as the only ledger of a search.

One Optuna trial is one candidate. Its parameters are the effective shares of what is trained, its
value the mean accuracy over seeds, its attributes what was known before training and, one for each
outcome, what training measured. Records are a projection of this, and this can be made again from
them. Writing costs the same however many trials there are; only ``contents`` reads them all.
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
