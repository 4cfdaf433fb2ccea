"""What an ablation found."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from scalesearch.ablations.curves import SeriesGain, CurveComparison, series_gains, curve_comparisons
from scalesearch.ablations.rows import AblationRow, ablation_rows
from scalesearch.ablations.spec import Ablation
from scalesearch.ablations.words import sentences


@dataclass(frozen=True, slots=True)
class AblationResult:
    """An ablation's table, whole curves, and all of it in sentences; ``folder`` has the files."""

    ablation: Ablation
    folder: Path
    rows: tuple[AblationRow, ...]
    gains: tuple[SeriesGain, ...]
    curve_comparisons: tuple[CurveComparison, ...]
    sentences: tuple[str, ...]


def ablation_result(ablation: Ablation, folder: Path, records: dict[str, pd.DataFrame]) -> AblationResult:
    """What the records of each baseline tell. Raises SearchError where they tell nothing."""
    table_rows = ablation_rows(ablation, records)
    is_matched = all(series.matched for series in ablation.series)
    compares_curves = ablation.against is not None and ablation.figure == "curves" and not is_matched
    comparisons = curve_comparisons(ablation, table_rows, records) if compares_curves else ()
    series_gain = series_gains(table_rows, records)
    return AblationResult(ablation, folder, table_rows, series_gain, comparisons, sentences(ablation, table_rows, series_gain, comparisons))
