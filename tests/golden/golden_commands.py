"""Commands run as ``python -m scalesearch`` runs them, within this process."""

import contextlib
import io
import json
import os
import runpy
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from golden_compare import frozen
from golden_names import COMMANDS, OPTIONS

ROOT = Path(__file__).parents[2]


def run(command: str, *arguments: object) -> tuple[int, str]:
    """The exit code and the standard output of a command, in the project's folder.

    ``command`` and the options have the names of ``golden_names``' tables' left columns.
    """
    words = [COMMANDS[command]]
    words += [OPTIONS[text] if text.startswith("--") else text for text in map(str, arguments)]
    out, code, argv = io.StringIO(), 0, sys.argv
    sys.argv = ["scalesearch", *words]
    try:
        with (
            contextlib.chdir(ROOT),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(io.StringIO()) as said,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("default")
            runpy.run_module("scalesearch", run_name="__main__")
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(bool(stopped.code))
    finally:
        sys.argv = argv
    if code not in (0, 2):
        raise AssertionError(f"{' '.join(words)} ended with {code}:\n{said.getvalue()}")
    return code, out.getvalue()


def done(command: str, *arguments: object) -> str:
    """The standard output of a command that has to succeed."""
    code, out = run(command, *arguments)
    assert code == 0, f"{command} {' '.join(map(str, arguments))} ended with {code}"
    return out


def printed(command: str, *arguments: object, place: Path | None = None) -> Any:
    """What a command's ``--json`` prints, made comparable; or that it refuses, by exit code 2.

    ``place``: a folder whose name is not to count.
    """
    code, out = run(command, *arguments, "--json")
    if code:
        assert not out, out
        return {"exit": code}
    return frozen(json.loads(out), {str(place): "<place>"} if place else None)
