"""The tensors of a network within what people save around them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from scalesearch.errors import WeightsError

WRAPPER_KEYS = (
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

NAME_PREFIXES = ("module.", "_orig_mod.", "ema_model.", "model.", "net.")
"""Which wrappers of a module (DataParallel, torch.compile, an average, Lightning) put before all
names."""

MAX_DEPTH = 8
"""Wrappers in wrappers; a file may hold one that holds itself."""

COUNTER_NAMES = ("n_averaged", "num_updates", "initted", "step")
"""Numbers that wrappers keep beside the network."""


def unwrap_state_dict(document: Any, where: str) -> dict[str, Tensor]:
    """The tensors by name. Raises WeightsError, naming what there is instead, where there are
    none."""
    content = document
    for _ in range(MAX_DEPTH):
        if isinstance(content, Mapping):
            content = next(
                (content[key] for key in WRAPPER_KEYS if isinstance(content.get(key), Mapping)), content
            )
    tensors = (
        {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, Mapping)
        else {}
    )
    if not tensors:
        raise WeightsError(
            f"{where}: need a state dict, tensors by name, got {_content_text(content)}; write one by "
            "torch.save(network.state_dict(), FILE)"
        )
    return _without_prefix(tensors)


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {name: name for name in tensors if name not in COUNTER_NAMES} or {n: n for n in tensors}
    while prefix := next((candidate_prefix for candidate_prefix in NAME_PREFIXES if all(n.startswith(candidate_prefix) for n in names)), ""):
        names = {name.removeprefix(prefix): original for name, original in names.items()}
    return {name: tensors[own] for name, own in names.items()}


def _content_text(content: Any) -> str:
    if isinstance(content, Mapping):
        return "a mapping of " + (", ".join(sorted(map(str, content))[:8]) or "nothing")
    return f"a {type(content).__name__}"
