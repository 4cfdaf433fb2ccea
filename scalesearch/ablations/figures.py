"""Which figure an ablation has, under which name."""

from matplotlib.figure import Figure

from scalesearch.ablations.found import AblationResult
from scalesearch.ablations.rows import rows_to_table
from scalesearch.plots import write_figure
from scalesearch.plots.ablation_rows import ablation_bars, ablation_rows_figure
from scalesearch.plots.ablations import ablation_costs_figure, ablation_curves, ablation_curves_figure, ablation_panels_figure


def write_ablation_figures(result: AblationResult) -> None:
    """Write ``figures/NAME.png`` and ``.svg``; of several baselines drawn as curves, one each."""
    ablation, folder = result.ablation, result.folder / "figures"
    has_figure_per_baseline = len(ablation.baselines) > 1 and ablation.figure != "rows"
    for baseline in ablation.baselines if has_figure_per_baseline else [None]:
        name = ablation.name if baseline is None else f"{ablation.name}-{baseline}"
        write_figure(_figure(result, baseline), folder / name)


def _figure(result: AblationResult, baseline: str | None) -> Figure:
    ablation, all_rows = result.ablation, rows_to_table(result.rows)
    rows = all_rows if baseline is None else all_rows[all_rows["baseline"] == baseline]
    title = ablation.title if baseline is None else f"{ablation.title}: {baseline}"
    if ablation.figure == "rows":
        return ablation_rows_figure(ablation_bars(rows, ablation.against), title)
    if ablation.figure == "costs":
        return ablation_costs_figure(rows, ablation.against, title)
    curve_data = ablation_curves(rows, against=ablation.against)
    if ablation.figure == "panels":
        return ablation_panels_figure(curve_data, title)
    return ablation_curves_figure(curve_data, title)
