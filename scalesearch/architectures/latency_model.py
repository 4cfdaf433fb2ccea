"""Latency of a network, predicted from its cost with constants of one machine.

Multiply-adds alone predict time poorly: a depthwise convolution has few of them and moves as much
memory as any other, and each block has a fixed launch cost. Activations stand for the memory moved
(arXiv:2003.13678), blocks for the launches. A sum of the three, each times a constant of the
machine, is linear, so the iso-cost grid predicts a million networks as it counts MACs.
"""

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from scalesearch.architectures.cost import Count, cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.errors import ArchitectureError

SCHEMA = "scalesearch/latency-model"
VERSION = 1

COEFFICIENT_FIELDS = (
    "seconds_per_mac",
    "seconds_per_activation",
    "seconds_per_block",
    "overhead_seconds",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyModel:
    """Seconds of one forward pass of ``batch_size`` images, linear in the pass's cost.

    ``seconds_per_mac``, ``seconds_per_activation``: for each of every image of the batch.
    ``seconds_per_block``, ``overhead_seconds``: for a block, and for a pass of any size. None is
    negative, so no network is predicted to be faster than a part of it.

    Origin: ``device``, by name, and the CPU ``threads`` of the measurement. ``median_error``:
    median of the relative errors, ``correlation``: that of the logarithms of predicted and
    measured seconds, each network predicted from the others alone.
    """

    seconds_per_mac: float
    seconds_per_activation: float
    seconds_per_block: float
    overhead_seconds: float
    batch_size: int = 1
    device: str = "cpu"
    threads: int = 1
    correlation: float | None = None
    median_error: float | None = None

    def __post_init__(self) -> None:
        problems = [
            f"{name}: need seconds of at least 0, got {value!r}"
            for name in COEFFICIENT_FIELDS
            if not _is_number(value := getattr(self, name)) or value < 0
        ]
        problems += [
            f"{name}: need a whole number of at least 1, got {value!r}"
            for name in ("batch_size", "threads")
            if type(value := getattr(self, name)) is not int or value < 1
        ]
        problems += [
            f"{name}: need a number, got {value!r}"
            for name in ("correlation", "median_error")
            if (value := getattr(self, name)) is not None and not _is_number(value)
        ]
        if not problems and not (self.seconds_per_mac or self.seconds_per_activation):
            problems.append(
                "seconds_per_mac, seconds_per_activation: need one above 0, or width and "
                "resolution would take no time; got 0.0 for both"
            )
        if problems:
            raise ValueError("\n".join(problems))

    def predicted_seconds(self, architecture: Architecture | CustomModel) -> float:
        """Seconds of one forward pass of the batch.

        Raises ArchitectureError for a custom model, whose blocks are not known.
        """
        if isinstance(architecture, CustomModel):
            raise ArchitectureError(
                f"baseline {architecture.factory}: latency is predicted from a network's blocks, "
                "which code does not tell; write its stages as YAML, or take another measure"
            )
        network_cost = cost(architecture)
        return float(
            self.seconds(network_cost.macs, network_cost.activations, architecture.num_blocks)
        )

    def seconds(self, macs: Count, activations: Count, blocks: int) -> Count:
        """Seconds from the cost of one image: numbers, or arrays for many networks.

        Both are summed in the same order, so a grid's seconds equal a network's to the last bit.
        """
        return (
            macs * self.batch_size * self.seconds_per_mac
            + activations * self.batch_size * self.seconds_per_activation
            + (blocks * self.seconds_per_block + self.overhead_seconds)
        )


def latency_document(model: LatencyModel, networks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a model as JSON values.

    ``latency``: its fields, as ``budget.latency`` of an experiment takes them. ``networks``: the
    networks it was fitted to.
    """
    return {"schema": SCHEMA, "version": VERSION, "latency": asdict(model), "networks": networks}


def read_latency_model(path: str | Path) -> LatencyModel:
    """Read a model that ``scalesearch fit-latency`` wrote.

    Raises ArchitectureError for another file, with the field that breaks a rule.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArchitectureError(
            f"{path}: no such file; `scalesearch fit-latency NAME --out {path}` makes it"
        ) from None
    except (OSError, ValueError) as error:
        raise ArchitectureError(f"{path}: cannot be read as JSON: {error}") from error
    latency_fields = document.get("latency") if isinstance(document, dict) else None
    if not isinstance(latency_fields, dict):
        raise ArchitectureError(
            f"{path}: need a document of schema {SCHEMA!r} with its `latency`, got none; "
            "`scalesearch fit-latency NAME` makes one"
        )
    known_fields = {field.name for field in fields(LatencyModel)}
    problems = [f"{name}: unknown key" for name in sorted(set(latency_fields) - known_fields)]
    problems += [
        f"{name}: this key is required" for name in COEFFICIENT_FIELDS if name not in latency_fields
    ]
    try:
        if not problems:
            return LatencyModel(**latency_fields)
    except ValueError as error:
        problems = str(error).splitlines()
    raise ArchitectureError("\n".join(f"{path}: latency.{problem}" for problem in problems))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)


CountedMeasure: TypeAlias = Literal["macs", "params", "activations"]
Measure: TypeAlias = Literal["macs", "params", "activations", "latency"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


def cost_in_measure(
    architecture: Architecture | CustomModel, measure: Measure, latency: LatencyModel | None = None
) -> float:
    """Cost of a network in a measure: an integer, or predicted seconds.

    Raises ValueError for latency without a model, ArchitectureError for latency of a custom model.
    """
    if measure == "latency":
        return require_latency_model(latency).predicted_seconds(architecture)
    counted: int = getattr(cost(architecture), measure)
    return counted


def require_latency_model(latency: LatencyModel | None) -> LatencyModel:
    """Return the model. Raises ValueError if it is None, with the way to get one."""
    if latency is None:
        raise ValueError(
            "latency: need a latency model to predict it, got none; `scalesearch fit-latency NAME "
            "--out FILE.json` measures one on this machine"
        )
    return latency
