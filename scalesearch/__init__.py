"""scalesearch: search how to scale a network, for your data and hardware.

Public names are loaded at their first use: ``import scalesearch`` loads neither torch nor Optuna.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalesearch.ablations.ablation_prose import table_rows
    from scalesearch.ablations.spec import read_ablation
    from scalesearch.analysis.conclusion import Conclusion
    from scalesearch.analysis.drift import epoch_drift
    from scalesearch.analysis.proxy_check import epoch_rank_correlation
    from scalesearch.analysis.response_model import fit_response_model
    from scalesearch.api.costs import (
        explain_family,
        family_table,
        fit_latency,
        iso_cost_table,
        network_cost,
        solve_target,
    )
    from scalesearch.api.exports import export_model
    from scalesearch.api.network_lookup import read_named_network
    from scalesearch.api.paper_comparisons import (
        ablation_dry_runs,
        ablation_table,
        run_ablation,
        simulate,
    )
    from scalesearch.api.predicting import calibrate_probabilities, predict_images
    from scalesearch.api.search_reports import (
        check_proxy,
        confirm,
        fit_scaling_laws,
        summarize,
        write_report,
    )
    from scalesearch.api.searches import (
        SearchResult,
        dry_run,
        extend_search,
        invalidate_results,
        open_dashboard,
        read_status,
        resume_search,
        retry_failures,
        run_factor_searches,
        run_search,
    )
    from scalesearch.api.timings import NetworkComparison, compare_networks, time_networks
    from scalesearch.api.training_runs import TrainingResult, train_model
    from scalesearch.api.weight_imports import fetch_pretrained, import_network, pretrained_table
    from scalesearch.api.worker_config import WorkerConfig
    from scalesearch.architectures.baselines import baseline, baseline_table
    from scalesearch.architectures.cost import cost
    from scalesearch.architectures.custom import CustomModel
    from scalesearch.architectures.fingerprint import fingerprint
    from scalesearch.architectures.latency_model import LatencyModel
    from scalesearch.architectures.scaled import scale
    from scalesearch.architectures.stages import Architecture, Stage
    from scalesearch.architectures.totals import Cost
    from scalesearch.candidates.budget import Budget
    from scalesearch.candidates.iso_cost import Candidate, iso_cost_set
    from scalesearch.config.experiment import Experiment
    from scalesearch.config.reading import read_experiment, read_experiments
    from scalesearch.config.recipe import Recipe
    from scalesearch.deploy.classifier import Classifier
    from scalesearch.deploy.pretrained.from_source import from_pretrained
    from scalesearch.families.members import Member, family
    from scalesearch.families.solution import solve
    from scalesearch.figures.proxy_matrix import rank_correlation_figure, rank_correlation_matrix
    from scalesearch.figures.simplex import simplex, simplex_figure
    from scalesearch.figures.ternary import ternary, ternary_figure
    from scalesearch.models.custom_model import code_allowed
    from scalesearch.models.network import build_model
    from scalesearch.reporting.doctor import installation_report
    from scalesearch.reporting.update import write_results
    from scalesearch.results.records import read_records
    from scalesearch.results.scaling_table import scaling_table
    from scalesearch.scaling.coefficients import Coefficients, Multipliers, Shares
    from scalesearch.scaling.published import PUBLISHED_MODELS, TABLE_7
    from scalesearch.scaling.rounding import Rounding

_MODULES = {
    "PUBLISHED_MODELS": "scaling.published",
    "TABLE_7": "scaling.published",
    "Architecture": "architectures.stages",
    "Budget": "candidates.budget",
    "Candidate": "candidates.iso_cost",
    "Classifier": "deploy.classifier",
    "Coefficients": "scaling.coefficients",
    "Conclusion": "analysis.conclusion",
    "Cost": "architectures.totals",
    "CustomModel": "architectures.custom",
    "Experiment": "config.experiment",
    "LatencyModel": "architectures.latency_model",
    "Member": "families.members",
    "Multipliers": "scaling.coefficients",
    "NetworkComparison": "api.timings",
    "Recipe": "config.recipe",
    "Rounding": "scaling.rounding",
    "SearchResult": "api.searches",
    "Shares": "scaling.coefficients",
    "Stage": "architectures.stages",
    "TrainingResult": "api.training_runs",
    "WorkerConfig": "api.worker_config",
    "ablation_dry_runs": "api.paper_comparisons",
    "ablation_table": "api.paper_comparisons",
    "baseline": "architectures.baselines",
    "baseline_table": "architectures.baselines",
    "build_model": "models.network",
    "calibrate_probabilities": "api.predicting",
    "check_proxy": "api.search_reports",
    "code_allowed": "models.custom_model",
    "compare_networks": "api.timings",
    "confirm": "api.search_reports",
    "cost": "architectures.cost",
    "dry_run": "api.searches",
    "epoch_drift": "analysis.drift",
    "epoch_rank_correlation": "analysis.proxy_check",
    "explain_family": "api.costs",
    "export_model": "api.exports",
    "extend_search": "api.searches",
    "family": "families.members",
    "family_table": "api.costs",
    "fetch_pretrained": "api.weight_imports",
    "fingerprint": "architectures.fingerprint",
    "fit_latency": "api.costs",
    "fit_response_model": "analysis.response_model",
    "fit_scaling_laws": "api.search_reports",
    "from_pretrained": "deploy.pretrained.from_source",
    "import_network": "api.weight_imports",
    "installation_report": "reporting.doctor",
    "invalidate_results": "api.searches",
    "iso_cost_set": "candidates.iso_cost",
    "iso_cost_table": "api.costs",
    "network_cost": "api.costs",
    "open_dashboard": "api.searches",
    "predict_images": "api.predicting",
    "pretrained_table": "api.weight_imports",
    "rank_correlation_figure": "figures.proxy_matrix",
    "rank_correlation_matrix": "figures.proxy_matrix",
    "read_ablation": "ablations.spec",
    "read_experiment": "config.reading",
    "read_experiments": "config.reading",
    "read_named_network": "api.network_lookup",
    "read_records": "results.records",
    "read_status": "api.searches",
    "resume_search": "api.searches",
    "retry_failures": "api.searches",
    "run_ablation": "api.paper_comparisons",
    "run_factor_searches": "api.searches",
    "run_search": "api.searches",
    "scale": "architectures.scaled",
    "scaling_table": "results.scaling_table",
    "simplex": "figures.simplex",
    "simplex_figure": "figures.simplex",
    "simulate": "api.paper_comparisons",
    "solve": "families.solution",
    "solve_target": "api.costs",
    "summarize": "api.search_reports",
    "table_rows": "ablations.ablation_prose",
    "ternary": "figures.ternary",
    "ternary_figure": "figures.ternary",
    "time_networks": "api.timings",
    "train_model": "api.training_runs",
    "write_report": "api.search_reports",
    "write_results": "reporting.update",
}

__all__ = [
    "PUBLISHED_MODELS",
    "TABLE_7",
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
    "NetworkComparison",
    "Recipe",
    "Rounding",
    "SearchResult",
    "Shares",
    "Stage",
    "TrainingResult",
    "WorkerConfig",
    "ablation_dry_runs",
    "ablation_table",
    "baseline",
    "baseline_table",
    "build_model",
    "calibrate_probabilities",
    "check_proxy",
    "code_allowed",
    "compare_networks",
    "confirm",
    "cost",
    "dry_run",
    "epoch_drift",
    "epoch_rank_correlation",
    "explain_family",
    "export_model",
    "extend_search",
    "family",
    "family_table",
    "fetch_pretrained",
    "fingerprint",
    "fit_latency",
    "fit_response_model",
    "fit_scaling_laws",
    "from_pretrained",
    "import_network",
    "installation_report",
    "invalidate_results",
    "iso_cost_set",
    "iso_cost_table",
    "network_cost",
    "open_dashboard",
    "predict_images",
    "pretrained_table",
    "rank_correlation_figure",
    "rank_correlation_matrix",
    "read_ablation",
    "read_experiment",
    "read_experiments",
    "read_named_network",
    "read_records",
    "read_status",
    "resume_search",
    "retry_failures",
    "run_ablation",
    "run_factor_searches",
    "run_search",
    "scale",
    "scaling_table",
    "simplex",
    "simplex_figure",
    "simulate",
    "solve",
    "solve_target",
    "summarize",
    "table_rows",
    "ternary",
    "ternary_figure",
    "time_networks",
    "train_model",
    "write_report",
    "write_results",
]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'scalesearch' has no attribute {name!r}")
    return getattr(importlib.import_module(f"scalesearch.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
