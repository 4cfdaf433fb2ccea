"""More of a search: which experiment asks for it, and what it leaves undecided."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment
from scalesearch.search.engine import past
from scalesearch.search.runners import State
from scalesearch.search.schedule import Schedule
from scalesearch.search.source import Source
from scalesearch.search.study import Entry


def lengthened(
    experiment: Experiment,
    trials: int | None = None,
    seeds: int | None = None,
    rungs: Sequence[int] | None = None,
) -> Experiment:
    """The experiment that asks for more; None keeps what it has.

    Raises SearchError where one of them is less, or nothing is more.
    """
    search = experiment.search
    if trials is not None:
        if search.sampler == "optimal":
            raise SearchError(
                f"trials: need what the search has, as a design is made for its number, got "
                f"{trials}; ask for seeds or rungs, or begin another search"
            )
        have = search.trials or search.asks
        if have is None or trials < have:
            raise SearchError(f"trials: {_asked(have)}, got {trials}")
        search = replace(search, trials=trials)
    if seeds is not None:
        if seeds < search.seeds:
            raise SearchError(f"seeds: {_asked(search.seeds)}, got {seeds}")
        search = replace(search, seeds=seeds)
    if rungs is not None:
        search = replace(search, rungs=_longer(experiment, tuple(rungs)))
    longer = replace(experiment, search=search)
    if longer == experiment:
        raise SearchError("extend: need more trials, seeds or rungs than the search has, got none")
    return longer


def _asked(have: int | None) -> str:
    if have is None:
        return "it has the whole grid, of which there is no more; ask for seeds or rungs"
    return f"the search has {have}, and needs at least that"


def _longer(experiment: Experiment, rungs: tuple[int, ...]) -> tuple[int, ...]:
    """The rungs, if they go on from the experiment's."""
    kept, epochs = experiment.rungs, experiment.recipe.epochs
    rising = all(a < b for a, b in zip((0, *rungs), rungs, strict=False))
    goes_on = rungs[: len(kept)] == kept
    if experiment.search.pruner == "none":
        goes_on = bool(rungs) and rungs[-1] >= kept[-1]  # nobody was compared on the way
    if not rising or not goes_on or rungs[-1] > epochs:
        began = ", ".join(map(str, kept))
        raise SearchError(
            f"rungs: need {began}, as the search has, and later ones up to {epochs}, where the "
            f"recipe ends (recipe.epochs, which its learning rates span), got "
            f"{', '.join(map(str, rungs)) or 'none'}"
        )
    return rungs


def undecided(
    experiment: Experiment, source: Source, schedule: Schedule, entries: Iterable[Entry]
) -> list[Entry]:
    """Ended candidates about which the experiment is not decided, or otherwise, by what is on
    record; the failed stay out of it.

    ``schedule``: an empty one by its rules, which is told all that is on record, cohort after
    cohort, until one lacks something; what comes after it waits for that.
    """
    places = {source.place(entry.cells): entry for entry in entries}
    found: list[Entry] = []
    cohort, over = 0, True
    while members := source.members(cohort):
        told: dict[int, State] = {}
        if over:
            for place in members:
                _enter(schedule, place, cohort, source, places.get(place))
            schedule.begin(cohort)
            told = {verdict.place: verdict.state for verdict in schedule.verdicts()}
            over = experiment.search.asynchronous or schedule.is_over(cohort)
        for place in (place for place in members if place in places):
            entry = places[place]
            decided = entry.state == told.get(place) or _has_all(entry, experiment)
            same = _role(source, place, entry) == entry.facts["role"]
            if entry.state in ("stopped", "complete") and not (decided and same):
                found.append(entry)
        cohort += 1
    return found


def _enter(
    schedule: Schedule, place: int, cohort: int, source: Source, entry: Entry | None
) -> None:
    roles = _role(source, place, entry).split("+")
    schedule.enter(
        place,
        cohort,
        searched="searched" in roles,
        reference=roles != ["searched"],
        past={} if entry is None else past(entry),
        tuned=entry is not None and entry.tuning is not None,
        state="failed" if entry is not None and entry.state == "failed" else "running",
    )


def _role(source: Source, place: int, entry: Entry | None) -> str:
    """What a candidate stands for, by the plan where it is planned."""
    if place < len(source.planned):
        return source.planned[place].role
    return "searched" if entry is None else str(entry.facts["role"])


def _has_all(entry: Entry, experiment: Experiment) -> bool:
    """Whether nothing is left of a candidate that any search could train."""
    last = experiment.rungs[-1]
    return entry.state == "complete" and all(
        (seed, last) in entry.held for seed in experiment.seeds
    )
