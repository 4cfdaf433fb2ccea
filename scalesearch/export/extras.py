"""Libraries that only some exports need, and what they print that means nothing to a user."""

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scalesearch.errors import ExportError

NOISY_LOGGERS = (
    "torchao",
    "torch.utils._pytree",
    "torch.export",
    "torch.onnx",
    "onnxscript",
    "onnx_ir",
)
"""Loggers that report at every import or export what nobody here can mend."""


def import_extra(module: str, format_name: str) -> Any:
    """A module of the extra ``export``. Raises ExportError, naming ``form``, where it is not."""
    try:
        with silence_exporters():
            return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise ExportError(
            f"--format {format_name}: need {library}, got {error}; pip install 'scalesearch[export]'"
        ) from error


@contextmanager
def silence_exporters() -> Iterator[None]:
    """Within, exporters do not report what concerns their own code alone."""
    loggers = [logging.getLogger(name) for name in NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # torch's exporter copies tree specifications of a class that torch has deprecated.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
