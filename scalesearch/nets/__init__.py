"""Architecture -> nn.Module, and the weights it starts from."""

from scalesearch.nets.blocks import BLOCKS
from scalesearch.nets.depthwise import DepthwiseConv2d
from scalesearch.nets.entries import NamedNetwork
from scalesearch.nets.foreign import code_allowed, build_custom_model
from scalesearch.nets.initialisation import initialise
from scalesearch.nets.network import Network, NetworkOptions, build_model

__all__ = [
    "BLOCKS",
    "DepthwiseConv2d",
    "NamedNetwork",
    "Network",
    "NetworkOptions",
    "build_model",
    "code_allowed",
    "initialise",
    "build_custom_model",
]
