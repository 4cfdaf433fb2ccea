"""A search's figures as files, each with its words; what cannot be drawn is left out."""

import base64
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from scalesearch.errors import SearchError
from scalesearch.plots import simplex, simplex_figure, write_figure
from scalesearch.plots.agreement import agreement_figure, agreement_matrix
from scalesearch.plots.intervals import intervals, intervals_figure
from scalesearch.plots.pareto import pareto, pareto_figure
from scalesearch.plots.realised import realised, realised_figure
from scalesearch.plots.rungs import rung_curves, rung_curves_figure
from scalesearch.plots.simplex import SimplexData
from scalesearch.plots.style import COLUMN
from scalesearch.plots.ternary import Ternary, ternary, ternary_figure
from scalesearch.plots.timeline import timeline, timeline_figure
from scalesearch.report.facts import Facts


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure in the folder. ``alt``: what it shows, for those who do not see it. ``wide``: it is
    drawn across two columns, and not legible in one."""

    name: str
    title: str
    alt: str
    caption: str
    wide: bool = False


def simplex_numbers(facts: Facts) -> Ternary | SimplexData:
    """The fitted surface with its points; the points alone where there is none."""
    if facts.conclusion.optimum is None:
        return simplex(facts.records, epoch=facts.epoch)
    return ternary(facts.records, facts.conclusion.optimum, epoch=facts.epoch)


def write_figures(facts: Facts, folder: Path) -> tuple[Shown, ...]:
    """Draw what there is to be drawn into ``folder``, as PNG and SVG, and tell what it is."""
    shown = []
    for draw in (_surface, _intervals, _curves, _agreement, _pareto, _realised, _workers):
        for one, figure in draw(facts):
            write_figure(figure, folder / one.name)
            shown.append(one)
    return tuple(shown)


def embedded(path: Path) -> str:
    """An SVG file as an address that holds all of it."""
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


Drawn = Iterator[tuple[Shown, Figure]]


def _surface(facts: Facts) -> Drawn:
    numbers = simplex_numbers(facts)
    if isinstance(numbers, Ternary):
        yield (
            Shown(
                "surface",
                "Where the budget is best spent",
                f"A triangle of depth, width and resolution shares, coloured by fitted accuracy: "
                f"{facts.conclusion.sentence}",
                "Colour is the accuracy that the fitted surface predicts, and each point's own is "
                "what was measured. Hatched: as good as the optimum, within noise. In the outline "
                f"the optimum lies with a confidence of {numbers.confidence:.0%}.",
            ),
            ternary_figure(numbers, COLUMN),
        )
    else:
        yield (
            Shown(
                "simplex",
                "Accuracy and how the budget was divided",
                "A triangle of depth, width and resolution shares with each network's accuracy.",
                "No surface could be fitted; colours are the networks' own accuracies.",
            ),
            simplex_figure(numbers, COLUMN),
        )


def _intervals(facts: Facts) -> Drawn:
    said = facts.conclusion
    if said.optimum is None:
        return
    found = {name: asdict(interval) for name, interval in said.optimum.intervals.items()}
    numbers = intervals(found, said.factor, level=said.level)
    words = "; ".join(
        f"{row.name} {row.value:.2f} [{row.low:.2f}, {row.high:.2f}]" for row in numbers.rows
    )
    yield (
        Shown(
            "intervals",
            "Coefficients and their intervals",
            f"Coefficients with intervals of {numbers.confidence:.0%}: {words}.",
            "Bootstrap intervals of the optimum, over all that the coefficients could be, beside "
            "the paper's triple.",
        ),
        intervals_figure(numbers, COLUMN),
    )


def _curves(facts: Facts) -> Drawn:
    numbers = rung_curves(facts.records, facts.experiment.rungs)
    reached = ", ".join(
        f"{count} at epoch {rung}"
        for rung, count in zip(numbers.rungs, numbers.reached, strict=True)
    )
    yield (
        Shown(
            "rungs",
            "Learning curves",
            f"Validation accuracy against epochs; networks: {reached}.",
            "Mean over seeds. Dotted: the epochs at which networks were compared, and how many "
            "came to them; crosses: where they were stopped.",
        ),
        rung_curves_figure(numbers, COLUMN),
    )


def _agreement(facts: Facts) -> Drawn:
    found = facts.audit.agreement
    if len(found.epochs) < 2:
        return
    numbers = agreement_matrix(found)
    if np.isnan(numbers.values).all():
        return
    last = numbers.epochs[-1]
    known = [
        f"{value:.2f} at {epoch}"
        for epoch, value in zip(numbers.epochs[:-1], numbers.values[-1, :-1], strict=True)
        if not np.isnan(value)
    ]
    told = f"with epoch {last}: {', '.join(known)}" if known else "too few networks to tell"
    yield (
        Shown(
            "agreement",
            "Does short training rank as long training does?",
            f"Rank correlations between the epochs {', '.join(map(str, numbers.epochs))}; {told}.",
            "Spearman's rank correlation of mean accuracies over the networks that have both "
            "epochs, with intervals. Framed: an epoch with itself over other seeds, the most that "
            "noise lets any other come to.",
        ),
        agreement_figure(numbers, COLUMN),
    )


def _pareto(facts: Facts) -> Drawn:
    if facts.baseline_cost is None:
        return
    budget = facts.experiment.budget
    held = (str(budget.measure), budget.factor, budget.tolerance)
    numbers = pareto(facts.records, asdict(facts.baseline_cost), held, epoch=facts.epoch)
    yield (
        Shown(
            "pareto",
            "Accuracy and cost",
            "Accuracy against multiply-adds, parameters and activations, with lines at multiples "
            "of the baseline's.",
            "Dashed: multiples of the baseline's cost. The shaded band is the budget; equal in one "
            "measure, networks differ much in the others.",
        ),
        pareto_figure(numbers, COLUMN),
    )


def _realised(facts: Facts) -> Drawn:
    budget = facts.experiment.budget
    numbers = realised(facts.records, budget.factor, budget.tolerance)
    yield (
        Shown(
            "realised",
            "Nominal and realised cost",
            f"{numbers.met} of {len(numbers.candidates)} networks cost {budget.factor:g} times the "
            f"baseline's, within {budget.tolerance:.0%}.",
            "What the product of coefficients promises, as they were asked for and as whole "
            "numbers of layers, channels and pixels realise them, against what networks cost.",
        ),
        realised_figure(numbers, COLUMN),
    )


def _workers(facts: Facts) -> Drawn:
    if facts.jobs is None:
        return
    try:
        numbers = timeline(facts.jobs)
    except SearchError:  # none of them has a time
        return
    yield (
        Shown(
            "workers",
            "What each worker did when",
            f"{len(numbers.lanes)} workers over {numbers.seconds:.0f} seconds, busy for "
            f"{numbers.busy:.0%}.",
            "A bar is a job: a network trained to its next rung.",
            wide=True,
        ),
        timeline_figure(numbers),
    )
