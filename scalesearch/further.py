"""A search's best candidates and its references again: trained longer, or by another learning rate.

Each is an experiment of listed networks that ``search`` trains in a folder below the search's own,
so that it goes on where it was stopped, and is made of the search's records alone: the same records
ask for the same networks.
"""

from dataclasses import replace
from typing import Literal, get_args

import pandas as pd

from scalesearch.analysis.answer import Result, summary
from scalesearch.analysis.conclusion import conclusion
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment, PointSpec, Reference
from scalesearch.recipe import Recipe

RATES = (0.5, 2.0)
RULES: tuple[Literal["fixed", "depth", "tuned"], ...] = ("fixed", "depth", "tuned")
CONFIRMATION = "confirm"
"""The folder, below the search's own."""
SEARCHED = "searched"
ANSWER = "answer"
BEST = "best 1"
"""Names of the cells of the search's answer, and of its best by mean."""


def confirmation(
    experiment: Experiment,
    records: pd.DataFrame,
    epochs: int,
    *,
    top: int = 5,
    seeds: int | None = None,
) -> Experiment:
    """The best ``top`` candidates and all references, trained for ``epochs``.

    The recipe's schedule spans them. Seeds are others than the search's, which chose the best by
    them: what was luck is then not confirmed. Raises SearchError where no candidate is finished,
    or ``epochs`` are no more than the search's.
    """
    last = experiment.rungs[-1]
    if epochs <= last:
        raise SearchError(
            f"{experiment.name}: need more epochs than the search's {last} to confirm it, got "
            f"{epochs}"
        )
    return replace(
        _again(experiment, chosen(experiment, records, top), seeds),
        name=f"{experiment.name}-{CONFIRMATION}",
        recipe=replace(experiment.recipe, epochs=epochs),
        seed=experiment.seed + experiment.search.seeds,
    )


def at_rates(
    experiment: Experiment, records: pd.DataFrame, *, top: int = 3, rates: tuple[float, ...] = RATES
) -> dict[str, Experiment]:
    """The best ``top`` and all references at multiples of the learning rate, by folder's name.

    Epochs and seeds are the search's own, so that runs are paired with its runs.
    """
    rate = experiment.recipe.learning_rate
    return {
        f"rate-{times:g}": _as_long(
            experiment,
            records,
            top,
            f"rate-{times:g}",
            replace(experiment.recipe, learning_rate=times * rate),
        )
        for times in rates
    }


def by_rules(
    experiment: Experiment, records: pd.DataFrame, *, top: int = 3
) -> dict[str, Experiment]:
    """Likewise, under each rule for learning rates that the search did not go by."""
    others = (rule for rule in RULES if rule != experiment.recipe.learning_rate_rule)
    return {
        f"rule-{rule}": _as_long(
            experiment,
            records,
            top,
            f"rule-{rule}",
            replace(experiment.recipe, learning_rate_rule=rule),
        )
        for rule in others
    }


def chosen(experiment: Experiment, records: pd.DataFrame, top: int) -> tuple[PointSpec, ...]:
    """The best ``top`` of the candidates that are still in the race, all references, and the
    answer, which is the one nearest to the surface's optimum and need not have been the luckiest.

    Raises SearchError where no candidate has the last epoch.
    """
    if top < 1:
        raise SearchError(f"{experiment.name}: need at least 1 of the best, got {top}")
    results = summary(records, epochs=experiment.rungs[-1])
    racing = [result for result in results if not result.stopped]
    best = sorted(racing, key=lambda one: (-one.accuracy, one.candidate))[:top]
    points = [
        _point(experiment, records, result, f"best {place}", SEARCHED)
        for place, result in enumerate(best, start=1)
    ]
    for name in get_args(Reference):
        for result in results:
            if name in result.role.split("+"):
                points.append(_point(experiment, records, result, f"reference {name}", name))
    if experiment.search.sampler != "points":
        found = conclusion(records, experiment.budget.factor, epochs=experiment.rungs[-1])
        if found.answer is not None:
            points.append(_point(experiment, records, found.answer, ANSWER, SEARCHED))
    return tuple(points)


def _point(
    experiment: Experiment, records: pd.DataFrame, result: Result, name: str, role: str
) -> PointSpec:
    """The very network of a candidate, as a point."""
    search = experiment.search
    if search.sampler == "points":
        rows = records[records["candidate"] == result.candidate]
        cells = str(rows["cell"].iloc[0]).split("; ")
        known = next(point for point in search.points if point.name in cells)
        return replace(known, name=name, role=role)
    if experiment.budget.mode == "nominal":  # of which not all networks are listed
        asked = result.asked
        return PointSpec(
            name=name, role=role, depth=asked.alpha, width=asked.beta, resolution=asked.gamma
        )
    return PointSpec(name=name, role=role, candidate=result.candidate)


def _as_long(
    experiment: Experiment, records: pd.DataFrame, top: int, name: str, recipe: Recipe
) -> Experiment:
    again = _again(experiment, chosen(experiment, records, top), None)
    search = replace(again.search, rungs=experiment.rungs[-1:])
    return replace(again, name=f"{experiment.name}-{name}", recipe=recipe, search=search)


def _again(experiment: Experiment, points: tuple[PointSpec, ...], seeds: int | None) -> Experiment:
    """An experiment of these points, each trained to the end with all seeds."""
    search = experiment.search
    listed = replace(
        search,
        sampler="points",
        points=points,
        trials=None,
        against=None,
        seeds=seeds or search.seeds,
        references=(),
        rungs=None,
        pruner="none",
        asynchronous=False,
        race=None,
        stop=type(search.stop)(),
    )
    return replace(experiment, search=listed)
