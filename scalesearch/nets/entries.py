"""A network under the name it is called by, whoever makes it: what is timed and compared."""

from dataclasses import asdict, dataclass

import torch
from torch import nn

from scalesearch.architectures import Architecture, Cost, Foreign, cost
from scalesearch.nets.foreign import made
from scalesearch.nets.initialisation import initialise
from scalesearch.nets.network import Options, build
from scalesearch.nets.peers import Peer, made_by_peer, peer_cost


@dataclass(frozen=True, slots=True)
class Entry:
    """``options``: what a file says that the architecture does not; None for what is usual."""

    name: str
    network: Architecture | Foreign | Peer
    options: Options | None = None

    @property
    def resolution(self) -> int:
        return self.network.resolution

    @property
    def in_channels(self) -> int:
        return self.network.in_channels

    @property
    def cost(self) -> Cost:
        """Multiply-adds, parameters and activations of one image.

        A foreign network is made and counted, which raises ArchitectureError unless code may run.
        """
        return peer_cost(self.network) if isinstance(self.network, Peer) else cost(self.network)

    def made(self) -> nn.Module:
        """The network on the CPU, in evaluation mode, with weights that nobody has trained: of a
        signal that stays clear of denormal numbers, which are slow."""
        if isinstance(self.network, Peer):
            return made_by_peer(self.network).eval()
        if isinstance(self.network, Foreign):
            return made(self.network, seed=0).eval()
        with torch.device("meta"):
            network = build(self.network, **asdict(self.options or Options()))
        network.to_empty(device="cpu")
        initialise(network, torch.Generator().manual_seed(0))
        return network.eval()
