"""Experiments that train the best candidates again: longer, or at other rates.

Each lists the networks as points, and is run by ``run_search`` in a folder below that of the
search, so that it can be resumed. It follows from the records alone: the same records give the
same networks.
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
"""Folder of a confirmation, below that of the search."""
SEARCHED_ROLE = "searched"
ANSWER_CELL = "answer"
BEST_CELL = "best 1"
"""Cell names of the recommended network, and of the best by mean accuracy."""


def confirmation_experiment(
    experiment: Experiment,
    records: pd.DataFrame,
    epochs: int,
    *,
    top: int = 5,
    seeds: int | None = None,
) -> Experiment:
    """Return an experiment that trains the best and the references for longer.

    It has the best ``top`` candidates and all references. The recipe's schedule spans ``epochs``.
    The seeds differ from those of the search, by which the best were chosen, so that luck is not
    confirmed. Raises SearchError if no candidate has ended, or if the search already has that many
    epochs.
    """
    search_epochs = experiment.rungs[-1]
    if epochs <= search_epochs:
        raise SearchError(
            f"{experiment.name}: need more epochs than the search's {search_epochs} to confirm "
            f"it, got {epochs}"
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
    """Return experiments with multiples of the learning rate, by folder name.

    Each has the best ``top`` candidates and all references, with the epochs and seeds of the
    search, so that runs are paired with its runs.
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
    """Return experiments with the learning-rate rules that the search did not use."""
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
    """Return the best ``top`` candidates, all references, and the answer.

    Candidates that were stopped are left out. The answer is the candidate nearest to the optimum
    of the response model. Raises SearchError if no candidate has reached the last epoch.
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
    """Return exactly the network of a candidate, as a point."""
    search = experiment.search
    if search.sampler == "points":
        rows = records[records["candidate"] == result.candidate]
        cells = str(rows["cell"].iloc[0]).split("; ")
        listed_point = next(point for point in search.points if point.name in cells)
        return replace(listed_point, name=name, role=role)
    if experiment.budget.mode == "nominal":  # not all its networks are listed
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
    """Return an experiment that trains these points to the end with all seeds."""
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
