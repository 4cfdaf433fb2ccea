"""torchvision and timm, for the tests that compare with them.

PyPI's torchvision is built for CUDA's torch. Beside torch for CPUs its compiled part does not load,
and importing it (or timm, which imports it) ends in "operator torchvision::nms does not exist".
Their networks need none of those operators: where the import fails, the schemas that it asks for
are defined without anything behind them, and it is tried again. The fixtures ``torchvision`` and
``timm`` of ``conftest`` give both so; a program in another process calls ``import_torchvision``
first.
"""

import functools
import importlib
import sys
from types import ModuleType

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""Of the operators in torchvision/csrc/ops, those that its import asks for."""

_libraries: list[torch.library.Library] = []  # schemas last as long as their library


@functools.cache
def import_torchvision() -> ModuleType:
    """torchvision; its networks run, its operators on boxes do not where it does not fit torch.

    Raises ModuleNotFoundError where it is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    library = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    _libraries.append(library)
    return importlib.import_module("torchvision")


@functools.cache
def import_timm() -> ModuleType:
    """timm, after torchvision. Raises ModuleNotFoundError where one of them is not installed."""
    import_torchvision()
    return importlib.import_module("timm")
