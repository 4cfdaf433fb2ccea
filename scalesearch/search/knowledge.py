"""What samplers learn from: how candidates did, and which are under way."""

from collections.abc import Collection, Mapping

from scalesearch.analysis.levels import levelled
from scalesearch.architectures.isocost import Candidate
from scalesearch.search.proposals import Known
from scalesearch.search.study import Entry


def knowledge(
    entries: Mapping[int, Entry],
    pending: Mapping[int, Candidate],
    rungs: Collection[int],
    cost: str | None,
) -> list[Known]:
    """Who has ended, with what it is worth at the last epoch, and who is under way, in the order of
    places. ``pending``: candidates that are not in the study yet. ``cost``: the second objective's
    column."""
    curves = {
        entry.candidate: {epoch: told for epoch, told in entry.reported.items() if epoch in rungs}
        for entry in entries.values()
        if entry.state in ("complete", "stopped") and entry.reported
    }
    worth = levelled(curves)
    known = []
    for place in sorted(entries.keys() | pending.keys()):
        entry = entries.get(place)
        if entry is None:
            candidate = pending[place]
            known.append(Known(candidate.fingerprint, candidate.shares, None))
        elif entry.state == "running":
            known.append(Known(entry.candidate, entry.shares, None))
        elif entry.candidate in worth:
            values = (worth[entry.candidate], *([float(entry.facts[cost])] if cost else []))
            known.append(Known(entry.candidate, entry.shares, values))
    return known
