"""``coefficients.json``: the answer with everything needed to judge and to repeat it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scalesearch.analysis.answer import Answer, Result
from scalesearch.analysis.optimum import Optimum
from scalesearch.architectures import cost
from scalesearch.experiment import Experiment, to_document
from scalesearch.files import write_text
from scalesearch.scaling import Coefficients

SCHEMA = "scalesearch/coefficients"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Exported:
    """``by``: whose coefficients these are. ``fitted``: the optimum whose intervals stand beside
    them, None without a surface."""

    coefficients: Coefficients
    by: str
    fitted: Optimum | None


def coefficients_document(
    found: Answer,
    experiment: Experiment,
    environment: dict[str, Any],
    failures: Sequence[Mapping[str, Any]] = (),
    exported: Exported | None = None,
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
    resolved = to_document(experiment)
    data = environment["data"]
    shape = {"in_channels": data["channels"], "num_classes": len(data["classes"])}
    baseline = experiment.baseline.build(**shape)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "name": experiment.name,
        "alpha": found.coefficients.alpha,
        "beta": found.coefficients.beta,
        "gamma": found.coefficients.gamma,
        "by": "highest mean" if exported is None else exported.by,
        "intervals": _intervals(exported.fitted) if exported and exported.fitted else None,
        "factor": experiment.budget.factor,
        **_result(found.best),
        "references": {name: _result(result) for name, result in found.references.items()},
        "candidates": found.candidates,
        "failures": list(failures),
        "epoch": found.epoch,
        "seeds": list(experiment.seeds),
        "budget": resolved["budget"],
        "rounding": asdict(experiment.budget.profile),
        "baseline": {
            **resolved["baseline"],
            **shape,
            "resolution": baseline.resolution,
            "stem_stride": getattr(baseline, "stem_stride", None),  # code has none to tell
        },
        "baseline_cost": asdict(cost(baseline)),
        "data": {**resolved["data"], **data},
        "recipe": resolved["recipe"],
        "environment": {key: value for key, value in environment.items() if key != "data"},
        "commit": environment["commit"],
    }


def _intervals(fitted: Optimum) -> dict[str, Any]:
    """Bounds of each coefficient, and how often they hold the true one."""
    bounds = {name: [one.low, one.high] for name, one in fitted.intervals.items()}
    return {"confidence": 1 - fitted.level, **bounds}


def write_coefficients(path: Path, document: dict[str, Any]) -> None:
    """Write the document, whole or not at all."""
    write_text(path, json.dumps(document, indent=2) + "\n")


def _result(result: Result) -> dict[str, Any]:
    effective, asked = result.multipliers, result.asked
    return {
        "candidate": result.candidate,
        "role": result.role,
        "shares": asdict(result.shares),
        "effective": {
            "alpha": effective.depth,
            "beta": effective.width,
            "gamma": effective.resolution,
        },
        "nominal": asdict(asked),
        "deviation": result.deviation,
        "realised_factor": result.factor,
        "macs": result.macs,
        "params": result.params,
        "activations": result.activations,
        "accuracy": result.accuracy,
        "standard_error": result.standard_error,
        "trained_seeds": result.seeds,
    }
