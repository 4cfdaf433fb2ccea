"""scalesearch: the search behind compound scaling, for anyone's baseline, data and hardware.

Public names are loaded when they are first used: ``import scalesearch`` loads neither torch nor
Optuna. The two verbs that share their package's name are imported from it:
``from scalesearch.search import search``, ``from scalesearch.family import family``.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalesearch.analysis import Summary, Conclusion, summarize, conclusion
    from scalesearch.architectures import Architecture, Cost, CustomModel, Stage, baseline, cost, scale
    from scalesearch.architectures.budget import Budget
    from scalesearch.architectures.fingerprint import fingerprint
    from scalesearch.architectures.isocost import Candidate, iso_cost_set
    from scalesearch.architectures.latency_model import LatencyModel
    from scalesearch.experiment import Experiment, read_experiment
    from scalesearch.family import Member
    from scalesearch.latency import fit_latency
    from scalesearch.nets import build_model, code_allowed
    from scalesearch.predict import Classifier
    from scalesearch.recipe import Recipe
    from scalesearch.records import read_records
    from scalesearch.report import conclusion_of_folder, write_report, write_results
    from scalesearch.rounding import Rounding
    from scalesearch.scaling import Coefficients, Multipliers, Shares
    from scalesearch.tabular import scaling_table
    from scalesearch.weights import from_pretrained

_MODULES = {
    "Answer": "analysis",
    "Architecture": "architectures",
    "Budget": "architectures.budget",
    "Candidate": "architectures.isocost",
    "Classifier": "predict",
    "Coefficients": "scaling",
    "Conclusion": "analysis",
    "Cost": "architectures",
    "Experiment": "experiment",
    "Foreign": "architectures",
    "LatencyModel": "architectures.latency_model",
    "Member": "family",
    "Multipliers": "scaling",
    "Recipe": "recipe",
    "Rounding": "rounding",
    "Shares": "scaling",
    "Stage": "architectures",
    "answer": "analysis",
    "baseline": "architectures",
    "build": "nets",
    "calibrate": "latency",
    "code_allowed": "nets",
    "concluded": "report",
    "conclusion": "analysis",
    "cost": "architectures",
    "fingerprint": "architectures.fingerprint",
    "from_pretrained": "weights",
    "isocost": "architectures.isocost",
    "read_experiment": "experiment",
    "read_records": "records",
    "scaled": "architectures",
    "scaling_table": "tabular",
    "write_report": "report",
    "write_results": "report",
}

__all__ = [
    "Summary",
    "Architecture",
    "Budget",
    "Candidate",
    "Classifier",
    "Coefficients",
    "Conclusion",
    "Cost",
    "Experiment",
    "CustomModel",
    "LatencyModel",
    "Member",
    "Multipliers",
    "Recipe",
    "Rounding",
    "Shares",
    "Stage",
    "summarize",
    "baseline",
    "build_model",
    "fit_latency",
    "code_allowed",
    "conclusion_of_folder",
    "conclusion",
    "cost",
    "fingerprint",
    "from_pretrained",
    "iso_cost_set",
    "read_experiment",
    "read_records",
    "scale",
    "scaling_table",
    "write_report",
    "write_results",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'scalesearch' has no attribute {name!r}")
    return getattr(importlib.import_module(f"scalesearch.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
