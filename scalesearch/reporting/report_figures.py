"""The figures of the report, with captions; a figure without data is left out."""

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
    """A figure in the folder ``figures``."""

    name: str
    """Name of its files, without the suffix."""
    title: str
    alt: str
    """Text in place of the image."""
    caption: str
    wide: bool = False
    """Whether it needs the width of two columns."""


def triangle_data(report: ReportData) -> Ternary | SimplexData:
    """Return the fitted surface with the candidates, or the candidates alone."""
    if report.conclusion.optimum is None:
        return simplex(report.records, epoch=report.last_epoch)
    return ternary(report.records, report.conclusion.optimum, epoch=report.last_epoch)


def write_report_figures(report: ReportData, folder: Path) -> tuple[ReportFigure, ...]:
    """Write the figures as PNG and SVG into ``folder``; return their descriptions."""
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
    """Return an SVG file as a data URI."""
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


CaptionedFigures = Iterator[tuple[ReportFigure, Figure]]


def _surface(report: ReportData) -> CaptionedFigures:
    triangle = triangle_data(report)
    if isinstance(triangle, Ternary):
        yield (
            ReportFigure(
                "surface",
                "The best division of the budget",
                f"A triangle of depth, width and resolution shares, coloured by fitted accuracy: "
                f"{report.conclusion.sentence}",
                "Background: accuracy predicted by the fitted surface. Points: measured accuracy. "
                "Hatched: as good as the optimum, within noise. Outline: "
                f"{triangle.confidence:.0%} confidence region of the optimum.",
            ),
            ternary_figure(triangle, COLUMN),
        )
    else:
        yield (
            ReportFigure(
                "simplex",
                "Accuracy and the division of the budget",
                "A triangle of depth, width and resolution shares with each network's accuracy.",
                "No surface could be fitted; colours are the measured accuracies of the networks.",
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
            "Bootstrap intervals of the optimum, over the whole range of each coefficient, with "
            "the paper's values.",
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
            "Mean over seeds. Dotted: rungs, with the number of networks that reached them; "
            "crosses: networks that were stopped.",
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
        else "too few networks"
    )
    yield (
        ReportFigure(
            "agreement",
            "Does short training rank like long training?",
            f"Rank correlations between the epochs {', '.join(map(str, matrix.epochs))}; {text}.",
            "Spearman's rank correlation of mean accuracies over the networks that have both "
            "epochs, with intervals. Framed: an epoch with itself over other seeds, which is the "
            "highest correlation that noise allows.",
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
            "Dashed: multiples of the baseline's cost. Shaded: the budget. Networks of equal cost "
            "in one measure differ much in the others.",
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
            f"{cost_data.within_budget_count} of {len(cost_data.candidates)} networks cost "
            f"{budget.factor:g} times the baseline's, within {budget.tolerance:.0%}.",
            "Cost by the product of the coefficients, before and after rounding to whole numbers "
            "of layers, channels and pixels, against the real cost of the networks.",
        ),
        realised_costs_figure(cost_data, COLUMN),
    )


def _worker_timeline(report: ReportData) -> CaptionedFigures:
    if report.jobs is None:
        return
    try:
        timeline_data = timeline(report.jobs)
    except SearchError:  # no job has finished
        return
    yield (
        ReportFigure(
            "workers",
            "Jobs of each worker over time",
            f"{len(timeline_data.lanes)} workers over {timeline_data.seconds:.0f} seconds, busy "
            f"for {timeline_data.busy_fraction:.0%}.",
            "Each bar is a job, which trains a network to its next rung.",
            wide=True,
        ),
        timeline_figure(timeline_data),
    )
