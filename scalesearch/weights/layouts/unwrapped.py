"""The tensors of a network within what people save around them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from scalesearch.errors import WeightsError

WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "net",
    "weights",
)
"""Under which a training's checkpoint holds a network, averaged weights first: these are what it
was evaluated with."""

PREFIXES = ("module.", "_orig_mod.", "ema_model.", "model.", "net.")
"""Which wrappers of a module (DataParallel, torch.compile, an average, Lightning) put before all
names."""

DEEPEST = 8
"""Wrappers in wrappers; a file may hold one that holds itself."""

COUNTERS = ("n_averaged", "num_updates", "initted", "step")
"""Numbers that wrappers keep beside the network."""


def unwrapped(document: Any, where: str) -> dict[str, Tensor]:
    """The tensors by name. Raises WeightsError, naming what there is instead, where there are
    none."""
    found = document
    for _ in range(DEEPEST):
        if isinstance(found, Mapping):
            found = next(
                (found[key] for key in WRAPPERS if isinstance(found.get(key), Mapping)), found
            )
    tensors = (
        {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
        if isinstance(found, Mapping)
        else {}
    )
    if not tensors:
        raise WeightsError(
            f"{where}: need a state dict, tensors by name, got {_told(found)}; write one by "
            "torch.save(network.state_dict(), FILE)"
        )
    return _without_prefix(tensors)


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {name: name for name in tensors if name not in COUNTERS} or {n: n for n in tensors}
    while prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in names)), ""):
        names = {name.removeprefix(prefix): own for name, own in names.items()}
    return {name: tensors[own] for name, own in names.items()}


def _told(found: Any) -> str:
    if isinstance(found, Mapping):
        return "a mapping of " + (", ".join(sorted(map(str, found))[:8]) or "nothing")
    return f"a {type(found).__name__}"
