"""``answer.json``: the conclusion of a search as JSON."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from scalesearch.analysis.comparisons import Comparison
from scalesearch.analysis.conclusion import Conclusion
from scalesearch.analysis.optimum import Optimum
from scalesearch.analysis.polynomials import AXES
from scalesearch.analysis.response_model import ResponseModel
from scalesearch.analysis.summary import CandidateResult
from scalesearch.io import write_json

SCHEMA = "scalesearch/answer"
VERSION = 1


def conclusion_document(conclusion: Conclusion) -> dict[str, Any]:
    """Return a conclusion as JSON values; unknown values are null."""
    return {
        "schema": SCHEMA,
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


def write_conclusion(path: Path, document: dict[str, Any]) -> None:
    """Write the document atomically."""
    write_json(path, document, allow_nan=False)


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


def _result_document(result: CandidateResult) -> dict[str, Any]:
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
        "realised_factor": result.factor,
        "macs": result.macs,
        "params": result.params,
        "activations": result.activations,
        "accuracy": result.accuracy,
        "standard_error": result.standard_error,
        "trained_seeds": result.seeds,
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
