"""A family as a table, and as a JSON or YAML document that other programs read."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from scalesearch.architectures.fingerprint import fingerprint, to_json
from scalesearch.architectures.foreign import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.errors import ExportError
from scalesearch.family.members import Member, FamilyMode, family, mode_rounding
from scalesearch.files import write_text
from scalesearch.fvcore_count import fvcore_macs
from scalesearch.rounding import Rounding, rounding_spec
from scalesearch.scaling import Coefficients

SCHEMA = "scalesearch/family"
VERSION = 1
MAX_FVCORE_MACS = 10**11


def member_rows(members: Iterable[Member]) -> list[dict[str, Any]]:
    """One flat row for each member; ``depth`` and ``width`` are multipliers, ``resolution`` pixels.

    ``fvcore_macs`` is counted on the built network, a second or two for B7; None above
    ``CHECKED`` multiply-adds, where running it once takes longer than anyone waits.
    """
    return [
        {
            "name": member.name,
            "phi": member.phi,
            "depth": member.multipliers.depth,
            "width": member.multipliers.width,
            "resolution": member.architecture.resolution,
            "dropout": member.dropout,
            "drop_connect": member.drop_connect,
            "macs": member.cost.macs,
            "params": member.cost.params,
            "activations": member.cost.activations,
            "factor": member.factor,
            "deviation": member.deviation,
            "fvcore_macs": (
                fvcore_macs(member.architecture) if member.cost.macs <= MAX_FVCORE_MACS else None
            ),
        }
        for member in members
    ]


def family_document(
    coefficients: Coefficients,
    baseline: Architecture | CustomModel,
    *,
    mode: FamilyMode = "matched",
    phis: Iterable[float] = range(8),
    rounding: str | Mapping[str, Any] | Rounding | None = None,
    factor: float = 2.0,
) -> dict[str, Any]:
    """The family (see ``family``) with all that it follows from, as JSON values.

    ``members`` are the rows of ``to_table``, each with its ``fingerprint`` and ``architecture``,
    which ``architectures.fingerprint.from_json`` turns back into the network.
    """
    members = family(coefficients, baseline, mode=mode, phis=phis, rounding=rounding, factor=factor)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "coefficients": {
            "alpha": coefficients.alpha,
            "beta": coefficients.beta,
            "gamma": coefficients.gamma,
        },
        "factor": factor if mode == "matched" else coefficients.factor,
        "mode": mode,
        "rounding": rounding_spec(mode_rounding(mode, rounding)),
        "baseline": to_json(baseline),
        "members": [
            {
                **row,
                "fingerprint": fingerprint(member.architecture),
                "architecture": to_json(member.architecture),
            }
            for row, member in zip(member_rows(members), members, strict=True)
        ],
    }


def write_family(path: str | Path, document: dict[str, Any]) -> Path:
    """Write a family document as JSON or YAML, whichever the suffix names.

    Raises ExportError for another suffix, or where nothing can be written.
    """
    path = Path(path)
    if path.suffix == ".json":
        text = json.dumps(document, indent=2) + "\n"
    elif path.suffix in (".yaml", ".yml"):
        text = yaml.safe_dump(document, sort_keys=False)
    else:
        raise ExportError(f"{path}: a family is written as .json, .yaml or .yml; rename the file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror}") from error
    return path
