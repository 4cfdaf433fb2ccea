"""Exponential moving averages of a network's weights, for validation."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Exponential moving averages of a network's parameters and running statistics.

    They start as a copy. As in TensorFlow the decay rises with the steps, min(decay, (1 + step) /
    (10 + step)), so the first weights are soon forgotten. The network's tensors are never replaced,
    only read and filled, so a CUDA graph stays valid.
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
        """Update the averages after an optimiser step, counted from 0."""
        self.interpolate(self.ema_weight(step))

    def ema_weight(self, step: int) -> float:
        """Return the weight of the new values after a step: 1 - decay."""
        return 1 - min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def interpolate(self, weight: float | Tensor) -> None:
        """Move the averages towards the network's values by this weight.

        A tensor on the device can be refilled before each replay of a CUDA graph.
        """
        averages = list(self._averages.values())
        differences = torch._foreach_sub(self._live, averages)
        torch._foreach_mul_(differences, weight)
        torch._foreach_add_(averages, differences)

    @contextmanager
    def swap_weights(self) -> Iterator[None]:
        """Use the averages within the block; restore the own values after it, bit for bit."""
        live_values = [tensor.clone() for tensor in self._live]
        self._fill(self._averages.values())
        try:
            yield
        finally:
            self._fill(live_values)

    def copy_to_network(self) -> None:
        """Replace the network's values by the averages permanently."""
        self._fill(self._averages.values())

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averages by the names of the network's ``state_dict``."""
        return dict(self._averages)

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load saved averages; raise KeyError for those of another network."""
        if differing := sorted(self._averages.keys() ^ state.keys()):
            raise KeyError(
                "averages: need the tensors of this network; missing or unknown: "
                f"{', '.join(differing)}"
            )
        for name, average in self._averages.items():
            average.copy_(state[name])

    @torch.no_grad()
    def _fill(self, values: Iterable[Tensor]) -> None:
        torch._foreach_copy_(self._live, list(values))
