"""Fingerprints: names of networks that follow from their content alone."""

import hashlib
import json
from dataclasses import MISSING, fields
from typing import Any

from scalesearch.architectures.custom import CustomModel, inspect_custom_model
from scalesearch.architectures.stages import Architecture, Stage

VERSION = 1


def fingerprint(architecture: Architecture | CustomModel) -> str:
    """Sixteen hexadecimal digits, equal on every machine, process and Python version.

    The SHA-256 of a versioned canonical JSON without default values, so a field added later does
    not change the fingerprints of older networks. A custom model's fingerprint follows from what
    its code builds, so multipliers that give the same network give the same fingerprint.
    """
    if isinstance(architecture, CustomModel):
        return inspect_custom_model(architecture).fingerprint
    document = {"version": VERSION, "architecture": to_json(architecture)}
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def to_json(part: Architecture | CustomModel | Stage) -> dict[str, Any]:
    """Fields that differ from their defaults, as JSON values for ``from_json``."""
    document: dict[str, Any] = {}
    for field in fields(part):
        if not field.compare:
            continue
        value = getattr(part, field.name)
        if field.default is MISSING or value != field.default:
            document[field.name] = (
                [to_json(stage) for stage in value] if field.name == "stages" else value
            )
    return document


def from_json(document: dict[str, Any]) -> Architecture | CustomModel:
    """Architecture that ``to_json`` wrote."""
    if "factory" in document:
        return CustomModel(**document)
    stages = tuple(Stage(**stage) for stage in document["stages"])
    return Architecture(**{**document, "stages": stages})
