"""Moving averages of a network's weights, which are the ones validated."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Exponential moving averages of a network's parameters and running statistics.

    They start as a copy. The decay rises with the steps as TensorFlow's does, min(decay,
    (1 + step) / (10 + step)), so that the first weights are soon forgotten. Live tensors are never
    replaced, only read and filled, so that a CUDA graph goes on working with them.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        named_tensors = [*network.named_parameters(), *network.named_buffers()]
        tensors = {
            name: tensor.detach() for name, tensor in named_tensors if tensor.is_floating_point()
        }
        self.decay = decay
        self._live = list(tensors.values())
        self._averages = {name: tensor.clone() for name, tensor in tensors.items()}

    def update(self, step: int) -> None:
        """Move the averages after the optimiser's step of this number, counted from 0."""
        self.interpolate(self.ema_weight(step))

    def ema_weight(self, step: int) -> float:
        """How far the averages move towards the weights after a step: 1 - decay."""
        return 1 - min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def interpolate(self, weight: float | Tensor) -> None:
        """Move the averages this part of the way; a tensor on the device can be filled anew before
        each replay of a CUDA graph."""
        averages = list(self._averages.values())
        differences = torch._foreach_sub(self._live, averages)
        torch._foreach_mul_(differences, weight)
        torch._foreach_add_(averages, differences)

    @contextmanager
    def swap_weights(self) -> Iterator[None]:
        """Within the block the network has the averages; after it, its own values, bit for bit."""
        live_values = [tensor.clone() for tensor in self._live]
        self._fill(self._averages.values())
        try:
            yield
        finally:
            self._fill(live_values)

    def copy_to_network(self) -> None:
        """Give the network the averages for good."""
        self._fill(self._averages.values())

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by the names that the network's own ``state_dict`` gives them."""
        return dict(self._averages)

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved averages. Raises KeyError for those of another network."""
        if missing := sorted(self._averages.keys() ^ state.keys()):
            raise KeyError(f"averages: need those of this network, but for {', '.join(missing)}")
        for name, average in self._averages.items():
            average.copy_(state[name])

    @torch.no_grad()
    def _fill(self, values: Iterable[Tensor]) -> None:
        torch._foreach_copy_(self._live, list(values))
