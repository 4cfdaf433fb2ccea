"""``coefficients.json``: the coefficients of a search, and how to repeat it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scalesearch.analysis.optimum import Optimum
from scalesearch.analysis.summary import CandidateResult, Summary
from scalesearch.architectures.cost import cost
from scalesearch.config.experiment import Experiment
from scalesearch.io import to_document, write_json
from scalesearch.scaling.coefficients import Coefficients

SCHEMA = "scalesearch/coefficients"
VERSION = 1


@dataclass(frozen=True, slots=True)
class ExportedCoefficients:
    """The coefficients that a search exports."""

    coefficients: Coefficients
    chosen_by: str
    """The rule by which they were chosen."""
    optimum: Optimum | None
    """The optimum whose intervals are exported; None without a surface."""


def coefficients_document(
    summary: Summary,
    experiment: Experiment,
    environment: dict[str, Any],
    failures: Sequence[Mapping[str, Any]] = (),
    exported: ExportedCoefficients | None = None,
) -> dict[str, Any]:
    """Return the coefficients of a search as JSON values.

    ``alpha``, ``beta``, ``gamma`` are the summary's coefficients, whose product
    alpha * beta^2 * gamma^2 is exactly the budget's factor; ``by`` says how they were chosen
    (``exported``; by default, the highest mean), and ``intervals`` are those of the optimum.
    ``candidate`` and the following keys are of the network with the highest mean: ``effective`` are
    its multipliers, and ``nominal`` the coefficients it was made for.
    ``environment``: the contents of ``environment.json``, with the facts about the data.
    ``failures``: the contents of ``failures.json``, candidates that could not be trained.
    """
    experiment_document = to_document(experiment)
    data = environment["data"]
    input_and_output = {"in_channels": data["channels"], "num_classes": len(data["classes"])}
    baseline = experiment.baseline.build_architecture(**input_and_output)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "name": experiment.name,
        "alpha": summary.coefficients.alpha,
        "beta": summary.coefficients.beta,
        "gamma": summary.coefficients.gamma,
        "by": "highest mean" if exported is None else exported.chosen_by,
        "intervals": _interval_document(exported.optimum)
        if exported and exported.optimum
        else None,
        "factor": experiment.budget.factor,
        **_result_document(summary.best),
        "references": {
            name: _result_document(result) for name, result in summary.references.items()
        },
        "candidates": summary.candidates,
        "failures": list(failures),
        "epoch": summary.epoch,
        "seeds": list(experiment.seeds),
        "budget": experiment_document["budget"],
        "rounding": asdict(experiment.budget.rounding_profile),
        "baseline": {
            **experiment_document["baseline"],
            **input_and_output,
            "resolution": baseline.resolution,
            "stem_stride": getattr(baseline, "stem_stride", None),  # custom models have none
        },
        "baseline_cost": asdict(cost(baseline)),
        "data": {**experiment_document["data"], **data},
        "recipe": experiment_document["recipe"],
        "environment": {key: value for key, value in environment.items() if key != "data"},
        "commit": environment["commit"],
    }


def _interval_document(optimum: Optimum) -> dict[str, Any]:
    """Bounds of each coefficient, and their confidence."""
    bounds = {
        name: [interval.low, interval.high]
        for name, interval in optimum.coefficient_intervals.items()
    }
    return {"confidence": 1 - optimum.level, **bounds}


def write_coefficients(path: Path, document: dict[str, Any]) -> None:
    """Write the document atomically."""
    write_json(path, document)


def _result_document(result: CandidateResult) -> dict[str, Any]:
    multipliers, nominal = result.multipliers, result.asked
    return {
        "candidate": result.candidate,
        "role": result.role,
        "shares": asdict(result.shares),
        "effective": {
            "alpha": multipliers.depth,
            "beta": multipliers.width,
            "gamma": multipliers.resolution,
        },
        "nominal": asdict(nominal),
        "deviation": result.deviation,
        "realised_factor": result.factor,
        "macs": result.macs,
        "params": result.params,
        "activations": result.activations,
        "accuracy": result.accuracy,
        "standard_error": result.standard_error,
        "trained_seeds": result.seeds,
    }
