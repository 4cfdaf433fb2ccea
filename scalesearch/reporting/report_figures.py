"""A search's figures as files, each with its words; what cannot be drawn is left out."""

import base64
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from scalesearch.errors import SearchError
from scalesearch.figures.intervals import coefficient_intervals, coefficient_intervals_figure
from scalesearch.figures.pareto import pareto, pareto_figure
from scalesearch.figures.proxy_matrix import rank_correlation_figure, rank_correlation_matrix
from scalesearch.figures.realised import realised_costs, realised_costs_figure
from scalesearch.figures.rungs import rung_curves, rung_curves_figure
from scalesearch.figures.simplex import SimplexData, simplex, simplex_figure
from scalesearch.figures.style import COLUMN, write_figure
from scalesearch.figures.ternary import Ternary, ternary, ternary_figure
from scalesearch.figures.timeline import timeline, timeline_figure
from scalesearch.reporting.report_data import ReportData


@dataclass(frozen=True, slots=True)
class ReportFigure:
    """A figure in the folder. ``alt``: what it shows, for those who do not see it. ``wide``: it is
    drawn across two columns, and not legible in one."""

    name: str
    title: str
    alt: str
    caption: str
    wide: bool = False


def triangle_data(report: ReportData) -> Ternary | SimplexData:
    """The fitted surface with its points; the points alone where there is none."""
    if report.conclusion.optimum is None:
        return simplex(report.records, epoch=report.last_epoch)
    return ternary(report.records, report.conclusion.optimum, epoch=report.last_epoch)


def write_report_figures(report: ReportData, folder: Path) -> tuple[ReportFigure, ...]:
    """Draw what there is to be drawn into ``folder``, as PNG and SVG, and tell what it is."""
    figures = []
    for draw in (
        _surface,
        _intervals,
        _curves,
        _rank_correlations,
        _pareto,
        _realised_costs,
        _worker_timeline,
    ):
        for caption, figure in draw(report):
            write_figure(figure, folder / caption.name)
            figures.append(caption)
    return tuple(figures)


def svg_data_uri(path: Path) -> str:
    """An SVG file as an address that holds all of it."""
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


CaptionedFigures = Iterator[tuple[ReportFigure, Figure]]


def _surface(report: ReportData) -> CaptionedFigures:
    triangle = triangle_data(report)
    if isinstance(triangle, Ternary):
        yield (
            ReportFigure(
                "surface",
                "Where the budget is best spent",
                f"A triangle of depth, width and resolution shares, coloured by fitted accuracy: "
                f"{report.conclusion.sentence}",
                "Colour is the accuracy that the fitted surface predicts, and each point's own is "
                "what was measured. Hatched: as good as the optimum, within noise. In the outline "
                f"the optimum lies with a confidence of {triangle.confidence:.0%}.",
            ),
            ternary_figure(triangle, COLUMN),
        )
    else:
        yield (
            ReportFigure(
                "simplex",
                "Accuracy and how the budget was divided",
                "A triangle of depth, width and resolution shares with each network's accuracy.",
                "No surface could be fitted; colours are the networks' own accuracies.",
            ),
            simplex_figure(triangle, COLUMN),
        )


def _intervals(report: ReportData) -> CaptionedFigures:
    conclusion = report.conclusion
    if conclusion.optimum is None:
        return
    values = {
        name: asdict(interval)
        for name, interval in conclusion.optimum.coefficient_intervals.items()
    }
    interval_data = coefficient_intervals(values, conclusion.factor, level=conclusion.level)
    text = "; ".join(
        f"{row.name} {row.value:.2f} [{row.low:.2f}, {row.high:.2f}]" for row in interval_data.rows
    )
    yield (
        ReportFigure(
            "intervals",
            "Coefficients and their intervals",
            f"Coefficients with intervals of {interval_data.confidence:.0%}: {text}.",
            "Bootstrap intervals of the optimum, over all that the coefficients could be, beside "
            "the paper's triple.",
        ),
        coefficient_intervals_figure(interval_data, COLUMN),
    )


