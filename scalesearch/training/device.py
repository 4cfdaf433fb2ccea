"""Device and number format of a run, from the names in its experiment."""

from contextlib import AbstractContextManager

import torch
from torch import nn

from scalesearch.config.recipe import Precision
from scalesearch.errors import SearchError
from scalesearch.models.cpu_kernels import DepthwiseConv2d


def resolve_device(name: str) -> str:
    """Return the device name; ``auto`` is CUDA if available, else the CPU.

    Raises SearchError for an unknown or missing device.
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
            f"device: need one of the {torch.cuda.device_count()} CUDA devices that torch sees, "
            f"got {name!r}"
        )
    return name


AUTOCAST_DTYPES: dict[Precision, torch.dtype] = {
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "mixed": torch.bfloat16,
}


def resolved_precision(precision: Precision, device: torch.device | str) -> Precision:
    """Return the precision; ``auto`` is bf16 on CUDA and fp32 on a CPU.

    Raises SearchError for float16 on a CPU, where most operators have no fast float16 kernel.
    """
    device_type = torch.device(device).type
    if precision == "auto":
        return "bf16" if device_type == "cuda" else "fp32"
    if precision == "fp16" and device_type == "cpu":
        raise SearchError("recipe.precision: need fp32, bf16 or mixed on a CPU, got fp16")
    return precision


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Compute in the precision's narrow format, where safe, within the block.

    Weights stay in float32 and are cast once per block. ``fp32`` is PyTorch's default, which lets
    convolutions on CUDA use TF32.
    """
    dtype = AUTOCAST_DTYPES.get(precision)
    return torch.autocast(device.type, dtype, enabled=dtype is not None)


def set_depthwise_precision(network: nn.Module, precision: Precision) -> None:
    """Set whether depthwise convolutions stay in float32 within ``autocast``."""
    for module in network.modules():
        if isinstance(module, DepthwiseConv2d):
            module.keeps_full_precision = precision == "mixed"


def grad_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler:
    """Return a loss scaler: active in float16, whose small gradients would vanish."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")
