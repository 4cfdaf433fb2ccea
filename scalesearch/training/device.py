"""The device that a name stands for on this machine."""

import torch

from scalesearch.errors import SearchError


def resolve_device(name: str) -> str:
    """``auto`` means CUDA where there is one, and the CPU elsewhere.

    Raises SearchError for a device that there is not.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device_type = torch.device(name).type
    except RuntimeError as error:
        raise SearchError(f"device: need auto, cpu or cuda, got {name!r}") from error
    if device_type not in ("cpu", "cuda"):
        raise SearchError(f"device: need auto, cpu or cuda, got {name!r}")
    if device_type == "cuda" and (torch.device(name).index or 0) >= torch.cuda.device_count():
        raise SearchError(
            f"device: {name!r} was asked for, and torch sees {torch.cuda.device_count()} of CUDA"
        )
    return name
