"""The packages and devices of this installation, and what is missing."""

import importlib
import os
from dataclasses import asdict
from typing import Any

from scalesearch.results.environment import environment_info, package_version

REQUIRED_PACKAGES = {
    "torch": "networks and training",
    "optuna": "samplers and the study of a search",
    "numpy": "the iso-cost set",
    "pandas": "records",
    "scipy": "fitted surfaces",
    "scikit-learn": "the digits data set",
    "pillow": "reading image folders",
    "pooch": "downloading data sets",
    "fvcore": "the independent count of multiply-adds",
    "matplotlib": "figures",
    "pydantic": "checking experiment files",
    "pyyaml": "reading experiment files",
    "typer": "the command line",
    "rich": "tables and progress",
}
"""Required packages by their name on PyPI, with their purpose."""

OPTIONAL_PACKAGES = {
    "kornia": "AutoAugment, RandAugment and TrivialAugment (scalesearch[augment])",
    "datasets": "data sets of the Hugging Face hub (scalesearch[huggingface])",
    "tensorboard": "scalesearch train --tensorboard (scalesearch[tensorboard])",
    "distributed": "workers on many machines, --executor dask (scalesearch[cluster])",
    "dask-jobqueue": "workers on Slurm (scalesearch[cluster])",
    "psycopg": "a study in PostgreSQL, --storage (scalesearch[postgres])",
    "optuna-dashboard": "scalesearch dashboard (scalesearch[dashboard])",
}
"""Optional packages, with what each adds."""


def installation_report() -> dict[str, Any]:
    """Describe the installation: environment, packages and number formats.

    ``missing`` names the packages that have to be installed. ``precision`` is the result of a short
    benchmark of number formats, None without torch.
    """
    packages = [
        {"package": name, "version": package_version(name), "needed_for": purpose}
        for name, purpose in REQUIRED_PACKAGES.items()
    ]
    usable_cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    return {
        **environment_info(_device_text()),
        "usable_cores": usable_cores,
        "packages": packages,
        "missing": [row["package"] for row in packages if row["version"] is None],
        "optional": [
            {"package": name, "version": package_version(name), "needed_for": purpose}
            for name, purpose in OPTIONAL_PACKAGES.items()
        ],
        "precision": _measured_precision(),
    }


def _measured_precision() -> dict[str, Any] | None:
    try:
        precision_bench = importlib.import_module("scalesearch.training.precision_bench")
        torch = importlib.import_module("torch")
    except (ImportError, OSError):
        return None
    return asdict(
        precision_bench.benchmark_precisions("cuda" if torch.cuda.is_available() else "cpu")
    )


def _device_text() -> str:
    """Name the device that training would use, or say why there is none."""
    try:
        # Imported here, so that a broken torch is reported.
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        return f"none: torch cannot be imported ({error})"
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return ", ".join(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(count))
    return f"cpu ({torch.get_num_threads()} threads; no CUDA device is visible)"
