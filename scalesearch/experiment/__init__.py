"""One YAML file -> one Experiment."""

from scalesearch.experiment.baselines import (
    BaselineSpec,
    is_network_file,
    named_baseline,
    names_file,
    network_from,
    own_baseline,
)
from scalesearch.experiment.points import PointSpec
from scalesearch.experiment.reading import (
    FACTOR,
    differences,
    experiment_from,
    override,
    read_experiment,
    read_experiments,
    to_document,
    write_experiment,
)
from scalesearch.experiment.search import (
    LATTICE_STEP,
    OPTIMAL_TRIALS,
    PLANNED,
    REFERENCES,
    FailureSpec,
    Reference,
    SearchSpec,
    StopSpec,
    Tolerance,
)
from scalesearch.experiment.specs import DataSpec, Experiment

__all__ = [
    "FACTOR",
    "LATTICE_STEP",
    "OPTIMAL_TRIALS",
    "PLANNED",
    "REFERENCES",
    "BaselineSpec",
    "DataSpec",
    "Experiment",
    "FailureSpec",
    "PointSpec",
    "Reference",
    "SearchSpec",
    "StopSpec",
    "Tolerance",
    "differences",
    "experiment_from",
    "is_network_file",
    "named_baseline",
    "names_file",
    "network_from",
    "override",
    "own_baseline",
    "read_experiment",
    "read_experiments",
    "to_document",
    "write_experiment",
]
