"""``answer.json`` and ``coefficients.json``: the conclusion of a search as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scalesearch.analysis.comparisons import Comparison
from scalesearch.analysis.conclusion import Conclusion
from scalesearch.analysis.optimum import Optimum
from scalesearch.analysis.polynomials import AXES
from scalesearch.analysis.response_model import ResponseModel
from scalesearch.analysis.summary import CandidateResult, Summary
from scalesearch.architectures.cost import cost
from scalesearch.config.experiment import Experiment
from scalesearch.io import to_document
from scalesearch.scaling.coefficients import Coefficients

VERSION = 1
"""Version of both files."""


def conclusion_document(conclusion: Conclusion) -> dict[str, Any]:
    """Return a conclusion as JSON values; unknown values are null."""
    return {
        "schema": "scalesearch/answer",
        "version": VERSION,
        "name": conclusion.name,
        "sentence": conclusion.sentence,
        "factor": conclusion.factor,
        "epoch": conclusion.epoch,
        "level": conclusion.level,
        "candidates": conclusion.candidates,
        "seeds": conclusion.seeds,
        "costs": list(conclusion.cost_range),
        **_optimum_document(conclusion.optimum),
        "answer": None
        if conclusion.nearest_to_optimum is None
        else _result_document(conclusion.nearest_to_optimum),
        "recommended": (
            None
            if conclusion.recommended is None
            else {**_result_document(conclusion.recommended), "why": conclusion.reason}
        ),
        "same_network": {
            name: list(bounds)
            for name, bounds in (conclusion.equivalent_coefficients or {}).items()
        },
        "surface": None
        if conclusion.response_model is None
        else _surface_document(conclusion.response_model),
        "comparisons": [_comparison_document(item) for item in conclusion.comparisons],
        "power": None if conclusion.power is None else asdict(conclusion.power),
        "stopped": [asdict(candidate) for candidate in conclusion.stopped],
        "notes": list(conclusion.notes),
    }


def _optimum_document(optimum: Optimum | None) -> dict[str, Any]:
    keys = ("estimate", "shares", "accuracy", "region", "flat", "deserves")
    if optimum is None:
        return dict.fromkeys(keys)
    accuracy = {"value": optimum.accuracy, "standard_error": optimum.standard_error}
    flat_region = {
        "part": optimum.equivalent_fraction,
        "p": optimum.p_flat,
        "candidates": list(optimum.equivalent_candidates),
    }
    return {
        "estimate": {
            name: asdict(interval) for name, interval in optimum.coefficient_intervals.items()
        },
        "shares": {axis: asdict(optimum.share_intervals[axis]) for axis in AXES},
        "accuracy": accuracy,
        "region": [list(corner) for corner in optimum.region],
        "flat": flat_region,
        "deserves": optimum.share_probability,
    }


def _surface_document(surface: ResponseModel) -> dict[str, Any]:
    return {
        "kind": surface.kind,
        # The error is infinite if the fit depends on one candidate alone.
        "errors": {
            kind: None if error == float("inf") else error for kind, error in surface.errors.items()
        },
        "lack_of_fit": {degree: asdict(test) for degree, test in surface.lack_of_fit.items()},
    }


def _comparison_document(comparison: Comparison) -> dict[str, Any]:
    values = asdict(comparison)
    return {"with": values.pop("reference"), **values}


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
        "schema": "scalesearch/coefficients",
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
        **_nominal_result_document(summary.best),
        "references": {
            name: _nominal_result_document(result) for name, result in summary.references.items()
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


def _nominal_result_document(result: CandidateResult) -> dict[str, Any]:
    return _result_document(
        result, {"nominal": asdict(result.asked), "deviation": result.deviation}
    )


def _result_document(
    result: CandidateResult, nominal: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a candidate's shares, size and accuracy; ``nominal`` follows the shares."""
    multipliers = result.multipliers
    return {
        "candidate": result.candidate,
        "role": result.role,
        "shares": asdict(result.shares),
        "effective": {
            "alpha": multipliers.depth,
            "beta": multipliers.width,
            "gamma": multipliers.resolution,
        },
        **(nominal or {}),
        "realised_factor": result.factor,
        "macs": result.macs,
        "params": result.params,
        "activations": result.activations,
        "accuracy": result.accuracy,
        "standard_error": result.standard_error,
        "trained_seeds": result.seeds,
    }
