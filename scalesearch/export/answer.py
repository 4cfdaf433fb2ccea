"""``answer.json``: everything that is said about a search, for programs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scalesearch.analysis import Comparison, Conclusion, Optimum, Result, Stopped, Surface
from scalesearch.analysis.mixture import AXES
from scalesearch.files import write_text

SCHEMA = "scalesearch/answer"
VERSION = 1


def answer_document(found: Conclusion) -> dict[str, Any]:
    """A conclusion as JSON values; what is not known is null, and the notes say why."""
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "name": found.name,
        "sentence": found.sentence,
        "factor": found.factor,
        "epoch": found.epoch,
        "level": found.level,
        "candidates": found.candidates,
        "seeds": found.seeds,
        "costs": list(found.costs),
        **_optimum(found.optimum),
        "answer": None if found.answer is None else _result(found.answer),
        "recommended": (
            None if found.recommended is None else {**_result(found.recommended), "why": found.why}
        ),
        "same_network": {name: list(ends) for name, ends in (found.same_network or {}).items()},
        "surface": None if found.surface is None else _surface(found.surface),
        "comparisons": [_comparison(one) for one in found.comparisons],
        "power": None if found.power is None else asdict(found.power),
        "stopped": [_stopped(one) for one in found.stopped],
        "notes": list(found.notes),
    }


def write_answer(path: Path, document: dict[str, Any]) -> None:
    """Write the document, whole or not at all."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def _optimum(found: Optimum | None) -> dict[str, Any]:
    keys = ("estimate", "shares", "accuracy", "region", "flat", "deserves")
    if found is None:
        return dict.fromkeys(keys)
    accuracy = {"value": found.accuracy, "standard_error": found.standard_error}
    flat = {
        "part": found.flat_part,
        "p": found.p_flat,
        "candidates": list(found.flat_candidates),
    }
    return {
        "estimate": {name: asdict(one) for name, one in found.intervals.items()},
        "shares": {axis: asdict(found.share_intervals[axis]) for axis in AXES},
        "accuracy": accuracy,
        "region": [list(corner) for corner in found.region],
        "flat": flat,
        "deserves": found.deserves,
    }


def _result(one: Result) -> dict[str, Any]:
    effective = one.multipliers
    return {
        "candidate": one.candidate,
        "role": one.role,
        "shares": asdict(one.shares),
        "effective": {
            "alpha": effective.depth,
            "beta": effective.width,
            "gamma": effective.resolution,
        },
        "realised_factor": one.factor,
        "macs": one.macs,
        "params": one.params,
        "activations": one.activations,
        "accuracy": one.accuracy,
        "standard_error": one.standard_error,
        "trained_seeds": one.seeds,
    }


def _surface(found: Surface) -> dict[str, Any]:
    return {
        "kind": found.kind,
        # A kind that a candidate alone holds up has no error of its own.
        "errors": {
            kind: None if error == float("inf") else error for kind, error in found.errors.items()
        },
        "lack_of_fit": {degree: asdict(test) for degree, test in found.lack_of_fit.items()},
    }


def _comparison(one: Comparison) -> dict[str, Any]:
    values = asdict(one)
    return {"with": values.pop("reference"), **values}


def _stopped(one: Stopped) -> dict[str, Any]:
    return asdict(one)
