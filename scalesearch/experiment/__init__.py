"""One YAML file -> one Experiment."""

from scalesearch.experiment.baselines import (
    BaselineSpec,
    is_network_file,
    named_baseline,
    is_yaml_name,
    architecture_from_document,
    baseline_from_architecture,
)
from scalesearch.experiment.points import PointSpec
from scalesearch.experiment.reading import (
    FACTOR_INFIX,
    experiment_differences,
    experiment_from_document,
    apply_override,
    read_experiment,
    read_experiments,
    to_document,
    write_experiment,
)
from scalesearch.experiment.search import (
    LATTICE_STEP,
    OPTIMAL_TRIALS,
    PLANNED_SAMPLERS,
    REFERENCES,
    FailureSpec,
    Reference,
    SearchSpec,
    StopSpec,
    FailureLimit,
)
from scalesearch.experiment.specs import DataSpec, Experiment

__all__ = [
    "FACTOR_INFIX",
    "LATTICE_STEP",
    "OPTIMAL_TRIALS",
    "PLANNED_SAMPLERS",
    "REFERENCES",
    "BaselineSpec",
    "DataSpec",
    "Experiment",
    "FailureSpec",
    "PointSpec",
    "Reference",
    "SearchSpec",
    "StopSpec",
    "FailureLimit",
    "experiment_differences",
    "experiment_from_document",
    "is_network_file",
    "named_baseline",
    "is_yaml_name",
    "architecture_from_document",
    "apply_override",
    "baseline_from_architecture",
    "read_experiment",
    "read_experiments",
    "to_document",
    "write_experiment",
]
