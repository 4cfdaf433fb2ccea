"""The study as the only ledger of a search.

One Optuna trial is one candidate. Its parameters are the effective shares of what is trained, its
value the mean accuracy over seeds, its attributes what was known before training and, one for each
outcome, what training measured. Records are a projection of this, and this can be made again from
them. Writing costs the same however many trials there are; only ``contents`` reads them all.
"""

from scalesearch.search.study.bound import bind
from scalesearch.search.study.entries import Entry, means
from scalesearch.search.study.lock import exclusive
from scalesearch.search.study.opened import close, open_study
from scalesearch.search.study.reading import contents, failures, records
from scalesearch.search.study.rebuilding import must_be_rebuilt, rebuilt
from scalesearch.search.study.writing import (
    enter,
    record,
    reopen,
    report,
    set_tuning,
    tell_complete,
    tell_failed,
    tell_stopped,
)

__all__ = [
    "Entry",
    "bind",
    "close",
    "contents",
    "enter",
    "exclusive",
    "failures",
    "means",
    "must_be_rebuilt",
    "open_study",
    "rebuilt",
    "record",
    "records",
    "reopen",
    "report",
    "set_tuning",
    "tell_complete",
    "tell_failed",
    "tell_stopped",
]
