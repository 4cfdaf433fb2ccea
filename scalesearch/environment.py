"""Where a number was made: versions, processor, device and commit."""

import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from scalesearch.errors import SearchError

PACKAGES = ("scalesearch", "torch", "optuna", "numpy", "pandas", "scikit-learn", "fvcore")


def environment(device: str) -> dict[str, Any]:
    """Facts about this machine and installation, as JSON values. No host name, no path."""
    return {
        "device": device,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": commit(),
    }


def read_environment(path: Path) -> dict[str, Any]:
    """What a search wrote down of where, and on which data, it was begun.

    Raises SearchError where the file is missing or torn.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SearchError(f"{path}: missing; it belongs to the records beside it") from None
    except (OSError, ValueError) as error:
        raise SearchError(f"{path}: not valid JSON: {error}") from error
    if missing := {"data", "device", "commit"} - set(found):
        raise SearchError(f"{path}: need the keys {', '.join(sorted(missing))}, which are missing")
    return found


def commit() -> str:
    """The commit of the source that runs, with ``+`` where files differ from it.

    Empty where scalesearch is not run from a git checkout.
    """
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return ""
    revision = _git(here, "rev-parse", "--short=12", "HEAD")
    changed = _git(here, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{revision}+" if revision and changed else revision


def _git(where: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=where, capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
