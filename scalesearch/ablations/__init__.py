"""The paper's comparisons, and ours after them, as experiments of any size."""

from scalesearch.ablations.document import ablation_document
from scalesearch.ablations.found import Ablated
from scalesearch.ablations.points import Point, experiments, points
from scalesearch.ablations.reading import SIZES, ablations, read_ablation
from scalesearch.ablations.run import ablate, folder_of, write_ablation
from scalesearch.ablations.spec import Ablation, Maps, Series
from scalesearch.ablations.words import table_rows

__all__ = [
    "SIZES",
    "Ablated",
    "Ablation",
    "Maps",
    "Point",
    "Series",
    "ablate",
    "ablation_document",
    "ablations",
    "experiments",
    "folder_of",
    "points",
    "read_ablation",
    "table_rows",
    "write_ablation",
]