def _curves(report: ReportData) -> CaptionedFigures:
    curve_data = rung_curves(report.records, report.experiment.rungs)
    counts = ", ".join(
        f"{count} at epoch {rung}"
        for rung, count in zip(curve_data.rungs, curve_data.reached, strict=True)
    )
    yield (
        ReportFigure(
            "rungs",
            "Learning curves",
            f"Validation accuracy against epochs; networks: {counts}.",
            "Mean over seeds. Dotted: the epochs at which networks were compared, and how many "
            "came to them; crosses: where they were stopped.",
        ),
        rung_curves_figure(curve_data, COLUMN),
    )


def _rank_correlations(report: ReportData) -> CaptionedFigures:
    correlation = report.proxy_check.rank_correlation
    if len(correlation.epochs) < 2:
        return
    matrix = rank_correlation_matrix(correlation)
    if np.isnan(matrix.values).all():
        return
    last_epoch = matrix.epochs[-1]
    correlations = [
        f"{value:.2f} at {epoch}"
        for epoch, value in zip(matrix.epochs[:-1], matrix.values[-1, :-1], strict=True)
        if not np.isnan(value)
    ]
    text = (
        f"with epoch {last_epoch}: {', '.join(correlations)}"
        if correlations
        else "too few networks to tell"
    )
    yield (
        ReportFigure(
            "agreement",
            "Does short training rank as long training does?",
            f"Rank correlations between the epochs {', '.join(map(str, matrix.epochs))}; {text}.",
            "Spearman's rank correlation of mean accuracies over the networks that have both "
            "epochs, with intervals. Framed: an epoch with itself over other seeds, the most that "
            "noise lets any other come to.",
        ),
        rank_correlation_figure(matrix, COLUMN),
    )


def _pareto(report: ReportData) -> CaptionedFigures:
    if report.baseline_cost is None:
        return
    budget = report.experiment.budget
    budget_band = (str(budget.measure), budget.factor, budget.tolerance)
    pareto_data = pareto(
        report.records, asdict(report.baseline_cost), budget_band, epoch=report.last_epoch
    )
    yield (
        ReportFigure(
            "pareto",
            "Accuracy and cost",
            "Accuracy against multiply-adds, parameters and activations, with lines at multiples "
            "of the baseline's.",
            "Dashed: multiples of the baseline's cost. The shaded band is the budget; equal in one "
            "measure, networks differ much in the others.",
        ),
        pareto_figure(pareto_data, COLUMN),
    )


def _realised_costs(report: ReportData) -> CaptionedFigures:
    budget = report.experiment.budget
    cost_data = realised_costs(report.records, budget.factor, budget.tolerance)
    yield (
        ReportFigure(
            "realised",
            "Nominal and realised cost",
            f"{cost_data.within_budget_count} of {len(cost_data.candidates)} networks cost {budget.factor:g} times the "
            f"baseline's, within {budget.tolerance:.0%}.",
            "What the product of coefficients promises, as they were asked for and as whole "
            "numbers of layers, channels and pixels realise them, against what networks cost.",
        ),
        realised_costs_figure(cost_data, COLUMN),
    )


def _worker_timeline(report: ReportData) -> CaptionedFigures:
    if report.jobs is None:
        return
    try:
        timeline_data = timeline(report.jobs)
    except SearchError:  # none of them has a time
        return
    yield (
        ReportFigure(
            "workers",
            "What each worker did when",
            f"{len(timeline_data.lanes)} workers over {timeline_data.seconds:.0f} seconds, busy for "
            f"{timeline_data.busy_fraction:.0%}.",
            "A bar is a job: a network trained to its next rung.",
            wide=True,
        ),
        timeline_figure(timeline_data),
    )
