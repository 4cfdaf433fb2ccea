"""scalesearch: the search behind compound scaling, for anyone's baseline, data and hardware.

Public names are loaded when they are first used: ``import scalesearch`` loads neither torch nor
Optuna.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalesearch.analysis.conclusion import Conclusion, conclusion
    from scalesearch.analysis.summary import Summary, summarize
    from scalesearch.architectures.baselines import baseline
    from scalesearch.architectures.cost import Cost, cost
    from scalesearch.architectures.custom import CustomModel
    from scalesearch.architectures.fingerprint import fingerprint
    from scalesearch.architectures.latency_model import LatencyModel
    from scalesearch.architectures.scaled import scale
    from scalesearch.architectures.stages import Architecture, Stage
    from scalesearch.benchmarking.latency_fit import fit_latency
    from scalesearch.candidates.budget import Budget
    from scalesearch.candidates.iso_cost import Candidate, iso_cost_set
    from scalesearch.config.experiment import Experiment
    from scalesearch.config.reading import read_experiment
    from scalesearch.config.recipe import Recipe
    from scalesearch.deploy.classifier import Classifier
    from scalesearch.deploy.pretrained.from_source import from_pretrained
    from scalesearch.families.members import Member, family
    from scalesearch.models.custom_model import code_allowed
    from scalesearch.models.network import build_model
    from scalesearch.reporting.folder_conclusion import conclusion_of_folder
    from scalesearch.reporting.page import write_report
    from scalesearch.reporting.update import write_results
    from scalesearch.results.records import read_records
    from scalesearch.results.scaling_table import scaling_table
    from scalesearch.scaling.coefficients import Coefficients, Multipliers, Shares
    from scalesearch.scaling.rounding import Rounding
    from scalesearch.search.driver import run_search

_MODULES = {
    "Architecture": "architectures.stages",
    "Budget": "candidates.budget",
    "Candidate": "candidates.iso_cost",
    "Classifier": "deploy.classifier",
    "Coefficients": "scaling.coefficients",
    "Conclusion": "analysis.conclusion",
    "Cost": "architectures.cost",
    "CustomModel": "architectures.custom",
    "Experiment": "config.experiment",
    "LatencyModel": "architectures.latency_model",
    "Member": "families.members",
    "Multipliers": "scaling.coefficients",
    "Recipe": "config.recipe",
    "Rounding": "scaling.rounding",
    "Shares": "scaling.coefficients",
    "Stage": "architectures.stages",
    "Summary": "analysis.summary",
    "baseline": "architectures.baselines",
    "build_model": "models.network",
    "code_allowed": "models.custom_model",
    "conclusion": "analysis.conclusion",
    "conclusion_of_folder": "reporting.folder_conclusion",
    "cost": "architectures.cost",
    "family": "families.members",
    "fingerprint": "architectures.fingerprint",
    "fit_latency": "benchmarking.latency_fit",
    "from_pretrained": "deploy.pretrained.from_source",
    "iso_cost_set": "candidates.iso_cost",
    "read_experiment": "config.reading",
    "read_records": "results.records",
    "run_search": "search.driver",
    "scale": "architectures.scaled",
    "scaling_table": "results.scaling_table",
    "summarize": "analysis.summary",
    "write_report": "reporting.page",
    "write_results": "reporting.update",
}

__all__ = [
    "Architecture",
    "Budget",
    "Candidate",
    "Classifier",
    "Coefficients",
    "Conclusion",
    "Cost",
    "CustomModel",
    "Experiment",
    "LatencyModel",
    "Member",
    "Multipliers",
    "Recipe",
    "Rounding",
    "Shares",
    "Stage",
    "Summary",
    "baseline",
    "build_model",
    "code_allowed",
    "conclusion",
    "conclusion_of_folder",
    "cost",
    "family",
    "fingerprint",
    "fit_latency",
    "from_pretrained",
    "iso_cost_set",
    "read_experiment",
    "read_records",
    "run_search",
    "scale",
    "scaling_table",
    "summarize",
    "write_report",
    "write_results",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'scalesearch' has no attribute {name!r}")
    return getattr(importlib.import_module(f"scalesearch.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
