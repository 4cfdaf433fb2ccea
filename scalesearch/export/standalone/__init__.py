"""Networks as source code that needs scalesearch no more."""

from scalesearch.export.standalone.files import (
    Exportable,
    write_script,
    write_torchvision_script,
)
from scalesearch.export.standalone.script import script
from scalesearch.export.standalone.torchvision_script import torchvision_script, unrepresentable

__all__ = [
    "Exportable",
    "script",
    "torchvision_script",
    "unrepresentable",
    "write_script",
    "write_torchvision_script",
]
