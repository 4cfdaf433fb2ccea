"""Which figure an ablation has, under which name."""

from matplotlib.figure import Figure

from scalesearch.ablations.found import Ablated
from scalesearch.ablations.rows import table
from scalesearch.plots import write_figure
from scalesearch.plots.ablation_rows import bars, rows_figure
from scalesearch.plots.ablations import costs_figure, curves, curves_figure, panels_figure


def write_figures(found: Ablated) -> None:
    """Write ``figures/NAME.png`` and ``.svg``; of several baselines drawn as curves, one each."""
    ablation, folder = found.ablation, found.folder / "figures"
    several = len(ablation.baselines) > 1 and ablation.figure != "rows"
    for baseline in ablation.baselines if several else [None]:
        name = ablation.name if baseline is None else f"{ablation.name}-{baseline}"
        write_figure(_figure(found, baseline), folder / name)


def _figure(found: Ablated, baseline: str | None) -> Figure:
    ablation, whole = found.ablation, table(found.rows)
    rows = whole if baseline is None else whole[whole["baseline"] == baseline]
    title = ablation.title if baseline is None else f"{ablation.title}: {baseline}"
    if ablation.figure == "rows":
        return rows_figure(bars(rows, ablation.against), title)
    if ablation.figure == "costs":
        return costs_figure(rows, ablation.against, title)
    drawn = curves(rows, against=ablation.against)
    if ablation.figure == "panels":
        return panels_figure(drawn, title)
    return curves_figure(drawn, title)
