"""Models made by a user's own code: building, counting and identifying them.

Code from a file runs only within ``code_allowed``. A count is kept in the user's cache under a
hash of the network and of its sources, so a changed ``forward`` is counted again and nothing is
counted twice.
"""

import hashlib
import importlib
import inspect
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.architectures.custom import (
    CustomModel,
    InspectedModel,
    require_inspector,
    use_inspector,
)
from scalesearch.architectures.totals import Cost
from scalesearch.errors import ArchitectureError
from scalesearch.io import user_cache_folder
from scalesearch.models.counting import ForwardCount, count_forward

SIGNATURE = "(depth, width, resolution, num_classes)"
FINGERPRINT_VERSION = 1
"""Version of fingerprints and stored counts."""


@contextmanager
def code_allowed(allowed: bool = True) -> Iterator[None]:
    """Allow networks named ``module:factory`` in this context, which runs their code.

    The working directory can then be imported from, as under ``python -m``. ``allowed=False``
    changes nothing.
    """
    if not allowed:
        yield
        return
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    with use_inspector(_inspect):
        yield


def build_custom_model(network: CustomModel, seed: int | None = None) -> nn.Module:
    """Build the network, with the weights that its code gives it (``seed`` None: any).

    The caller's random stream stays unchanged. Raises ArchitectureError, naming the factory, if
    code may not run or does not give a network.
    """
    require_inspector(network)
    factory = _factory(network.factory)
    arguments = asdict(network)
    del arguments["factory"]
    parameters = inspect.signature(factory).parameters
    if "in_channels" not in parameters:
        del arguments["in_channels"]
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        raise ArchitectureError(
            f"baseline {network.factory}: need a callable with the parameters {SIGNATURE} and, "
            f"optionally, in_channels, got ({', '.join(parameters)}): {error}"
        ) from error
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        module = _run_custom_code(network, "the factory", lambda: factory(**arguments))
    if not isinstance(module, nn.Module):
        raise ArchitectureError(
            f"baseline {network.factory}: need a torch.nn.Module from the factory, got {module!r}"
        )
    return module


@cache
def _inspect(network: CustomModel) -> InspectedModel:
    try:
        with torch.device("meta"):
            module = build_custom_model(network)
    except ArchitectureError:  # code that reads a tensor's values, or fails for any other reason
        module = build_custom_model(network).to("meta")
    fingerprint = _fingerprint(network, module)
    cache_path = (
        user_cache_folder() / "counts" / f"{fingerprint}-{_source_hash(network, module)}.json"
    )
    with suppress(OSError, ValueError, TypeError):
        return InspectedModel(
            Cost(**json.loads(cache_path.read_text(encoding="utf-8"))), fingerprint
        )
    cost = _count_cost(network, module)
    with suppress(OSError):  # an unwritable cache costs time but does not change the result
        _write_whole_file(cache_path, json.dumps(asdict(cost)))
    return InspectedModel(cost, fingerprint)


def _fingerprint(network: CustomModel, module: nn.Module) -> str:
    """Sixteen hexadecimal digits that identify a custom network.

    They hash the factory, the pixels, every parameter's and buffer's name and shape, and every
    layer as it prints itself (strides and kernels, which shapes do not show).
    """
    tensors = [*module.named_parameters(), *module.named_buffers()]
    document = [
        FINGERPRINT_VERSION,
        network.factory,
        network.resolution,
        network.in_channels,
        [(name, list(tensor.shape)) for name, tensor in tensors],
        re.sub(r" at 0x[0-9a-f]+", "", repr(module)),
    ]
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16]


def _source_hash(network: CustomModel, module: nn.Module) -> str:
    """Hash of the files that define the network's classes and its factory."""
    names = {type(part).__module__ for part in module.modules()}
    names.add(network.factory.partition(":")[0])
    files = {getattr(sys.modules[name], "__file__", None) for name in names if name in sys.modules}
    hasher = hashlib.sha256(torch.__version__.encode())
    for file in sorted(filter(None, files)):
        hasher.update(_file_hash(file))
    return hasher.hexdigest()[:16]


@cache
def _file_hash(file: str) -> bytes:
    """Content of a file at its first use: Python reads a module only once too."""
    return hashlib.sha256(Path(file).read_bytes()).digest()


def _count_cost(network: CustomModel, module: nn.Module) -> Cost:
    """Count one image on the meta device, or on the CPU if the code needs values."""
    try:
        macs, activations = _count_checked_forward(network, module, "meta")
    except ArchitectureError:
        macs, activations = _count_checked_forward(network, build_custom_model(network), "cpu")
    params = sum(parameter.numel() for parameter in module.parameters())
    return Cost(macs, params, activations)


def _count_checked_forward(network: CustomModel, module: nn.Module, device: str) -> tuple[int, int]:
    """Count multiply-adds, and outputs of convolutions and linear layers.

    The module cannot be used afterwards.
    """
    pixels, channels = network.resolution, network.in_channels
    count: ForwardCount = _run_custom_code(
        network, "its network", lambda: count_forward(module, channels, pixels, device)
    )
    logits_BK = count.output
    if not isinstance(logits_BK, Tensor) or logits_BK.shape != (1, network.num_classes):
        actual = (
            tuple(logits_BK.shape) if isinstance(logits_BK, Tensor) else type(logits_BK).__name__
        )
        raise ArchitectureError(
            f"baseline {network.factory}: need logits of shape (1, {network.num_classes}) for one "
            f"image, got {actual}"
        )
    return count.macs, count.activations


def _factory(name: str) -> Callable[..., Any]:
    module_name, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # a module's code may raise anything
        raise ArchitectureError(
            f"baseline {name}: cannot be imported from {os.getcwd()} or the installed packages: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not callable(factory):
        raise ArchitectureError(f"baseline {name}: need a callable of {SIGNATURE}, got {factory!r}")
    return factory  # type: ignore[no-any-return]


def _run_custom_code(network: CustomModel, what: str, run: Callable[[], Any]) -> Any:
    """Run the user's code; its errors become ArchitectureError with them as the cause."""
    try:
        return run()
    except Exception as error:
        arguments = ", ".join(f"{k}={v}" for k, v in asdict(network).items() if k != "factory")
        raise ArchitectureError(
            f"baseline {network.factory}: {what} raised {type(error).__name__}: {error} (asked for "
            f"{arguments})"
        ) from error


def _write_whole_file(path: Path, text: str) -> None:
    """Write a file whole or not at all, even from several processes at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
