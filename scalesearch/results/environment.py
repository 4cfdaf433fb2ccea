"""The environment of a search: versions, processor, device and commit."""

import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from scalesearch.errors import SearchError

PACKAGES = ("scalesearch", "torch", "optuna", "numpy", "pandas", "scikit-learn", "fvcore")


def environment_info(device: str) -> dict[str, Any]:
    """Describe this machine and installation, without host name or paths."""
    return {
        "device": device,
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "commit": git_commit(),
    }


def read_environment(path: Path) -> dict[str, Any]:
    """Read the environment and data with which a search was started.

    Raises SearchError if the file is missing or incomplete.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SearchError(f"{path}: missing; it belongs to the records beside it") from None
    except (OSError, ValueError) as error:
        raise SearchError(f"{path}: not valid JSON: {error}") from error
    if missing := {"data", "device", "commit"} - set(document):
        raise SearchError(f"{path}: need the keys {', '.join(sorted(missing))}, which are missing")
    return document


def git_commit() -> str:
    """Return the commit of the running source, with ``+`` if files differ from it.

    Empty if scalesearch does not run from a git checkout.
    """
    package_folder = Path(__file__).resolve().parent
    if not (package_folder.parent / ".git").exists():
        return ""
    revision = _run_git(package_folder, "rev-parse", "--short=12", "HEAD")
    changes = _run_git(package_folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{revision}+" if revision and changes else revision


def _run_git(folder: Path, *arguments: str) -> str:
    try:
        result = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def package_version(package: str) -> str | None:
    """Return the version of an installed package; None if it is missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
