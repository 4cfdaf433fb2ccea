"""Architecture -> nn.Module, and the weights it starts from."""

from scalesearch.nets.blocks import BLOCKS
from scalesearch.nets.foreign import code_allowed, made
from scalesearch.nets.initialisation import initialise
from scalesearch.nets.network import Network, build

__all__ = ["BLOCKS", "Network", "build", "code_allowed", "initialise", "made"]
