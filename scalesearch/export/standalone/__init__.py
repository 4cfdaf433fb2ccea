"""Networks as source code that needs scalesearch no more."""

from scalesearch.export.standalone.files import Exportable, write_peer_script, write_script
from scalesearch.export.standalone.script import script
from scalesearch.export.standalone.timm_script import timm_script
from scalesearch.export.standalone.torchvision_script import torchvision_script

__all__ = [
    "Exportable",
    "script",
    "timm_script",
    "torchvision_script",
    "write_peer_script",
    "write_script",
]
