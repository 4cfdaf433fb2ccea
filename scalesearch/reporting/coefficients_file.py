"""``coefficients.json``: the answer with everything needed to judge and to repeat it."""

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
    """``by``: whose coefficients these are. ``fitted``: the optimum whose intervals stand beside
    them, None without a surface."""

    coefficients: Coefficients
    chosen_by: str
    optimum: Optimum | None


def coefficients_document(
    summary: Summary,
    experiment: Experiment,
    environment: dict[str, Any],
    failures: Sequence[Mapping[str, Any]] = (),
    exported: ExportedCoefficients | None = None,
) -> dict[str, Any]:
    """The answer as JSON values.

    ``alpha``, ``beta``, ``gamma`` are ``found``'s coefficients, with a product
    alpha * beta^2 * gamma^2 of exactly the budget's factor; ``by`` says whose they are
    (``exported``, by default the highest mean's), and ``intervals`` hold the optimum's.
    ``candidate`` and what follows are of the network with the highest mean: ``effective`` are the
    multipliers it realises, and ``nominal`` the coefficients that were asked for.
    ``environment``: as ``environment.json`` holds it, with the facts about the data.
    ``failures``: candidates that could not be trained, as ``failures.json`` holds them.
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
            "stem_stride": getattr(baseline, "stem_stride", None),  # code has none to tell
        },
        "baseline_cost": asdict(cost(baseline)),
        "data": {**experiment_document["data"], **data},
        "recipe": experiment_document["recipe"],
        "environment": {key: value for key, value in environment.items() if key != "data"},
        "commit": environment["commit"],
    }


def _interval_document(optimum: Optimum) -> dict[str, Any]:
    """Bounds of each coefficient, and how often they hold the true one."""
    bounds = {
        name: [interval.low, interval.high]
        for name, interval in optimum.coefficient_intervals.items()
    }
    return {"confidence": 1 - optimum.level, **bounds}


def write_coefficients(path: Path, document: dict[str, Any]) -> None:
    """Write the document, whole or not at all."""
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
