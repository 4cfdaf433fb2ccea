"""Networks as source code that needs scalesearch no more."""

from scalesearch.export.standalone.files import Exportable, write_library_script, write_script
from scalesearch.export.standalone.script import python_script_text
from scalesearch.export.standalone.timm_script import timm_script_text
from scalesearch.export.standalone.torchvision_script import torchvision_script_text

__all__ = [
    "Exportable",
    "python_script_text",
    "timm_script_text",
    "torchvision_script_text",
    "write_library_script",
    "write_script",
]
