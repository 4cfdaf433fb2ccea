"""A search's best candidates and its references again: trained longer, or by another learning rate.

Each is an experiment of listed networks that ``search`` trains in a folder below the search's own,
so that it goes on where it was stopped, and is made of the search's records alone: the same records
ask for the same networks.
"""

from dataclasses import replace
from typing import Literal, get_args

import pandas as pd

from scalesearch.analysis.conclusion import conclusion
from scalesearch.analysis.summary import CandidateResult, candidate_results
from scalesearch.config.experiment import Experiment
from scalesearch.config.recipe import Recipe
from scalesearch.config.search_spec import PointSpec, Reference
from scalesearch.errors import SearchError

LEARNING_RATE_FACTORS = (0.5, 2.0)
LEARNING_RATE_RULES: tuple[Literal["fixed", "depth", "tuned"], ...] = ("fixed", "depth", "tuned")
CONFIRMATION_FOLDER = "confirm"
"""The folder, below the search's own."""
SEARCHED_ROLE = "searched"
ANSWER_CELL = "answer"
BEST_CELL = "best 1"
"""Names of the cells of the search's answer, and of its best by mean."""


def confirmation_experiment(
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
    search_epochs = experiment.rungs[-1]
    if epochs <= search_epochs:
        raise SearchError(
            f"{experiment.name}: need more epochs than the search's {search_epochs} to confirm it, got "
            f"{epochs}"
        )
    return replace(
        _points_experiment(experiment, selected_points(experiment, records, top), seeds),
        name=f"{experiment.name}-{CONFIRMATION_FOLDER}",
        recipe=replace(experiment.recipe, epochs=epochs),
        seed=experiment.seed + experiment.search.seeds,
    )


def learning_rate_experiments(
    experiment: Experiment,
    records: pd.DataFrame,
    *,
    top: int = 3,
    factors: tuple[float, ...] = LEARNING_RATE_FACTORS,
) -> dict[str, Experiment]:
    """The best ``top`` and all references at multiples of the learning rate, by folder's name.

    Epochs and seeds are the search's own, so that runs are paired with its runs.
    """
    learning_rate = experiment.recipe.learning_rate
    return {
        f"rate-{factor:g}": _same_length_experiment(
            experiment,
            records,
            top,
            f"rate-{factor:g}",
            replace(experiment.recipe, learning_rate=factor * learning_rate),
        )
        for factor in factors
    }


def learning_rate_rule_experiments(
    experiment: Experiment, records: pd.DataFrame, *, top: int = 3
) -> dict[str, Experiment]:
    """Likewise, under each rule for learning rates that the search did not go by."""
    other_rules = (
        rule for rule in LEARNING_RATE_RULES if rule != experiment.recipe.learning_rate_rule
    )
    return {
        f"rule-{rule}": _same_length_experiment(
            experiment,
            records,
            top,
            f"rule-{rule}",
            replace(experiment.recipe, learning_rate_rule=rule),
        )
        for rule in other_rules
    }


def selected_points(
    experiment: Experiment, records: pd.DataFrame, top: int
) -> tuple[PointSpec, ...]:
    """The best ``top`` of the candidates that are still in the race, all references, and the
    answer, which is the one nearest to the surface's optimum and need not have been the luckiest.

    Raises SearchError where no candidate has the last epoch.
    """
    if top < 1:
        raise SearchError(f"{experiment.name}: need at least 1 of the best, got {top}")
    results = candidate_results(records, epochs=experiment.rungs[-1])
    racing = [result for result in results if not result.stopped]
    best = sorted(racing, key=lambda ranked: (-ranked.accuracy, ranked.candidate))[:top]
    points = [
        _point_spec(experiment, records, result, f"best {rank}", SEARCHED_ROLE)
        for rank, result in enumerate(best, start=1)
    ]
    for name in get_args(Reference):
        for result in results:
            if name in result.role.split("+"):
                points.append(_point_spec(experiment, records, result, f"reference {name}", name))
    if experiment.search.sampler != "points":
        result_of_search = conclusion(
            records, experiment.budget.factor, epochs=experiment.rungs[-1]
        )
        if result_of_search.nearest_to_optimum is not None:
            points.append(
                _point_spec(
                    experiment,
                    records,
                    result_of_search.nearest_to_optimum,
                    ANSWER_CELL,
                    SEARCHED_ROLE,
                )
            )
    return tuple(points)


def _point_spec(
    experiment: Experiment, records: pd.DataFrame, result: CandidateResult, name: str, role: str
) -> PointSpec:
    """The very network of a candidate, as a point."""
    search = experiment.search
    if search.sampler == "points":
        rows = records[records["candidate"] == result.candidate]
        cells = str(rows["cell"].iloc[0]).split("; ")
        listed_point = next(point for point in search.points if point.name in cells)
        return replace(listed_point, name=name, role=role)
    if experiment.budget.mode == "nominal":  # of which not all networks are listed
        coefficients = result.asked
        return PointSpec(
            name=name,
            role=role,
            depth=coefficients.alpha,
            width=coefficients.beta,
            resolution=coefficients.gamma,
        )
    return PointSpec(name=name, role=role, candidate=result.candidate)


def _same_length_experiment(
    experiment: Experiment, records: pd.DataFrame, top: int, name: str, recipe: Recipe
) -> Experiment:
    experiment_of_points = _points_experiment(
        experiment, selected_points(experiment, records, top), None
    )
    search = replace(experiment_of_points.search, rungs=experiment.rungs[-1:])
    return replace(
        experiment_of_points, name=f"{experiment.name}-{name}", recipe=recipe, search=search
    )


def _points_experiment(
    experiment: Experiment, points: tuple[PointSpec, ...], seeds: int | None
) -> Experiment:
    """An experiment of these points, each trained to the end with all seeds."""
    search = experiment.search
    points_search = replace(
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
    return replace(experiment, search=points_search)
