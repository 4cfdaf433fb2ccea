"""What an ablation found."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from scalesearch.ablations.curves import Gain, Overlap, gains, overlaps
from scalesearch.ablations.rows import Row, rows
from scalesearch.ablations.spec import Ablation
from scalesearch.ablations.words import sentences


@dataclass(frozen=True, slots=True)
class Ablated:
    """An ablation's table, whole curves, and all of it in sentences; ``folder`` has the files."""

    ablation: Ablation
    folder: Path
    rows: tuple[Row, ...]
    gains: tuple[Gain, ...]
    overlaps: tuple[Overlap, ...]
    sentences: tuple[str, ...]


def concluded(ablation: Ablation, folder: Path, records: dict[str, pd.DataFrame]) -> Ablated:
    """What the records of each baseline tell. Raises SearchError where they tell nothing."""
    own = rows(ablation, records)
    matched = all(series.matched for series in ablation.series)
    compared = ablation.against is not None and ablation.figure == "curves" and not matched
    lying = overlaps(ablation, own, records) if compared else ()
    gained = gains(own, records)
    return Ablated(ablation, folder, own, gained, lying, sentences(ablation, own, gained, lying))
