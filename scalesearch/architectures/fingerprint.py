"""A name for a network that follows from its content alone."""

import hashlib
import json
from dataclasses import MISSING, fields
from typing import Any

from scalesearch.architectures.custom import CustomModel, inspect_custom_model
from scalesearch.architectures.stages import Architecture, Stage

VERSION = 1


def fingerprint(architecture: Architecture | CustomModel) -> str:
    """Sixteen hexadecimal digits, equal on every machine, process and version of Python.

    The SHA-256 of a versioned canonical JSON that leaves default values out, so that a field
    added later does not rename the networks of before. A foreign network's name follows from what
    its code makes, so that multipliers which give the same network give the same name.
    """
    if isinstance(architecture, CustomModel):
        return inspect_custom_model(architecture).fingerprint
    document = {"version": VERSION, "architecture": to_json(architecture)}
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def to_json(part: Architecture | CustomModel | Stage) -> dict[str, Any]:
    """The fields that differ from their defaults, as JSON values; ``from_json`` reads it back."""
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
    """The architecture that ``to_json`` wrote."""
    if "factory" in document:
        return CustomModel(**document)
    stages = tuple(Stage(**stage) for stage in document["stages"])
    return Architecture(**{**document, "stages": stages})
