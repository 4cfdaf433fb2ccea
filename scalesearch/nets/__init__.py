"""Architecture -> nn.Module, and the weights it starts from."""

from scalesearch.nets.blocks import BLOCKS
from scalesearch.nets.depthwise import DepthwiseConv2d
from scalesearch.nets.entries import Entry
from scalesearch.nets.foreign import code_allowed, made
from scalesearch.nets.initialisation import initialise
from scalesearch.nets.network import Network, Options, build

__all__ = [
    "BLOCKS",
    "DepthwiseConv2d",
    "Entry",
    "Network",
    "Options",
    "build",
    "code_allowed",
    "initialise",
    "made",
]
