"""What a person names as the origin of a family: the paper, three numbers, or a search's answer."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.architectures import Architecture, Foreign
from scalesearch.errors import ExperimentError
from scalesearch.experiment import named_baseline, network_from, own_baseline
from scalesearch.family.members import Mode
from scalesearch.published import PAPER, SCHEMES
from scalesearch.rounding import Rounding, rounding_from
from scalesearch.scaling import Coefficients

MULTIPLIERS = ("width", "depth")
COUNTS = ("resolution", "stem_stride", "in_channels", "num_classes")
"""What a file may say about its baseline."""


@dataclass(frozen=True, slots=True)
class Source:
    """Coefficients, the baseline they were found on, and how one would usually scale it by them."""

    coefficients: Coefficients
    baseline: Architecture | Foreign
    factor: float = 2.0
    rounding: Rounding | None = None
    mode: Mode = "matched"


def read_source(source: str, on: Architecture | Foreign | None = None) -> Source:
    """``published``, a scheme (``published.SCHEMES``), ``ALPHA,BETA,GAMMA``, or the path of a
    ``coefficients.json``.

    The baseline is ``on``, or else the one that the file names, or else EfficientNet-B0. Raises
    ExperimentError that names the source and the rule it breaks.
    """
    if source == "published":
        return Source(PAPER, on or named_baseline("efficientnet_b0"), mode="published")
    if source in SCHEMES:
        return Source(SCHEMES[source].coefficients(), on or named_baseline("efficientnet_b0"))
    if re.fullmatch(r"[-+.\deE\s]*,[-+.\deE\s,]*", source):
        return Source(_three_numbers(source), on or named_baseline("efficientnet_b0"))
    document = _read_json(Path(source))
    where = f"{source}: "
    budget = document.get("budget")
    budget = budget if isinstance(budget, Mapping) else {}
    return Source(
        _coefficients(document, where),
        on or _baseline(document.get("baseline", {}), where),
        factor=_number(budget, "factor", f"{where}budget.") if "factor" in budget else 2.0,
        rounding=_rounding(budget.get("rounding"), where),
    )


def parse_phis(text: str) -> tuple[float, ...]:
    """``0..7`` in steps of one, or a list such as ``0,0.5,1``."""
    first, dots, last = text.partition("..")
    try:
        if dots:
            phis = tuple(float(phi) for phi in range(int(first), int(last) + 1))
        else:
            phis = tuple(float(phi) for phi in text.split(","))
    except ValueError:
        phis = ()
    if not phis:
        raise ExperimentError(f"--phi: need a range (0..7) or a list (0,0.5,1), got {text!r}")
    return phis


def _three_numbers(text: str) -> Coefficients:
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


def _coefficients(document: Mapping[str, Any], where: str) -> Coefficients:
    alpha, beta, gamma = (_number(document, name, where) for name in ("alpha", "beta", "gamma"))
    try:
        return Coefficients(alpha, beta, gamma)
    except ValueError as error:
        raise ExperimentError(f"{where}{error}") from error


def _baseline(spec: Any, where: str) -> Architecture | Foreign:
    if not isinstance(spec, Mapping):
        raise ExperimentError(f"{where}baseline: need an object such as {{'width': 0.25}}")
    known = {"name", "network", *MULTIPLIERS, *COUNTS}
    if unknown := sorted(set(spec) - known):
        raise ExperimentError(
            f"{where}baseline: unknown key {', '.join(unknown)}; known are "
            f"{', '.join(sorted(known))}"
        )
    given = {name: value for name, value in spec.items() if value is not None}
    name, network = given.pop("name", "efficientnet_b0"), given.pop("network", None)
    for option in given:
        value = _number(spec, option, f"{where}baseline.")
        if value <= 0 or (option in COUNTS and value != int(value)):
            kind = "whole number" if option in COUNTS else "number"
            raise ExperimentError(f"{where}baseline.{option}: need a {kind} above 0, got {value!r}")
    if network is not None:
        return own_baseline(str(name), network_from(network, f"{where}baseline.network"), **given)
    return named_baseline(str(name), **given)


def _rounding(spec: Any, where: str) -> Rounding | None:
    try:
        return None if spec is None else rounding_from(spec)
    except ValueError as error:
        raise ExperimentError(f"{where}budget.rounding: {error}") from error


def _number(document: Mapping[str, Any], name: str, where: str) -> float:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ExperimentError(f"{where}{name}: need a number, got {value!r}")
    return value
