"""The paper's comparisons, and ours after them, as experiments of any size."""

from scalesearch.ablations.document import ablation_document
from scalesearch.ablations.found import AblationResult
from scalesearch.ablations.points import AblationPoint, ablation_experiments, ablation_points
from scalesearch.ablations.reading import SIZES, ablation_names, read_ablation
from scalesearch.ablations.run import run_ablation, default_folder, write_ablation_results
from scalesearch.ablations.spec import Ablation, GradCamConfig, AblationSeries
from scalesearch.ablations.words import table_rows

__all__ = [
    "SIZES",
    "AblationResult",
    "Ablation",
    "GradCamConfig",
    "AblationPoint",
    "AblationSeries",
    "run_ablation",
    "ablation_document",
    "ablation_names",
    "ablation_experiments",
    "default_folder",
    "ablation_points",
    "read_ablation",
    "table_rows",
    "write_ablation_results",
]
