"""Coefficients of a family: the paper's, three numbers, or a search's answer."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import (
    architecture_from_document,
    baseline_from_architecture,
    named_baseline,
)
from scalesearch.errors import ExperimentError
from scalesearch.families.members import FamilyMode
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.published import PAPER_COEFFICIENTS, SCHEMES
from scalesearch.scaling.rounding import Rounding, rounding_from

MULTIPLIER_KEYS = ("width", "depth")
COUNT_KEYS = ("resolution", "stem_stride", "in_channels", "num_classes")
"""Settings of the baseline that a file may contain."""


@dataclass(frozen=True, slots=True)
class FamilySource:
    """Coefficients, the baseline they were found on, and the usual mode of scaling."""

    coefficients: Coefficients
    baseline: Architecture | CustomModel
    factor: float = 2.0
    rounding: Rounding | None = None
    mode: FamilyMode = "matched"


def read_family_source(
    source: str, baseline: Architecture | CustomModel | None = None
) -> FamilySource:
    """Read ``published``, a scheme, ``ALPHA,BETA,GAMMA``, or a ``coefficients.json``.

    Schemes are ``published.SCHEMES``. The baseline is ``baseline``, else the one that the file
    names, else EfficientNet-B0. Raises ExperimentError that names the source and the broken rule.
    """
    if source == "published":
        return FamilySource(
            PAPER_COEFFICIENTS, baseline or named_baseline("efficientnet_b0"), mode="published"
        )
    if source in SCHEMES:
        return FamilySource(
            SCHEMES[source].coefficients(), baseline or named_baseline("efficientnet_b0")
        )
    if re.fullmatch(r"[-+.\deE\s]*,[-+.\deE\s,]*", source):
        return FamilySource(
            _parse_coefficients(source), baseline or named_baseline("efficientnet_b0")
        )
    document = _read_json(Path(source))
    location = f"{source}: "
    budget = document.get("budget")
    budget = budget if isinstance(budget, Mapping) else {}
    return FamilySource(
        _to_coefficients(document, location),
        baseline or _to_baseline(document.get("baseline", {}), location),
        factor=_read_number(budget, "factor", f"{location}budget.") if "factor" in budget else 2.0,
        rounding=_to_rounding(budget.get("rounding"), location),
    )


def parse_phis(text: str) -> tuple[float, ...]:
    """Read ``0..7`` in steps of one, or a list such as ``0,0.5,1``."""
    start, dots, stop = text.partition("..")
    try:
        if dots:
            phis = tuple(float(phi) for phi in range(int(start), int(stop) + 1))
        else:
            phis = tuple(float(phi) for phi in text.split(","))
    except ValueError:
        phis = ()
    if not phis:
        raise ExperimentError(f"--phi: need a range (0..7) or a list (0,0.5,1), got {text!r}")
    return phis


def _parse_coefficients(text: str) -> Coefficients:
    try:
        alpha, beta, gamma = (float(number) for number in text.split(","))
        return Coefficients(alpha, beta, gamma)
    except ValueError as error:
        raise ExperimentError(
            f"coefficients: need three numbers above 0, ALPHA,BETA,GAMMA, got {text!r}"
        ) from error


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExperimentError(
            f"{path}: no such file; SOURCE is `published`, three numbers such as 1.2,1.1,1.15, or "
            "the path of a coefficients.json"
        ) from None
    except OSError as error:
        raise ExperimentError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ExperimentError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise ExperimentError(
            f"{path}: need an object with alpha, beta and gamma, got {document!r}"
        )
    return document


def _to_coefficients(document: Mapping[str, Any], location: str) -> Coefficients:
    alpha, beta, gamma = (
        _read_number(document, name, location) for name in ("alpha", "beta", "gamma")
    )
    try:
        return Coefficients(alpha, beta, gamma)
    except ValueError as error:
        raise ExperimentError(f"{location}{error}") from error


def _to_baseline(spec: Any, location: str) -> Architecture | CustomModel:
    if not isinstance(spec, Mapping):
        raise ExperimentError(f"{location}baseline: need an object such as {{'width': 0.25}}")
    known_keys = {"name", "network", *MULTIPLIER_KEYS, *COUNT_KEYS}
    if unknown_keys := sorted(set(spec) - known_keys):
        raise ExperimentError(
            f"{location}baseline: unknown key {', '.join(unknown_keys)}; known are "
            f"{', '.join(sorted(known_keys))}"
        )
    options = {name: value for name, value in spec.items() if value is not None}
    name, network = options.pop("name", "efficientnet_b0"), options.pop("network", None)
    for option in options:
        value = _read_number(spec, option, f"{location}baseline.")
        if value <= 0 or (option in COUNT_KEYS and value != int(value)):
            kind = "whole number" if option in COUNT_KEYS else "number"
            raise ExperimentError(
                f"{location}baseline.{option}: need a {kind} above 0, got {value!r}"
            )
    if network is not None:
        return baseline_from_architecture(
            str(name), architecture_from_document(network, f"{location}baseline.network"), **options
        )
    return named_baseline(str(name), **options)


def _to_rounding(spec: Any, location: str) -> Rounding | None:
    try:
        return None if spec is None else rounding_from(spec)
    except ValueError as error:
        raise ExperimentError(f"{location}budget.rounding: {error}") from error


def _read_number(document: Mapping[str, Any], name: str, location: str) -> float:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ExperimentError(f"{location}{name}: need a number, got {value!r}")
    return value
