"""A network under the name it is called by, whoever makes it: what is timed and compared."""

from dataclasses import asdict, dataclass

import torch
from torch import nn

from scalesearch.architectures import Architecture, Cost, CustomModel, cost
from scalesearch.nets.foreign import build_custom_model
from scalesearch.nets.initialisation import initialise
from scalesearch.nets.network import NetworkOptions, build_model
from scalesearch.nets.peers import ExternalNetwork, build_external_network, external_cost


@dataclass(frozen=True, slots=True)
class NamedNetwork:
    """``options``: what a file says that the architecture does not; None for what is usual."""

    name: str
    network: Architecture | CustomModel | ExternalNetwork
    options: NetworkOptions | None = None

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
        return external_cost(self.network) if isinstance(self.network, ExternalNetwork) else cost(self.network)

    def build(self) -> nn.Module:
        """The network on the CPU, in evaluation mode, with weights that nobody has trained: of a
        signal that stays clear of denormal numbers, which are slow."""
        if isinstance(self.network, ExternalNetwork):
            return build_external_network(self.network).eval()
        if isinstance(self.network, CustomModel):
            return build_custom_model(self.network, seed=0).eval()
        with torch.device("meta"):
            network = build_model(self.network, **asdict(self.options or NetworkOptions()))
        network.to_empty(device="cpu")
        initialise(network, torch.Generator().manual_seed(0))
        return network.eval()
